"""What a study reads again is what it wrote: damage is one named error, and former studies still open."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from study_files import hand_made_study, study_of

from comoto.checksums import write_sealed_json
from comoto.cli.main import run as command_line
from comoto.detectors.checkpoint import read_about
from comoto.errors import ComotoError, DatasetError, OutputExistsError
from comoto.preprocessing.store import PreparedStore
from comoto.study.config import saved_study
from comoto.study.grid import build_grid
from comoto.study.kept import (
    add_tables,
    keep_test_tables,
    lacking,
    read_done,
    tables_checksum,
    write_done,
    write_failed,
)
from comoto.study.results import read_results
from comoto.study.run import _check_predicted
from comoto.study.settings_check import changed_inputs
from comoto.study.spec import RunSpec, load_spec, run_state
from comoto.study.table import markdown, notes, summarise
from comoto.training.identity import store_identity
from tiny_exams import Exams

FOUND = {
    ("standard", 1.0, variant, seed, 0): [0, 1, 2]
    for variant in ("pretraining", "scratch")
    for seed in (0, 1)
}
ONE = {"fractions": [1.0], "seeds": [0, 1]}
RUN = "students/standard/100/pretraining/seed0-rep0"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return hand_made_study(tmp_path / "study", FOUND, **ONE)


def as_formerly(study: Path) -> None:
    """Turn a study's folder into what the version before the checksums left."""
    (study / "test.json").unlink()
    for path in study.rglob("done.json"):
        done = json.loads(path.read_text())
        former = {"format": "comoto-study-run-1", "name": path.parent.name, "seconds": done["seconds"]}
        path.write_text(json.dumps(former, indent=1) + "\n", encoding="utf-8")


def test_a_table_cut_at_a_line_is_refused(study: Path) -> None:
    """It used to give another figure: 0.75 of the lesions became 0.5."""
    path = study / RUN / "predictions.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(
        DatasetError, match=r"rep0/predictions\.csv: is damaged.*remove it, and 'comoto study run'"
    ):
        read_results(study)


@pytest.mark.parametrize("name", ["labels.csv", "boxes.csv"])
def test_the_test_volumes_cut_at_a_line_are_refused(study: Path, name: str) -> None:
    lines = (study / name).read_text(encoding="utf-8").splitlines(keepends=True)
    (study / name).write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"{name}: is damaged.*'comoto study run' writes it again"):
        read_results(study)


@pytest.mark.parametrize("name", ["test.json", f"{RUN}/done.json", f"{RUN}/failed.json", f"{RUN}/spec.json"])
@pytest.mark.parametrize("damage", ["cut", "bit", "bytes", "list", "deep"])
def test_a_damaged_record_is_one_named_error(study: Path, name: str, damage: str) -> None:
    path = study / name
    if name.endswith("failed.json"):
        write_failed(path.parent, {"reason": "no memory"})
    if name.endswith("spec.json"):
        spec_of(study, "").save()
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "cut": good[:middle],
            "bit": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "bytes": b"\xff" + good,
            "list": b"[]",
            "deep": b"[" * 20_000,
        }[damage]
    )
    run = build_grid(saved_study(study), study).students[0]
    read = {"test.json": read_results, "spec.json": lambda folder: load_spec(folder / name)}
    with pytest.raises(ComotoError, match=rf"{path.name}: is damaged"):
        read.get(path.name, lambda folder: run_state(run, folder))(study)


def test_a_damaged_study_is_wrong_input_on_the_command_line(study: Path, monkeypatch, capsys) -> None:
    (study / RUN / "done.json").write_bytes(b"\xff")
    for command in ("status", "table", "rules"):
        monkeypatch.setattr(sys, "argv", ["comoto", "study", command, str(study)])
        with pytest.raises(SystemExit) as leaving:
            command_line()
        assert leaving.value.code == 2
        said = capsys.readouterr().err
        assert command == "rules" or "done.json: is damaged" in said
        assert "internal error" not in said


def test_a_study_of_the_former_format_opens_and_says_what_is_not_checked(study: Path) -> None:
    before = markdown(results := read_results(study), rows := summarise(results))
    assert not [note for note in notes(results, rows) if "checksums" in note]
    as_formerly(study)
    results = read_results(study)
    after = markdown(results, summarise(results))
    extra = "Not checked, because a former version kept no checksums: 6 tables, first labels.csv."
    assert after.replace(f"{extra}\n", "").split() == before.split()
    run = build_grid(saved_study(study), study).students[0]
    assert run_state(run, study).status == "done"
    assert run_state(run, study).seconds == 10.0


def test_a_former_failure_and_a_former_order_of_a_worker_are_read(study: Path) -> None:
    spec = spec_of(study, "")
    content = spec.model_dump(mode="json")
    del content["test_sha256"]
    (study / RUN / "spec.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_spec(study / RUN / "spec.json") == spec
    (study / RUN / "failed.json").write_text('{"reason": "no memory"}', encoding="utf-8")
    run = build_grid(saved_study(study), study).students[0]
    assert (run_state(run, study).status, run_state(run, study).reason) == ("failed", "no memory")


def test_a_table_that_a_killed_worker_did_not_note_is_made_again(study: Path) -> None:
    folder = study / RUN
    (folder / "predictions-few.csv").write_text("half", encoding="utf-8")
    assert lacking(folder, ["", "few"]) == ["few"]
    add_tables(folder, {"predictions-few.csv": "0" * 64})
    assert lacking(folder, ["", "few"]) == []


def test_new_tables_of_a_former_run_do_not_vouch_for_its_old_ones(study: Path) -> None:
    as_formerly(study)
    folder = study / RUN
    assert lacking(folder, ["", "few"]) == ["few"]
    (folder / "predictions-few.csv").write_text("new", encoding="utf-8")
    add_tables(folder, {"predictions-few.csv": "0" * 64})
    done = read_done(folder)
    assert done is not None
    assert (done["tables"], done["unchecked"]) == ({"predictions-few.csv": "0" * 64}, ["predictions.csv"])
    assert lacking(folder, ["", "few"]) == []
    assert RUN in read_results(study).unchecked


def test_predictions_of_other_volumes_are_not_mixed(study: Path) -> None:
    """The store at the same path was made anew, with one volume less."""
    tables = {name: (study / name).read_text(encoding="utf-8") for name in ("labels.csv", "boxes.csv")}
    fewer = {**tables, "boxes.csv": tables["boxes.csv"].rpartition("p3")[0]}
    plan, spec = saved_study(study), spec_of(study, tables_checksum(tables))
    run = build_grid(plan, study).students[0]
    _check_predicted(run, plan, spec.save(), tables_checksum(tables))
    with pytest.raises(OutputExistsError, match=r"predicted other volumes or lesions than .* holds now"):
        _check_predicted(run, plan, spec.save(), tables_checksum(fewer))
    keep_test_tables(study, fewer)
    with pytest.raises(DatasetError, match=r"rep0: predicted other volumes or lesions than labels\.csv"):
        read_results(study)


@pytest.mark.parametrize("key", ["data.mammograms", "data.tomosynthesis", "teacher"])
def test_a_run_on_other_content_is_not_mixed_with_new_ones(
    exams: Exams, teacher_run: Path, tmp_path: Path, key: str
) -> None:
    """The paths in the settings are the same, and another preparation or teacher lies there by now."""
    out = tmp_path / "out"
    grid = build_grid(study_of(exams.stores, **ONE), out)
    run = next(run for run in grid.students if run.teacher is not None)
    assert run.teacher is not None
    shutil.copytree(teacher_run, out / run.teacher / "run")
    write_done(out / run.teacher, {}, {}, "")
    inputs = {
        "data.mammograms": [store_identity(PreparedStore(exams.stores / "vindr-mammo"))],
        "data.tomosynthesis": store_identity(PreparedStore(exams.stores / "bcs-dbt")),
        "teacher": read_about(teacher_run)[2],
    }
    about = {"format": "comoto-run-1", "inputs": inputs}
    write_sealed_json(out / run.name / "run" / "run.json", about)
    assert list(changed_inputs([run], out)) == []
    changed = {**inputs, key: [] if key == "data.mammograms" else "0" * 64}
    write_sealed_json(out / run.name / "run" / "run.json", {**about, "inputs": changed})
    assert list(changed_inputs([run], out)) == [(run, key)]


def test_a_changed_study_file_is_told(study: Path) -> None:
    """People may edit it; a flipped bit may too."""
    path = study / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("radius: 5.3", "radius: 7.3"), encoding="utf-8")
    results = read_results(study)
    assert results.study.min_hit_radius == 7.3
    assert "study.yaml was changed since the study was last run" in markdown(results, summarise(results))


def test_one_seed_is_never_bold(tmp_path: Path) -> None:
    found = {("standard", 1.0, "pretraining", 0, 0): [], ("standard", 1.0, "scratch", 0, 0): [0, 1, 2, 3]}
    results = read_results(hand_made_study(tmp_path / "study", found, fractions=[1.0], seeds=[0]))
    rows = summarise(results)
    assert rows[1].comparison is not None
    assert rows[1].comparison.excludes_zero
    text = markdown(results, rows)
    assert "| +1.000 [+1.000, +1.000] |" in text
    assert "**" not in text
    assert "1 of their intervals exclude 0 (0 of them bold, the others rest on one seed)" in text


def spec_of(study: Path, test_sha256: str) -> RunSpec:
    plan = saved_study(study)
    run = build_grid(plan, study).students[0]
    return RunSpec(
        name=run.name,
        role="student",
        folder=study / run.name,
        config=run.config,
        config_hash="",
        test=plan.data.tomosynthesis,
        stop=study / "stop",
        keep_state=False,
        test_sha256=test_sha256,
    )
