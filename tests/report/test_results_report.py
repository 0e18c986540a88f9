"""``comoto report`` on simulated volumes and made-up predictions: what it says, and what it does without."""

import html
import json
import os
import re
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from html_page import check_page

from comoto import api
from comoto.config import PreprocessConfig
from comoto.errors import ConfigError, DatasetError
from comoto.evaluation import own_volumes
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.own_volumes import HitRadius
from comoto.records import PREDICTION_COLUMNS, Manifest, Modality
from comoto.report import source_images
from comoto.report.held_out import HeldOut
from comoto.sources import read_source_header

RADIUS = 5.3
SETTINGS = {"min_radius": RADIUS, "bootstrap": 40, "seed": 3}
_opens: Counter[str] = Counter()
_watched: list[str] = []


def _note(event, arguments):
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        _opens[path] += path.startswith(_watched[0]) and path.endswith(".dcm")


sys.addaudithook(_note)  # stays for the life of the process, and does nothing where nothing is watched


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
        result = api.evaluate(
            table, manifest=manifest, split=split, interval=interval, depth_tolerance="10mm", **SETTINGS
        )
        both = model.result.record() | {"beside": model.beside.record()}
        assert both == result.record()


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
        for name, figure in content["beside"]["areas"].items():
            assert name in ("auc_per_breast", "auc_per_exam", "wafroc")
            assert "{:.2f} ({:.2f} to {:.2f})".format(figure["value"], *figure["interval"]) in text
        assert content["warnings"]
        assert all(html.escape(line) in text for line in content["warnings"])
    assert text.count('<div class="score">') == 2 + 1
    assert "Other minus One &lt;b&gt;" in text
    assert (
        len(re.findall(r"is above the random baseline|is not shown to be above the random baseline", text))
        == 2
    )
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
    asked = headers_say(monkeypatch, (0.5, 2.0))
    lesion = HeldOut(manifest, tables, HitRadius(RADIUS), Resampling(1)).lesions[0]
    x1, y1, x2, y2 = lesion.box_xyxy
    assert lesion.sides == ((x2 - x1) * 2.0, (y2 - y1) * 0.5)
    assert " mm, slice " in lesion.text
    assert asked == Counter(record.path for record in manifest.records() if record.lesions)


def headers_say(monkeypatch, spacing):
    """Let every file have one spacing; return how often each was asked."""
    asked = Counter()

    def header(path):
        asked[path] += 1
        return SimpleNamespace(spacing_mm=spacing, slice_mm=None, rows=2000, columns=2000)

    monkeypatch.setattr(own_volumes, "read_source_header", header)
    return asked


def test_a_header_is_read_once_whatever_is_asked_of_it(manifest, tables, tmp_path, monkeypatch):
    """Its spacing for the radius and for sizes, its shape for whether the radius fits."""
    paths = [record.path for record in manifest.records() if record.lesions]
    radius = f"{RADIUS / 2}mm"
    for pictures in (True, False):
        asked = headers_say(monkeypatch, (0.5, 0.5))
        settings = {**SETTINGS, "min_radius": radius, "bootstrap": 2, "pictures": pictures}
        text = api.write_report(tmp_path / f"{pictures}.html", manifest, tables, **settings).read_text(
            encoding="utf-8"
        )
        assert asked == Counter(paths)
        assert f"at least {RADIUS / 2:.1f} mm ({RADIUS:g} source pixels)" in text
        assert "Longer side of the box, mm" in text
    assert "Sizes of lesions are in mm." in text
    asked = headers_say(monkeypatch, (0.5, 0.5))
    monkeypatch.setattr(own_volumes, "_LOOKED_AT", 3)
    plain = HeldOut(manifest, tables, HitRadius(RADIUS), Resampling(1), in_mm=False)
    assert asked == Counter(paths[:3])
    assert all(lesion.spacing is None for lesion in plain.lesions)


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


@pytest.fixture
def opened_by(exams):
    """Return a function that tells how often each image file is opened by a call."""

    def opened(work):
        _opens.clear()
        work()
        return +_opens

    _watched.append(str(exams.bcs_dbt))
    yield opened
    _watched.clear()


def test_only_volumes_that_matter_are_opened(manifest, tables, tmp_path, opened_by):
    alone = {"one": tables["Other"]}
    opened = set(opened_by(lambda: api.write_report(tmp_path / "a.html", manifest, alone, **SETTINGS)))
    records = list(manifest.records())
    normal = {str(record.path) for record in records if not record.lesions}
    assert {str(record.path) for record in records if record.lesions} <= opened
    assert len(normal & opened) <= 2 + 6  # two examples, and as many false positives as are shown


def test_without_pictures_no_more_is_opened_than_to_evaluate(
    manifest, tables, tmp_path, monkeypatch, opened_by
):
    """Headers of the first volumes with a lesion, once each: how large the images are."""
    monkeypatch.setattr(own_volumes, "_LOOKED_AT", 3)
    alone = {"one": tables["Other"]}
    paths = [record.path for record in manifest.records() if record.lesions]
    headers = opened_by(lambda: [read_source_header(path) for path in paths[:3]])
    assert len(headers) == 3 < len(paths)
    assert opened_by(lambda: api.evaluate(alone["one"], manifest=manifest, **SETTINGS)) == headers
    out = tmp_path / "b.html"
    assert opened_by(lambda: api.write_report(out, manifest, alone, pictures=False, **SETTINGS)) == headers
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    check_page(text)
    assert "asked for without pictures" in text
    assert "Sizes of lesions are in pixels." in text
    assert "random baseline not known" in text
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
    assert "random baseline not known" in text
    assert '<svg class="picture"' in text
    assert '<div class="nothing">no picture</div>' in text
    assert f"<h4>{record.patient_id}, " not in text.split('id="findings"')[0]


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_few_patients_are_said_once_and_as_evaluate_says_it(manifest, tables, tmp_path, interval):
    settings = {**SETTINGS, "interval": interval, "bootstrap": 5}
    page = api.write_report(tmp_path / "r.html", manifest, tables, pictures=False, **settings)
    text = page.read_text(encoding="utf-8")
    (told,) = Resampling(5, 3, interval).warnings(manifest.images["patient_id"].nunique())
    assert text.count(f"<strong>Warning.</strong> {html.escape(told)}") == 1
    assert ("percentile" in told) == (interval == "percentile")
    assert "too narrow" not in text


def test_a_slice_that_several_sections_show_is_decoded_once(manifest, tables, tmp_path, monkeypatch):
    decoded, real = Counter(), source_images.to_bytes
    monkeypatch.setattr(source_images, "to_bytes", lambda *given: counted(real(*given)))

    def counted(pixels):
        decoded[pixels.tobytes()] += 1
        return pixels

    def page():
        decoded.clear()
        written = api.write_report(tmp_path / "a.html", manifest, tables, overwrite=True, **SETTINGS)
        return written.read_text(encoding="utf-8")

    text = page()
    assert set(decoded.values()) == {1}
    monkeypatch.setattr(source_images, "KEPT_BYTES", 0)
    assert page() == text
    assert max(decoded.values()) >= 3  # an example, side by side, and a close-up of each model


def test_what_is_kept_of_slices_has_an_end(manifest, monkeypatch):
    record = next(manifest.records())
    images = source_images.SourceImages(PreprocessConfig())
    first = images.slice(record, 0)
    monkeypatch.setattr(source_images, "KEPT_BYTES", 2 * first.nbytes)
    assert images.slice(record, 0) is first
    second = images.slice(record, 1)
    images.slice(record, 0)
    images.slice(record, 2)
    assert images.slice(record, 0) is first
    assert images.slice(record, 1) is not second
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


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


def test_the_command_writes_the_same_page_and_refuses_what_it_cannot(exams, tables, tmp_path, comoto, text):
    one, other = (str(path) for path in tables.values())
    words = ["report", "--manifest", str(exams.manifests / "bcs-dbt"), "--min-radius", str(RADIUS)]
    words += ["--bootstrap", "40", "--seed", "3", "--out", str(tmp_path / "a.html")]
    assert comoto(*words, "--predictions", f"One <b>={one}", f"Other={other}").code == 0
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text
    mammograms = tmp_path / "m.csv"
    mammograms.write_text("image_id,x1,y1,x2,y2,score\na,0,0,5,5,0.5\n")
    for more, message in (
        ((f"--predictions=a={one}",), "a.html: exists; choose another name, or add --overwrite"),
        ((f"--predictions=a={one}", f"a={other}", "--overwrite"), "'a' is named twice"),
        ((f"--predictions=={one}", "--overwrite"), "expected a name and a path"),
        ((f"--predictions=a={tmp_path / 'a.html'}", "--overwrite"), "is one of the inputs"),
        ((f"--predictions={tmp_path / 'none.csv'}", "--overwrite"), "none.csv: cannot be read: no such file"),
        ((f"--predictions=m={mammograms}", "--overwrite"), "'comoto evaluate --mammogram-predictions'"),
        ((f"--predictions={one}", "--run", f"r={tmp_path}", "--overwrite"), "no checkpoint.json here"),
    ):
        answer = comoto(*words, *more)
        assert answer.code == 2, more
        assert message in answer.error
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text


def test_a_path_alone_is_named_by_its_file(exams, tables, tmp_path, comoto):
    folder = tmp_path / "lr=0.1"
    folder.mkdir()
    path = folder / "mine.csv"
    path.write_bytes(next(iter(tables.values())).read_bytes())
    words = ["report", "--manifest", str(exams.manifests / "bcs-dbt"), "--no-pictures", "--bootstrap", "2"]
    assert comoto(*words, "--predictions", path, "--out", tmp_path / "a.html").code == 0
    assert "<h1>CoMoTo report: mine on bcs-dbt</h1>" in (tmp_path / "a.html").read_text(encoding="utf-8")
