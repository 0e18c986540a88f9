"""``comoto report`` on simulated volumes and made-up predictions: what it says, and what it does without."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from html_page import check_page

from comoto import api
from comoto.cli.main import _run
from comoto.config import PreprocessConfig
from comoto.errors import ConfigError, DatasetError
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.own_volumes import HitRadius
from comoto.records import PREDICTION_COLUMNS, Manifest, Modality
from comoto.report import held_out, source_images
from comoto.report.held_out import HeldOut

RADIUS = 5.3
SETTINGS = {"min_radius": RADIUS, "bootstrap": 40, "seed": 3}


def rows_of(manifest, found_share):
    """Two boxes on every volume, and a right one on some of the lesions; further right ones lie too deep."""
    rows = []
    for number, record in enumerate(manifest.records()):
        keys = (record.patient_id, record.study_id, record.view_key)
        for lesion in record.lesions:
            x1, y1, x2, y2 = lesion.box_xyxy
            depth = 0 if number % found_share == 0 else 40
            place = (x1, x2 - x1, y1, y2 - y1, lesion.slice_index + depth, 1)
            rows.append((*keys, *place, 0.9 - number / 100))
        rows += [(*keys, 2, 6, 3, 6, 0, 1, 0.3 + number / 1000), (*keys, 30, 6, 90, 6, 400, 1, 0.2)]
    return pd.DataFrame(rows, columns=PREDICTION_COLUMNS)


@pytest.fixture(scope="module")
def manifest(exams):
    return Manifest.load(exams.manifests / "bcs-dbt")


@pytest.fixture(scope="module")
def tables(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, share in (("one", 1), ("other", 2)):
        rows_of(manifest, share).to_csv(folder / f"{name}.csv", index=False)
    return {"One <b>": folder / "one.csv", "Other": folder / "other.csv"}


@pytest.fixture(scope="module")
def text(manifest, tables, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert api.write_report(out, manifest, tables, **SETTINGS) == out
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize("interval", ["percentile", "bca"])
@pytest.mark.parametrize("split", [None, "test"])
def test_figures_are_those_of_evaluate(manifest, tables, interval, split):
    scored = manifest if split is None else manifest.select(manifest.images["split"] == split)
    found = HeldOut(scored, tables, HitRadius(RADIUS), Resampling(40, 3, interval))
    for model, table in zip(found.models, tables.values(), strict=True):
        result = api.evaluate(table, manifest=manifest, split=split, interval=interval, **SETTINGS)
        assert model.result.record() == result.record()


def test_a_radius_that_is_too_large_is_said_at_the_top_and_to_the_caller(manifest, tables, tmp_path, told):
    settings = {**SETTINGS, "min_radius": 100, "bootstrap": 5}
    page = api.write_report(tmp_path / "r.html", manifest, tables, pictures=False, **settings).read_text()
    sentence = "a least hit radius of 100 pixels is more than a tenth of the images"
    assert page.index(f"<strong>Warning.</strong> {manifest.name}: {sentence}") < page.index(
        'class="verdict"'
    )
    assert sentence in told.readouterr().err


def test_the_page_shows_them(manifest, tables, text):
    check_page(text)
    for table in tables.values():
        content = json.loads(api.evaluate(table, manifest=manifest, **SETTINGS).to_json())
        for name, (low, high) in content["bootstrap"]["intervals"].items():
            assert f"{content[name]:.2f} ({low:.2f} to {high:.2f})" in text
        assert all(re.sub("&#?[a-z0-9]+;", "", line)[:40] in text for line in content["warnings"])
    assert text.count('<div class="score">') == 2 + 1
    assert "Other minus One &lt;b&gt;" in text
    assert len(re.findall(r"is above chance|is not shown to be above chance", text)) == 2
    for part in ("training", "side", "findings", "groups", "froc", "inputs"):
        assert (f'id="{part}"' in text) == (part != "training")
    volumes = manifest.images[manifest.images["modality"] == Modality.TOMOSYNTHESIS.value]
    assert f'<td class="number">{len(volumes)} of {len(volumes)}</td>' in text
    assert "found in the plane, depth off by 40 slices" in text
    assert not re.search("student|simulated", text)
    assert "http" not in text.replace("http://www.w3.org", "")


def test_sizes_are_in_pixels_unless_all_files_say_how_large_one_is(manifest, tables, monkeypatch, text):
    assert "Longer side of the box, pixels" in text
    assert re.search(r"<li>\w+, \d+ x \d+ pixels, slice \d+</li>", text)
    monkeypatch.setattr(held_out, "read_source_header", lambda _: SimpleNamespace(spacing_mm=(0.5, 2.0)))
    lesion = HeldOut(manifest, tables, HitRadius(RADIUS), Resampling(1)).lesions[0]
    x1, y1, x2, y2 = lesion.box_xyxy
    assert lesion.sides == ((x2 - x1) * 2.0, (y2 - y1) * 0.5)
    assert " mm, slice " in lesion.text


def test_an_equal_box_is_one_lesion_and_the_next_keep_their_numbers(manifest, tables):
    first = manifest.lesions.iloc[[0]]
    double = replace(manifest, lesions=pd.concat([first, manifest.lesions], ignore_index=True))
    found, plain = (HeldOut(each, tables, HitRadius(RADIUS), Resampling(1)) for each in (double, manifest))
    assert [lesion.text for lesion in found.lesions] == [lesion.text for lesion in plain.lesions]
    ours, theirs = (
        [(each.box_xyxy, each.lesion, each.in_plane) for each in one.models[0].detections]
        for one in (found, plain)
    )
    assert ours == theirs


def test_a_mammogram_with_the_names_of_a_volume_is_passed_over(manifest, tables):
    images = manifest.images.iloc[[0]].assign(modality="mammogram", image_id="m", num_slices=1)
    both = replace(manifest, images=pd.concat([images, manifest.images], ignore_index=True))
    found, plain = (HeldOut(each, tables, HitRadius(RADIUS), Resampling(1)) for each in (both, manifest))
    assert found.volumes == plain.volumes
    assert found.models[0].detections == plain.models[0].detections


def opened_by(monkeypatch, work):
    """Return the files that are opened for pictures."""
    opened, real = [], source_images.open_source

    def note(path):
        opened.append(path)
        return real(path)

    monkeypatch.setattr(source_images, "open_source", note)
    work()
    return set(opened)


def test_only_volumes_that_matter_are_opened(manifest, tables, tmp_path, monkeypatch):
    alone = {"one": tables["Other"]}
    opened = opened_by(
        monkeypatch, lambda: api.write_report(tmp_path / "a.html", manifest, alone, **SETTINGS)
    )
    records = list(manifest.records())
    normal = {record.path for record in records if not record.lesions}
    assert {record.path for record in records if record.lesions} <= opened
    assert len(normal & opened) <= 2 + 6  # two examples, and as many false positives as are shown
    assert (
        opened_by(
            monkeypatch,
            lambda: api.write_report(tmp_path / "b.html", manifest, alone, pictures=False, **SETTINGS),
        )
        == set()
    )
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    check_page(text)
    assert "asked for without pictures" in text
    assert "chance not known" in text
    assert '<svg class="picture"' not in text
    assert "Side by side" not in text
    assert "no difference" not in text
    assert "Lesions missed" in text


def test_without_a_file_its_picture_is_missing_and_the_page_says_so(manifest, tables, tmp_path, caplog):
    record = next(record for record in manifest.records() if record.lesions)
    is_lost = manifest.images["image_id"] == record.image_id
    nowhere = manifest.images["path"].where(~is_lost, str(tmp_path / "Secretname.dcm"))
    lost = replace(manifest, images=manifest.images.assign(path=nowhere))
    text = api.write_report(tmp_path / "a.html", lost, tables, **SETTINGS).read_text(encoding="utf-8")
    check_page(text)
    assert "1 image could not be read when this page was made, and there is no picture of it: " in text
    assert f"of it: {record.image_id}." in text
    assert "Secretname" not in text
    assert "Secretname.dcm" in caplog.text
    assert "chance not known" in text
    assert '<svg class="picture"' in text
    assert '<div class="nothing">no picture</div>' in text
    assert f"<h4>{record.patient_id}, " not in text.split('id="findings"')[0]


def test_a_slice_beyond_the_volume_is_shown_at_its_end(manifest, tables):
    record = next(manifest.records())
    images = source_images.SourceImages(PreprocessConfig())
    assert (images.slice(record, 10_000) == images.slice(record, record.num_slices - 1)).all()
    assert (images.slice(record, -3) == images.slice(record, 0)).all()


def test_what_cannot_be_reported_is_refused(manifest, tables, tmp_path):
    out = tmp_path / "a.html"
    strange = tmp_path / "strange.csv"
    rows_of(manifest, 1).assign(StudyUID="of another set").to_csv(strange, index=False)
    for given, error, message in (
        ({}, ConfigError, "needs predictions"),
        ({"a": strange}, DatasetError, "no prediction can hit anything"),
    ):
        with pytest.raises(error, match=message):
            api.write_report(out, manifest, given)
    with pytest.raises(DatasetError) as alike:
        api.evaluate(strange, manifest=manifest)
    with pytest.raises(DatasetError, match=re.escape(str(alike.value))):
        api.write_report(out, manifest, {"a": strange})
    with pytest.raises(ConfigError, match="at least 1 replicate"):
        api.write_report(out, manifest, tables, bootstrap=0)
    with pytest.raises(DatasetError, match=r"no image is in the split validation \(there are: test, train\)"):
        api.write_report(
            out, manifest.select(manifest.images["split"] != "validation"), tables, split="validation"
        )
    assert not out.exists()


def test_the_command_writes_the_same_page_and_refuses_what_it_cannot(exams, tables, tmp_path, capsys, text):
    one, other = (str(path) for path in tables.values())
    words = ["report", "--manifest", str(exams.manifests / "bcs-dbt"), "--min-radius", str(RADIUS)]
    words += ["--bootstrap", "40", "--seed", "3", "--out", str(tmp_path / "a.html")]
    assert _run([*words, "--predictions", f"One <b>={one}", f"Other={other}"]) == 0
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text
    mammograms = tmp_path / "m.csv"
    mammograms.write_text("image_id,x1,y1,x2,y2,score\na,0,0,5,5,0.5\n")
    capsys.readouterr()
    for more, message in (
        ((f"--predictions=a={one}",), "a.html: exists; choose another name, or add --overwrite"),
        ((f"--predictions=a={one}", f"a={other}", "--overwrite"), "'a' is named twice"),
        ((f"--predictions=={one}", "--overwrite"), "expected a name and a path"),
        ((f"--predictions=a={tmp_path / 'a.html'}", "--overwrite"), "is one of the inputs"),
        ((f"--predictions={tmp_path / 'none.csv'}", "--overwrite"), "none.csv: cannot be read: no such file"),
        ((f"--predictions=m={mammograms}", "--overwrite"), "'comoto evaluate --mammogram-predictions'"),
        ((f"--predictions={one}", "--run", f"r={tmp_path}", "--overwrite"), "no checkpoint.json here"),
    ):
        assert _run([*words, *more]) == 2, more
        assert message in capsys.readouterr().err
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text


def test_a_path_alone_is_named_by_its_file(exams, tables, tmp_path):
    folder = tmp_path / "lr=0.1"
    folder.mkdir()
    path = folder / "mine.csv"
    path.write_bytes(next(iter(tables.values())).read_bytes())
    words = ["report", "--manifest", str(exams.manifests / "bcs-dbt"), "--no-pictures", "--bootstrap", "2"]
    assert _run([*words, "--predictions", str(path), "--out", str(tmp_path / "a.html")]) == 0
    assert "<h1>CoMoTo report: mine on bcs-dbt</h1>" in (tmp_path / "a.html").read_text(encoding="utf-8")
