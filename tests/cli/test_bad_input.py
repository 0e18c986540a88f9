"""Each kind of bad input: exit code 2, one line that names the file and the way out, nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

from command_calls import contents, in_own_process, index_words, predict_words
from comoto import api
from dicom_files import breast, write_dicom
from tiny_releases import BcsTree

GRID = ("--set", "preprocess.rows=128", "--set", "preprocess.columns=64")


class TestMissingFolder:
    @pytest.mark.parametrize("dataset", ["bcs-dbt", "vindr-mammo"])
    def test_index(self, refused, tmp_path, dataset):
        refused(index_words(dataset, tmp_path / "nowhere", tmp_path), tmp_path / "nowhere", "no such f")

    def test_predict(self, refused, tmp_path, student_run):
        words = predict_words(student_run, tmp_path, tmp_path / "nowhere")
        refused(words, f"{tmp_path / 'nowhere'}: no such file or folder")

    @pytest.mark.parametrize(
        ("words", "remedy"),
        [
            (("predict", "--model", "nowhere", "--out", "p.csv", "x.dcm"), "'comoto train'"),
            (("prepare", "--manifest", "nowhere", "--out", "s"), "'comoto index'"),
            (("draw", "--manifest", "nowhere", "--image", "a", "--out", "a.png"), "'comoto index'"),
            (("train", "teacher", "--mammograms", "nowhere", "--out", "r"), "'comoto prepare'"),
            (("train", "student", "--tomosynthesis", "nowhere", "--out", "r"), "'comoto prepare'"),
            (("evaluate", "--mammogram-predictions", "p", "--manifest", "nowhere"), "'comoto index'"),
        ],
    )
    def test_other_commands(self, refused, tmp_path, monkeypatch, words, remedy):
        monkeypatch.chdir(tmp_path)
        refused(words, "nowhere", remedy)

    @pytest.mark.parametrize("option", ["--predictions", "--labels", "--boxes"])
    def test_evaluate(self, refused, bcs, tmp_path, option):
        given = {f"--{kind}": bcs.table(kind, "test") for kind in ("labels", "boxes")}
        given |= {"--predictions": predictions(tmp_path), option: tmp_path / "nowhere.csv"}
        words = [word for pair in given.items() for word in pair]
        refused(("evaluate", *words), tmp_path / "nowhere.csv", "check the path")


def predictions(tmp_path: Path, mark: bytes = b"") -> Path:
    """One detection, on the lesion of the tiny release's test split."""
    path = tmp_path / "predictions.csv"
    path.write_bytes(
        mark + b"PatientID,StudyUID,View,X,Width,Y,Height,Z,Depth,Score\n"
        b"DBT-P00004,DBT-S00004,lmlo,1,3,2,4,7,0,0.5\n"
    )
    return path


class TestTables:
    def test_missing_column(self, refused, bcs, tmp_path):
        bcs.edit("boxes", ",Width,", ",Wide,")
        refused(index_words("bcs-dbt", bcs.root, tmp_path), bcs.table("boxes"), "columns are missing: Width")

    def test_missing_column_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.findings, ",xmin,", ",x_min,")
        refused(index_words("vindr-mammo", vindr.root, tmp_path), vindr.findings, "columns are missing: xmin")

    def test_missing_column_of_predictions(self, refused, bcs, tmp_path):
        (tmp_path / "p.csv").write_text("PatientID,StudyUID,View,X,Width,Y,Height,Z,Dept,Score\n")
        tables = ("--labels", bcs.table("labels", "test"), "--boxes", bcs.table("boxes", "test"))
        words = ("evaluate", "--predictions", tmp_path / "p.csv", *tables, "--json", tmp_path / "e.json")
        refused(words, tmp_path / "p.csv", "column 'Depth' is missing; rename 'Dept' to 'Depth'")

    def test_box_outside(self, refused, bcs, tmp_path):
        bcs.edit("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,50,6,4,7")  # the images are 20 pixels wide
        where = index_words("bcs-dbt", bcs.root, tmp_path)
        refused(
            where,
            bcs.table("boxes"),
            "lies wholly outside of its image in line 3",
            "leave out their images wholly",
        )

    def test_box_outside_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.findings, "2.5,3.25,8.75,9.5", "2.5,43.25,8.75,49.5")
        where = index_words("vindr-mammo", vindr.root, tmp_path)
        refused(
            where,
            vindr.findings,
            "lies wholly outside of its image in line 4",
            "leave out their images wholly",
        )

    def test_unknown_view(self, refused, bcs, tmp_path):
        bcs.edit("labels", "DBT-S00001,rcc,", "DBT-S00001,rxcc,")
        where = index_words("bcs-dbt", bcs.root, tmp_path)
        refused(where, bcs.table("labels"), "View is not like lcc, rmlo or lmlo1 in line 4", "correct")

    def test_unknown_view_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.images, "s2,e2,b1,R,CC", "s2,e2,b1,R,XCCL")
        where = index_words("vindr-mammo", vindr.root, tmp_path)
        refused(where, vindr.images, "view_position is none of CC, MLO in line 4", "correct the table")

    def test_absent_volume(self, refused, bcs, tmp_path):
        next(bcs.root.rglob("*.1100777/1-1.dcm")).unlink()
        where = index_words("bcs-dbt", bcs.root, tmp_path)
        refused(where, bcs.root, "1 of 6 volumes", "DBT-P00002 DBT-S00002 rmlo;", "--allow-missing")

    def test_absent_mammogram(self, refused, vindr, tmp_path):
        (vindr.root / "images" / "s1" / "a2.dicom").unlink()
        where = index_words("vindr-mammo", vindr.root, tmp_path)
        refused(where, "1 of 4 images", "a2", "--allow-missing")

    def test_a_byte_order_mark_is_tolerated(self, comoto, bcs, vindr, tmp_path):
        for path in (*bcs.root.glob("*.csv"), vindr.images, vindr.findings):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert comoto("index", "bcs-dbt", bcs.root, "--out", tmp_path / "b").code == 0
        assert comoto("index", "vindr-mammo", vindr.root, "--out", tmp_path / "v").code == 0
        tables = ("--labels", bcs.table("labels", "test"), "--boxes", bcs.table("boxes", "test"))
        answer = comoto("evaluate", "--predictions", predictions(tmp_path, b"\xef\xbb\xbf"), *tables)
        assert answer.code == 0
        assert "1 (1 hit by at least one prediction, 0 never)" in answer.out

    def test_a_box_partly_outside_is_clipped_and_reported(self, comoto, bcs, vindr, tmp_path):
        """x 15 to 25, y 30 to 50 of 20 x 40 pixels; x 20.5 to 31.5 of 30; x from -1.5 on."""
        answer = comoto("index", "bcs-dbt", bcs.root, "--out", tmp_path / "b")
        assert (answer.code, answer.err) == (0, answer.err)
        assert f"note: {bcs.table('boxes').name}: 1 box clipped to the image (line 4)" in answer.out
        lesions = api.index("bcs-dbt", bcs.root).lesions
        assert [15, 30, 20, 40] in lesions[["x1", "y1", "x2", "y2"]].to_numpy().tolist()
        answer = comoto("index", "vindr-mammo", vindr.root, "--out", tmp_path / "v")
        assert f"note: {vindr.findings.name}: 2 boxes clipped to the image (lines 2, 5)" in answer.out


def damaged(volume: Path, kind: str) -> tuple[Path, str]:
    """A file that is not what it should be, and what the refusal says of it."""
    path = volume.with_name(f"{kind}.dcm")
    if kind == "text":
        path.write_text("PatientID,StudyUID\n" * 40)
        return path, "not a DICOM file"
    if kind == "cut":
        path.write_bytes(volume.read_bytes()[:-700])
        return path, "copy or download it again"
    if kind == "single":
        write_dicom(path, breast(1, 160, 80, "L")[0])
        return path, "volume"
    if kind == "colour":
        tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        pixels = np.zeros((5, 16, 8, 3), dtype=np.uint8).tobytes()
        write_dicom(path, np.zeros((5, 16, 8), np.uint8), "raw", bits_stored=8, tags=tags, pixel_data=pixels)
        return path, "RGB with 3 samples per pixel; only grey images"
    write_dicom(path, breast(5, 160, 80, "L"), tags={"NumberOfFrames": 0})
    return path, "0 frames; there is nothing to read"


KINDS = ("text", "cut", "single", "colour", "empty")


class TestFiles:
    @pytest.mark.parametrize("kind", KINDS)
    def test_predict(self, refused, volume, tmp_path, student_run, kind):
        path, message = damaged(volume, kind)
        refused(predict_words(student_run, tmp_path, path), path, message)

    def test_predict_on_a_folder_finishes_the_others_first(self, comoto, volume, tmp_path, student_run):
        path, message = damaged(volume, "cut")
        answer = comoto(*predict_words(student_run, tmp_path, tmp_path))
        assert answer.code == 2
        assert "1 of 2 images" in answer.error
        assert str(path) in answer.error
        assert answer.err.count(message) == 1
        assert (tmp_path / "p.csv").is_file()
        assert (tmp_path / "p.json").is_file()
        assert not (tmp_path / "p.csv.journal").exists()

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "single"])
    def test_draw(self, refused, volume, tmp_path, kind):
        path, message = damaged(volume, kind)
        refused(("draw", path, "--out", tmp_path / "slice.png"), path, message)

    @pytest.mark.parametrize("kind", KINDS)
    def test_prepare(self, comoto, bcs: BcsTree, volume, tmp_path, kind):
        """Files may go bad after they were indexed; the others are prepared, the store stays unfinished."""
        assert comoto(*index_words("bcs-dbt", bcs.root, tmp_path)).code == 0
        path, message = damaged(volume, kind)
        bad = next(bcs.root.rglob("*.1100777/1-1.dcm"))
        path.replace(bad)
        store = tmp_path / "store"
        words = ("prepare", "--manifest", tmp_path / "manifest", "--out", store, *GRID, "--workers", 1)
        answer = comoto(*words)
        assert answer.code == 2
        assert "1 of 6 images" in answer.error
        assert str(bad) in answer.error
        assert (message if kind != "single" else "holds 1 slices, the table says 5") in answer.error
        assert "--skip-broken" in answer.error
        assert not (store / "manifest").exists()
        assert len(list((store / "planes").glob("*/*.npy"))) == 5
        assert not list(store.rglob("*.part"))
        answer = comoto("train", "student", "--tomosynthesis", store, "--out", tmp_path / "run")
        assert answer.code == 2
        assert "preparation is not finished; run 'comoto prepare' again" in answer.error
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("text", "not a DICOM file"), ("single", "one frame only, a tomosynthesis volume was expected")],
    )
    def test_index(self, refused, bcs, volume, tmp_path, kind, message):
        path, _ = damaged(volume, kind)
        bad = next(bcs.root.rglob("*.1100777/1-1.dcm"))
        path.replace(bad)
        refused(index_words("bcs-dbt", bcs.root, tmp_path), bad, message)


def test_the_same_in_a_process_of_its_own(tmp_path, bcs):
    """The installed command and ``python -m comoto`` answer as the calls above."""
    bcs.edit("labels", "DBT-S00001,rcc,", "DBT-S00001,rxcc,")
    before = contents(tmp_path)
    answer = in_own_process(*index_words("bcs-dbt", bcs.root, tmp_path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"comoto: {bcs.table('labels')}: View is not like lcc, rmlo or lmlo1 in line 4; correct the table\n"
    )
    assert contents(tmp_path) == before
