"""``comoto index`` and the call behind it."""

import os
from pathlib import Path

import pytest

from comoto import api
from comoto.datasets import index
from comoto.errors import ConfigError
from comoto.records import Manifest


def test_bcs_dbt(bcs_tree, tmp_path, comoto):
    out = tmp_path / "manifests" / "bcs"
    code, said, _ = comoto("index", "bcs-dbt", bcs_tree.root, "--out", out)
    assert code == 0
    assert said.splitlines()[0] == "bcs-dbt: 6 images, 4 lesions"
    assert "note: BCS-DBT-boxes-train-v2.csv: 1 box clipped to the image (line 4)" in said
    assert said == (out / "summary.txt").read_text()
    assert len(Manifest.load(out)) == 6
    assert [path.name for path in out.parent.iterdir()] == ["bcs"]


def test_vindr_mammo_with_categories(vindr_tree, tmp_path, comoto):
    arguments = [
        "index",
        "vindr-mammo",
        vindr_tree.root,
        "--out",
        tmp_path / "m",
        "--category",
        "Nipple Retraction",
    ]
    code, said, _ = comoto(*arguments)
    assert code == 0
    assert "4 images, 1 lesions" in said


def test_wrong_input_leaves_nothing_behind(bcs_tree, tmp_path, comoto):
    bcs_tree.edit("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5,6,0,7")
    code, said, error = comoto("index", "bcs-dbt", bcs_tree.root, "--out", tmp_path / "m")
    assert (code, said) == (2, "")
    assert "the box is empty in line 3" in error
    assert not (tmp_path / "m").exists()


def test_existing_output(vindr_tree, tmp_path, comoto):
    arguments = ["index", "vindr-mammo", vindr_tree.root, "--out", tmp_path / "m"]
    assert comoto(*arguments)[0] == 0
    code, _, error = comoto(*arguments)
    assert code == 2
    assert "is not empty; choose another folder, or add --overwrite" in error
    assert comoto(*arguments, "--overwrite")[0] == 0
    (tmp_path / "m" / "thesis.tex").write_text("precious")
    code, _, error = comoto(*arguments, "--overwrite")
    assert code == 2
    assert "holds more than a manifest (thesis.tex)" in error
    assert (tmp_path / "m" / "thesis.tex").read_text() == "precious"


def test_unknown_data_set_and_option(tmp_path, comoto):
    code, _, error = comoto("index", "bcs-dtb", tmp_path, "--out", tmp_path / "m")
    assert code == 2
    assert "unknown data set 'bcs-dtb'; did you mean 'bcs-dbt'?" in error
    with pytest.raises(ConfigError, match="'vindr-mammo' takes no 'tables'; leave it out"):
        api.index("vindr-mammo", tmp_path, tables=tmp_path)
    with pytest.raises(ConfigError, match=r"takes no 'actonable'; did you mean 'actionable'\?"):
        api.index("bcs-dbt", tmp_path, actonable="keep")
    with pytest.raises(ConfigError, match=r"'embed' has no reader: its circles .* docs/datasets/embed\.md"):
        index("embed", tmp_path)


@pytest.mark.parametrize(
    ("option", "way"),
    [
        ("tables=t", "write --tables FOLDER instead"),
        ("categories=Mass", "write --category WORD instead"),
        ("allow-missing=1", "write --allow-missing instead"),
        ("strict=1", "write --strict instead"),
        ("root=r", "write the second word instead"),
        ("dataset=csv", "write the first word instead"),
    ],
)
def test_switches_are_no_options(option, way, vindr_tree, tmp_path, comoto):
    words = ["index", "vindr-mammo", vindr_tree.root, "--out", tmp_path / "m", "--set", option]
    code, _, error = comoto(*words)
    assert (code, error) == (2, f"comoto: --set {option}: {way}\n")


def test_an_output_that_cannot_be_made_is_said_before_anything_is_read(tmp_path, monkeypatch, comoto):
    def refusal(out):
        code, _, error = comoto("index", "bcs-dbt", tmp_path / "none", "--out", out)
        assert code == 2
        return error

    (tmp_path / "file").write_text("precious")
    assert f"{tmp_path / 'file'}: is no folder, so nothing can be below it" in refusal(
        tmp_path / "file" / "a" / "m"
    )
    assert refusal(tmp_path / "a" / "m").endswith("none: no such folder\n")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # the superuser may all
    out = tmp_path / "a" / "m"
    assert refusal(out) == f"comoto: {out}: cannot be made, {tmp_path} is read-only; choose another folder\n"


def test_strict_refuses_what_would_be_left_out(bcs_tree, vindr_tree, tmp_path, comoto):
    bcs_tree.table("labels", "validation").unlink()
    (vindr_tree.root / "images" / "s2" / "b1.dicom").unlink()
    for name, tree, what in (
        ("bcs-dbt", bcs_tree, "validation: the whole split, because "),
        (
            "vindr-mammo",
            vindr_tree,
            "breast-level_annotations.csv: 1 of 4 images, because they are not on disk",
        ),
    ):
        out = tmp_path / "manifests" / name
        arguments = ["index", name, tree.root, "--allow-missing", "--out", out]
        code, said, error = comoto(*arguments, "--strict")
        assert (code, said) == (2, "")
        assert what in error
        assert not out.exists()
        code, said, _ = comoto(*arguments)
        assert code == 0
        assert f"\ndropped: {what}" in said


def test_options_of_a_reader(bcs_tree, tmp_path, comoto):
    arguments = ["index", "bcs-dbt", bcs_tree.root, "--out", tmp_path / "m", "--set", "actionable=leave-out"]
    code, said, _ = comoto(*arguments, "--strict")
    assert code == 0
    assert "bcs-dbt: 5 images, 4 lesions" in said
