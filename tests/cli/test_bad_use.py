"""Wrong settings, run folders that do not fit, outputs in the way: one line, nothing half-written."""

import json
import re
from functools import partial

import pytest
import yaml

from command_calls import in_own_process, index_words, predict_words
from comoto.checksums import write_sealed_json
from tiny_exams import TINY


class TestSettings:
    @pytest.mark.parametrize(
        ("words", "key", "near"),
        [
            (("train", "teacher", "--mammograms", "s", "--out", "r"), "batch.sise=2", "batch.size"),
            (("train", "student", "--tomosynthesis", "s", "--out", "r"), "distil.kind=none", "distill"),
            (("prepare", "--manifest", "manifest", "--out", "s"), "preprocess.row=64", "preprocess.rows"),
            (("simulate", "--out", "sim"), "traps.rotated_shar=1", "traps.rotated_share"),
        ],
    )
    def test_unknown_key(self, refused, comoto, vindr, tmp_path, monkeypatch, words, key, near):
        monkeypatch.chdir(tmp_path)
        assert comoto("index", "vindr-mammo", vindr.root, "--out", "manifest").code == 0
        name = "distil" if key.startswith("distil") else key.split("=")[0]
        refused((*words, "--set", key), f"unknown configuration key '{name}'; did you mean '{near}'?")

    def test_unknown_key_of_prediction(self, refused, tmp_path, student_run, volume):
        words = (*predict_words(student_run, tmp_path, volume), "--set", "slice_stp=2")
        refused(words, "unknown configuration key 'slice_stp'; did you mean 'slice_step'?")

    def test_unknown_key_in_a_file(self, refused, tmp_path, monkeypatch):
        (tmp_path / "mine.yaml").write_text("batch:\n  sise: 4\n")
        words = ("train", "teacher", "--mammograms", "s", "--out", tmp_path / "r")
        refused((*words, "--preset", tmp_path / "mine.yaml"), "'batch.sise'; did you mean 'batch.size'?")

    def test_a_file_that_is_no_yaml(self, refused, tmp_path):
        (tmp_path / "mine.yaml").write_text("batch: [\n")
        words = ("train", "teacher", "--mammograms", "s", "--out", tmp_path / "r")
        refused((*words, "--preset", tmp_path / "mine.yaml"), "mine.yaml: not readable as YAML")

    @pytest.mark.parametrize(
        ("option", "near"),
        [(("--split", "tset"), "test"), (("--aggregation", "nms3d"), "nms_3d")],
    )
    def test_unknown_words_of_prediction(self, refused, exams, tmp_path, student_run, option, near):
        words = predict_words(student_run, tmp_path, exams.manifests / "bcs-dbt")
        refused((*words, *option), option[1], f"did you mean '{near}'?")

    def test_missing_mammograms_name_their_option(self, refused, exams, teacher_run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_settings()))
        words = ("train", "student", "--tomosynthesis", exams.stores / "bcs-dbt", "--out", tmp_path / "run")
        given = ("--preset", "tiny.yaml", "--teacher", teacher_run, "--set", "distill.kind=lesion_points")
        refused((*words, *given), "data.mammograms is not set", "(--mammograms)")

    def test_a_missing_teacher_names_its_option(self, refused, exams, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_settings()))
        words = ("train", "student", "--tomosynthesis", exams.stores / "bcs-dbt", "--out", tmp_path / "run")
        given = ("--preset", "tiny.yaml", "--set", "distill.kind=lesion_points")
        refused((*words, *given), "distill.kind=lesion_points needs one", "(--teacher)")


class TestCheckpoint:
    def test_a_teacher_of_another_architecture(self, refused, exams, teacher_run, tmp_path):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wider_student(exams)))
        words = ("train", "student", "--tomosynthesis", exams.stores / "bcs-dbt", "--out", tmp_path / "run")
        given = ("--teacher", teacher_run, "--preset", tmp_path / "mine.yaml")
        refused((*words, *given), teacher_run, "another architecture", "64 instead of 48", "use the detector")

    def test_weights_of_another_model(self, refused, teacher_run, volume, tmp_path):
        """A description of one run with the weights of another."""
        for name in ("checkpoint.json", "model.safetensors"):
            (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "model" / name).write_bytes((teacher_run / name).read_bytes())
        about = tmp_path / "model" / "checkpoint.json"
        text = about.read_text()
        assert text.count('"pyramid_channels": ') == 1
        head, _, tail = text.partition('"pyramid_channels": ')
        content = json.loads(f'{head}"pyramid_channels": 48{tail[tail.index(",") :]}')
        del content["checksum"]
        write_sealed_json(about, content)
        words = ("predict", "--model", tmp_path / "model", "--out", tmp_path / "p.csv", volume)
        refused((*words, "--other-modality"), tmp_path / "model", "another architecture")

    def test_a_cut_checkpoint(self, refused, teacher_run, volume, tmp_path):
        (tmp_path / "model").mkdir()
        for name, bytes_left in (("checkpoint.json", None), ("model.safetensors", 1000)):
            (tmp_path / "model" / name).write_bytes((teacher_run / name).read_bytes()[:bytes_left])
        words = ("predict", "--model", tmp_path / "model", "--out", tmp_path / "p.csv", volume)
        words = (*words, "--other-modality")
        refused(words, tmp_path / "model" / "model.safetensors", "not readable as safetensors")


def wider_student(exams) -> dict:
    from comoto.config import load_train_config

    config = load_train_config("demo", [*TINY, "detector.pyramid_channels=48"])
    return config.model_dump(mode="json")


class TestExistingOutput:
    def test_index(self, refused, vindr, tmp_path):
        (tmp_path / "manifest").mkdir()
        (tmp_path / "manifest" / "mine.txt").write_text("precious")
        refused(index_words("vindr-mammo", vindr.root, tmp_path), tmp_path / "manifest", "is not empty")

    @pytest.mark.parametrize("out", ["taken", "taken/file.txt"])
    @pytest.mark.parametrize(
        "words",
        [
            ("simulate", "--size", "tiny", "--out"),
            ("demo", "--out"),
            ("prepare", "--manifest", "manifest", "--out"),
            ("train", "teacher", "--mammograms", "store", "--preset", "tiny.yaml", "--out"),
        ],
    )
    def test_folders(self, refused, exams, tmp_path, monkeypatch, words, out):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "file.txt").write_text("precious")
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_settings()))
        (tmp_path / "manifest").symlink_to(exams.manifests / "vindr-mammo")
        (tmp_path / "store").symlink_to(exams.stores / "vindr-mammo")
        refused((*words, out), out)

    def test_predict(self, refused, student_run, volume, tmp_path):
        (tmp_path / "p.json").write_text("precious")
        refused(predict_words(student_run, tmp_path, volume), tmp_path / "p.json", "choose another --out")

    @pytest.mark.parametrize("option", ["--json", "--figure"])
    def test_evaluate(self, refused, bcs, tmp_path, option):
        (tmp_path / "there.png").write_text("precious")
        tables = ("--labels", bcs.table("labels", "test"), "--boxes", bcs.table("boxes", "test"))
        words = ("evaluate", "--predictions", bcs.table("boxes", "test"), *tables)
        refused((*words, option, tmp_path / "there.png"), tmp_path / "there.png", "--overwrite")

    def test_draw(self, refused, volume, tmp_path):
        (tmp_path / "a.png").write_text("precious")
        refused(("draw", volume, "--out", tmp_path / "a.png"), tmp_path / "a.png", "--overwrite")

    def test_a_study_file_is_never_replaced(self, comoto, tmp_path):
        (tmp_path / "study.yaml").write_text("mine", encoding="utf-8")
        answer = comoto("study", "init", tmp_path / "study.yaml")
        assert answer.code == 2
        assert answer.error.endswith("study.yaml: exists; choose another name")  # there is no --overwrite
        assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "mine"


def tiny_settings() -> dict:
    from comoto.config import load_train_config

    return load_train_config("demo", TINY, role="teacher").model_dump(mode="json")


class TestOperatingSystem:
    """Folders below a file stand for folders without permission: they fail for the superuser too."""

    @pytest.mark.parametrize(
        "words",
        [
            ("simulate", "--size", "tiny", "--out"),
            ("demo", "--out"),
            ("index", "vindr-mammo", "vindr-mammo", "--out"),
            ("prepare", "--manifest", "manifest", "--out"),
            ("train", "teacher", "--mammograms", "store", "--preset", "tiny.yaml", "--out"),
            ("draw", "volume.dcm", "--out"),
        ],
    )
    def test_an_output_that_cannot_be_made(self, refused, exams, vindr, volume, tmp_path, monkeypatch, words):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_text("precious")
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_settings()))
        (tmp_path / "manifest").symlink_to(exams.manifests / "vindr-mammo")
        (tmp_path / "store").symlink_to(exams.stores / "vindr-mammo")
        out = "file/below.png" if "draw" in words else "file/below"
        # some commands name the file as it was given, those with workers name its whole path
        assert re.match(r"comoto: (/\S*/)?file[/:]", refused((*words, out)).error)

    def test_an_unreadable_table(self, refused, tmp_path, bcs):
        bcs.table("labels").unlink()
        (bcs.root / "BCS-DBT-labels-train-v2.csv").mkdir()
        refused(index_words("bcs-dbt", bcs.root, tmp_path), "BCS-DBT-labels-train-v2.csv")

    def test_a_full_disk(self, tmp_path):
        """A limit on the size of files stands for the full disk."""
        resource = pytest.importorskip("resource")
        patients = ("--mammograms", 2, "--train", 1, "--validation", 0, "--test", 0)
        answer = in_own_process(
            *("simulate", "--size", "tiny", *patients),
            *("--workers", 1, "--out", tmp_path / "sim"),
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (9000, 9000)),
        )
        assert answer.code == 2
        assert "File too large" in answer.error
        assert str(tmp_path / "sim") in answer.error
        assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]
