import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
from html_page import check_page

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.demo import STUDENTS
from comoto.errors import DatasetError
from comoto.records import Manifest, Split
from comoto.report.demo_folder import STUDENTS as TITLES
from comoto.report.demo_report import write_report
from comoto.report.training_runs import read_run, seen_in_training


@pytest.fixture(scope="module")
def text(demo_folder):
    return write_report(demo_folder).read_text(encoding="utf-8")


@pytest.fixture
def copied(demo_folder, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(demo_folder, folder, ignore=shutil.ignore_patterns("report.html", "state.pt"))
    return folder


def test_the_page_is_whole_and_small(text):
    page = check_page(text)
    assert len(text) < 5_000_000
    assert len(page.alts) > 20


def test_figures_are_those_of_the_evaluation(demo_folder, text):
    for name in STUDENTS:
        content = json.loads((demo_folder / f"evaluation/{name}.json").read_text())
        mean = content["mean_sensitivity_positive"]
        low, high = content["bootstrap"]["intervals"]["mean_sensitivity_positive"]
        assert f"{mean:.2f} ({low:.2f} to {high:.2f})" in text
        assert f"{content['num_lesions']} lesions in {content['num_volumes_positive']} volumes" in text
        assert f"{content['num_volumes_all']} test volumes of {content['num_patients']} patients" in text
    teacher = json.loads((demo_folder / "evaluation/teacher.json").read_text())
    assert f"{teacher['mean_sensitivity']:.2f} (" in text
    assert f"in {teacher['num_images']} mammograms" in text


def test_what_the_page_must_say(text):
    assert "Research software, not a medical device." in text
    assert "Every exam on this page is simulated" in text
    verdicts = re.findall(r'<p class="verdict">(.*?)</p>', text)
    assert len(verdicts) == 3
    for title, verdict in zip(("From scratch", "CoMoTo (LsKD)", "MAF (the recipe)"), verdicts, strict=True):
        assert re.search(r"cannot tell .* and .* apart|excludes zero", verdict)
        assert title in verdict
        assert "Fine-tuned" in verdict
    few = re.findall(r"<strong>Warning.</strong> (\d+ patients are few for an interval)", text)
    assert len(few) == 1
    assert text.index(few[0]) < text.index(verdicts[0])
    assert "with several comparisons, one may exclude zero by chance" in text
    assert (
        len(re.findall(r"is above the random baseline|is not shown to be above the random baseline", text))
        == 4
    )
    assert text.count('<div class="score">') == 4 + 3
    assert "distill.kind" in text
    assert "not set" in text


def test_wording_follows_the_number_of_students(text):
    assert text.count("four students on simulated tomosynthesis") == 2
    assert "Four students were trained on the same" in text
    assert "sees 8 mammograms in each batch beside its slices" in text
    assert not re.search(r"both students|two students|three (students|times)", text)


def test_every_student_has_its_place(text):
    rows = re.findall(r'<div class="panels".*?</figure>\s*</div>', text, flags=re.DOTALL)
    titles = ["Annotation", "Fine-tuned", "From scratch", "CoMoTo (LsKD)", "MAF (the recipe)"]
    assert len(rows) > 0
    assert all(re.findall(r'<div class="panel-name">(.*?)</div>\s*<svg', row) == titles for row in rows)
    joint = re.search(r"<code>joint.size</code></th>(.*?)</tr>", text)
    assert joint.group(1) == "<td>0</td><td>0</td><td>0</td><td>8</td>"
    assert (
        re.findall(r"<h3>(Fine-tuned|From scratch|CoMoTo \(LsKD\)|MAF \(the recipe\))</h3>", text)
        == titles[1:]
    )


def test_the_page_says_when_and_how_it_was_made_and_how_large_things_are(text):
    assert "Begun 2026-03-01 10:30+01:00: <code>comoto demo --out &lt;mine&gt;</code>" in text
    assert "at least 8.5 mm (5.3 source pixels)" in text
    assert "Longer side of the box, mm" in text
    assert re.search(r"<li>\w+, \d+ x \d+ mm, slice \d+</li>", text)


def test_depth_is_said_plainly(text):
    assert text.count("these metrics are no evidence that the depth of a lesion is found.") == 2
    rows = re.findall(r"<tr>(.*?)</tr>", text[text.index('<h2 id="depth">') :])[1:5]
    cells = [re.findall(r">([^<]+)</t[hd]>", row) for row in rows]
    assert [row[0] for row in cells] == ["Fine-tuned", "From scratch", "CoMoTo (LsKD)", "MAF (the recipe)"]
    assert all(re.fullmatch(r"\d+ %", row[1]) and 0 <= float(row[3]) <= 1 for row in cells)


def test_close_ups_are_folded(text):
    for figure in re.finditer('<div class="findings">', text):
        before = text[: figure.start()]
        assert before.count("<details>") > before.count("</details>")


def test_texts_are_escaped(text):
    assert "numpy &lt;2 &amp; more&gt;" in text
    assert "<2 & more>" not in text


def test_the_same_folder_gives_the_same_page(demo_folder, text):
    assert write_report(demo_folder).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "name",
    [
        "demo.json",
        "predictions/comoto.csv",
        "runs/joint-training/config.yaml",
        "evaluation/joint-training.json",
        "evaluation/teacher.json",
        "predictions/teacher.csv",
        "runs/comoto/checkpoint.json",
        "manifests/bcs-dbt/manifest.json",
    ],
)
def test_an_unfinished_folder_is_refused(copied, name):
    (copied / name).unlink()
    with pytest.raises(DatasetError, match=f"{re.escape(name)}: is missing.*run 'comoto demo"):
        write_report(copied)
    assert not (copied / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "figure"), [("comoto", "mean_sensitivity_positive"), ("teacher", "mean_sensitivity")]
)
def test_predictions_of_another_evaluation_are_refused(copied, name, figure):
    path = copied / f"evaluation/{name}.json"
    content = json.loads(path.read_text())
    content[figure] = 0.123
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"{name}.json: {figure} is 0.123, but .*{name}.csv gives"):
        write_report(copied)


@pytest.mark.parametrize("bootstrap", [None, {"replicates": 50}])
@pytest.mark.parametrize("name", ["comoto", "teacher"])
def test_an_evaluation_without_intervals_is_refused(copied, name, bootstrap):
    path = copied / f"evaluation/{name}.json"
    content = json.loads(path.read_text())
    content["bootstrap"] = bootstrap
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="has no bootstrap; evaluate again with --bootstrap"):
        write_report(copied)


def test_an_evaluation_of_something_else_is_refused(copied):
    (copied / "evaluation/teacher.json").write_text('{"format": "x"}')
    with pytest.raises(DatasetError, match=r"teacher.json: not an evaluation of the demo"):
        write_report(copied)


@pytest.mark.parametrize(("key", "told"), [("replicates", "51 replicates, seed 0"), ("seed", "seed 1")])
def test_evaluations_with_different_draws_are_refused(copied, key, told):
    path = copied / "evaluation/comoto.json"
    content = json.loads(path.read_text())
    content["bootstrap"][key] += 1
    path.write_text(json.dumps(content))
    message = f"comoto.json: intervals of .*{told}, but those of fine-tuned.json are of 50, seed 0"
    with pytest.raises(DatasetError, match=message):
        write_report(copied)
    assert not (copied / "report.html").exists()


def test_a_strange_demo_file_is_refused(copied):
    path = copied / "demo.json"
    content = json.loads(path.read_text())
    content["stages"][0]["seconds"] = -1
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"demo.json: is damaged, or was changed .*into a new folder"):
        write_report(copied)
    content.pop("checksum")
    write_sealed_json(path, content)
    with pytest.raises(DatasetError, match=r"demo.json: stages.0.seconds: .*greater than or equal to 0"):
        write_report(copied)


def test_a_report_of_the_same_tables_has_the_same_metrics_and_the_runs(demo_folder, text, tmp_path):
    tables = {title: demo_folder / f"predictions/{name}.csv" for name, title in TITLES.items()}
    runs = {"Taught": demo_folder / "runs/comoto", "Teacher": demo_folder / "runs/teacher"}
    own = api.write_report(
        tmp_path / "own.html",
        demo_folder / "manifests/bcs-dbt",
        tables,
        split="test",
        runs=runs,
        min_radius=5.3,
        bootstrap=50,
    ).read_text(encoding="utf-8")
    check_page(own)
    for part in (r'<div class="score">.*?</div>\n</div>', '<div class="wide metrics">.*?</table>'):
        assert re.findall(part, own, flags=re.DOTALL) == re.findall(part, text, flags=re.DOTALL) != []
    assert "Kept: Taught: epoch" in own
    assert "<summary>Taught: all settings</summary>" in own
    assert "Settings in which the runs differ" not in own  # a teacher is not compared with a student
    assert "Seen in training" not in own
    volumes = Manifest.load(demo_folder / "manifests/bcs-dbt").split(Split.TRAIN)
    trained = read_run(runs["Taught"]).patients["tomosynthesis/train"]
    told = seen_in_training({"Taught": read_run(runs["Taught"])}, volumes.images["patient_id"])
    assert told == (
        f"Taught was trained on {len(trained)} of the {volumes.images['patient_id'].nunique()} patients that "
        "are scored here, by their ids; its metrics are too good.",
    )


@pytest.mark.parametrize("name", STUDENTS)
def test_students_of_different_patients_are_refused(copied, name):
    path = copied / "runs" / name / "split.json"
    content = json.loads(path.read_text())
    content["tomosynthesis/train"].append("DBT-P99999")
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="trained on different patients"):
        write_report(copied)


@pytest.mark.slow
def test_the_pictures_of_the_documentation_are_made_from_such_a_folder(demo_folder, tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "demo_pictures.py"
    pictures = runpy.run_path(str(script))
    (tmp_path / "out").mkdir()
    pictures["main"]([str(demo_folder), "--out", str(tmp_path / "out")])
    for name in ("detections.png", "froc.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
