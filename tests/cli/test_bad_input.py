"""Each kind of bad input: exit code 2, one line that names the file and the way out, nothing half-written."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_calls import contents, in_own_process

from comoto import api
from dicom_files import breast, write_dicom
from tiny_exams import TINY
from tiny_releases import BcsTree

GRID = ("--set", "preprocess.rows=128", "--set", "preprocess.columns=64")


@pytest.fixture
def refused(comoto, tmp_path):
    """Call, and check that the call is refused with all the parts in its line and leaves no trace."""

    def call(words, *parts):
        before = contents(tmp_path)
        answer = comoto(*words)
        assert answer.code == 2, (answer.code, answer.out, answer.err)
        assert answer.out == ""
        for part in parts:
            assert str(part) in answer.error
        assert contents(tmp_path) == before

    return call


def index(dataset, root, tmp_path):
    return "index", dataset, root, "--out", tmp_path / "manifest"


def predict(student_run, tmp_path, *inputs):
    return "predict", "--model", student_run, "--out", tmp_path / "p.csv", *inputs


@pytest.fixture
def volume(tmp_path) -> Path:
    return write_dicom(tmp_path / "volume.dcm", breast(5, 160, 80, "L"))


class TestMissingFolder:
    @pytest.mark.parametrize("dataset", ["bcs-dbt", "vindr-mammo"])
    def test_index(self, refused, tmp_path, dataset):
        refused(index(dataset, tmp_path / "nowhere", tmp_path), tmp_path / "nowhere", "no such f")

    def test_predict(self, refused, tmp_path, student_run):
        words = predict(student_run, tmp_path, tmp_path / "nowhere")
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
        refused(index("bcs-dbt", bcs.root, tmp_path), bcs.table("boxes"), "columns are missing: Width")

    def test_missing_column_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.findings, ",xmin,", ",x_min,")
        refused(index("vindr-mammo", vindr.root, tmp_path), vindr.findings, "columns are missing: xmin")

    def test_missing_column_of_predictions(self, refused, bcs, tmp_path):
        (tmp_path / "p.csv").write_text("PatientID,StudyUID,View,X,Width,Y,Height,Z,Dept,Score\n")
        tables = ("--labels", bcs.table("labels", "test"), "--boxes", bcs.table("boxes", "test"))
        words = ("evaluate", "--predictions", tmp_path / "p.csv", *tables, "--json", tmp_path / "e.json")
        refused(words, tmp_path / "p.csv", "column 'Depth' is missing; did you mean 'Dept'?")

    def test_box_outside(self, refused, bcs, tmp_path):
        bcs.edit("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,50,6,4,7")  # the images are 20 pixels wide
        where = index("bcs-dbt", bcs.root, tmp_path)
        refused(where, bcs.table("boxes"), "lies wholly outside of its image in line 3", "correct or remove")

    def test_box_outside_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.findings, "2.5,3.25,8.75,9.5", "2.5,43.25,8.75,49.5")
        where = index("vindr-mammo", vindr.root, tmp_path)
        refused(where, vindr.findings, "lies wholly outside of its image in line 4", "correct or remove")

    def test_unknown_view(self, refused, bcs, tmp_path):
        bcs.edit("labels", "DBT-S00001,rcc,", "DBT-S00001,rxcc,")
        where = index("bcs-dbt", bcs.root, tmp_path)
        refused(where, bcs.table("labels"), "View is not like lcc, rmlo or lmlo1 in line 4", "correct")

    def test_unknown_view_of_vindr(self, refused, vindr, tmp_path):
        vindr.edit(vindr.images, "s2,e2,b1,R,CC", "s2,e2,b1,R,XCCL")
        where = index("vindr-mammo", vindr.root, tmp_path)
        refused(where, vindr.images, "view_position is none of CC, MLO in line 4", "correct the table")

    def test_absent_volume(self, refused, bcs, tmp_path):
        next(bcs.root.rglob("*.1100777/1-1.dcm")).unlink()
        where = index("bcs-dbt", bcs.root, tmp_path)
        refused(where, bcs.root, "1 of 6 volumes", "DBT-P00002 DBT-S00002 rmlo;", "--allow-missing")

    def test_absent_mammogram(self, refused, vindr, tmp_path):
        (vindr.root / "images" / "s1" / "a2.dicom").unlink()
        where = index("vindr-mammo", vindr.root, tmp_path)
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
        refused(predict(student_run, tmp_path, path), path, message)

    def test_predict_on_a_folder_finishes_the_others_first(self, comoto, volume, tmp_path, student_run):
        path, message = damaged(volume, "cut")
        answer = comoto(*predict(student_run, tmp_path, tmp_path))
        assert answer.code == 2
        assert "1 of 2 images" in answer.error
        assert str(path) in answer.error
        assert message in answer.error
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
        assert comoto(*index("bcs-dbt", bcs.root, tmp_path)).code == 0
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
        assert len(list((store / "images").glob("*.npy"))) == 5
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
        refused(index("bcs-dbt", bcs.root, tmp_path), bad, message)


class TestSettings:
    @pytest.mark.parametrize(
        ("words", "key", "near"),
        [
            (("train", "teacher", "--mammograms", "s", "--out", "r"), "batch.sise=2", "size"),
            (("train", "student", "--tomosynthesis", "s", "--out", "r"), "distil.kind=none", "distill"),
            (("prepare", "--manifest", "manifest", "--out", "s"), "preprocess.row=64", "rows"),
            (("simulate", "--out", "sim"), "traps.rotated_shar=1", "rotated_share"),
        ],
    )
    def test_unknown_key(self, refused, comoto, vindr, tmp_path, monkeypatch, words, key, near):
        monkeypatch.chdir(tmp_path)
        assert comoto("index", "vindr-mammo", vindr.root, "--out", "manifest").code == 0
        name = "distil" if key.startswith("distil") else key.split("=")[0]
        refused((*words, "--set", key), f"unknown configuration key '{name}'; did you mean '{near}'?")

    def test_unknown_key_of_prediction(self, refused, tmp_path, student_run, volume):
        words = (*predict(student_run, tmp_path, volume), "--set", "slice_stp=2")
        refused(words, "unknown configuration key 'slice_stp'; did you mean 'slice_step'?")

    def test_unknown_key_in_a_file(self, refused, tmp_path, monkeypatch):
        (tmp_path / "mine.yaml").write_text("batch:\n  sise: 4\n")
        words = ("train", "teacher", "--mammograms", "s", "--out", tmp_path / "r")
        refused((*words, "--preset", tmp_path / "mine.yaml"), "'batch.sise'; did you mean 'size'?")

    def test_a_file_that_is_no_yaml(self, refused, tmp_path):
        (tmp_path / "mine.yaml").write_text("batch: [\n")
        words = ("train", "teacher", "--mammograms", "s", "--out", tmp_path / "r")
        refused((*words, "--preset", tmp_path / "mine.yaml"), "mine.yaml: not readable as YAML")

    @pytest.mark.parametrize(
        ("option", "near"),
        [(("--split", "tset"), "test"), (("--aggregation", "nms3d"), "nms_3d")],
    )
    def test_unknown_words_of_prediction(self, refused, exams, tmp_path, student_run, option, near):
        words = predict(student_run, tmp_path, exams.manifests / "bcs-dbt")
        refused((*words, *option), option[1], f"did you mean '{near}'?")


class TestCheckpoint:
    def test_a_teacher_of_another_architecture(self, refused, exams, teacher_run, tmp_path):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wider_student(exams)))
        words = ("train", "student", "--tomosynthesis", exams.stores / "bcs-dbt", "--out", tmp_path / "run")
        given = ("--teacher", teacher_run, "--preset", tmp_path / "mine.yaml")
        refused((*words, *given), teacher_run, "another architecture", "of another shape", "use the detector")

    def test_weights_of_another_model(self, refused, teacher_run, volume, tmp_path):
        """A description of one run with the weights of another."""
        for name in ("checkpoint.json", "model.safetensors"):
            (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "model" / name).write_bytes((teacher_run / name).read_bytes())
        about = tmp_path / "model" / "checkpoint.json"
        text = about.read_text()
        assert text.count('"pyramid_channels": ') == 1
        head, _, tail = text.partition('"pyramid_channels": ')
        about.write_text(f'{head}"pyramid_channels": 48{tail[tail.index(",") :]}')
        words = ("predict", "--model", tmp_path / "model", "--out", tmp_path / "p.csv", volume)
        refused(words, tmp_path / "model", "another architecture")

    def test_a_cut_checkpoint(self, refused, teacher_run, volume, tmp_path):
        (tmp_path / "model").mkdir()
        for name, bytes_left in (("checkpoint.json", None), ("model.safetensors", 1000)):
            (tmp_path / "model" / name).write_bytes((teacher_run / name).read_bytes()[:bytes_left])
        words = ("predict", "--model", tmp_path / "model", "--out", tmp_path / "p.csv", volume)
        refused(words, tmp_path / "model" / "model.safetensors", "not readable as safetensors")


def wider_student(exams) -> dict:
    from comoto.config import load_train_config

    config = load_train_config("demo", [*TINY, "detector.pyramid_channels=48"])
    return config.model_dump(mode="json")


class TestExistingOutput:
    def test_index(self, refused, vindr, tmp_path):
        (tmp_path / "manifest").mkdir()
        (tmp_path / "manifest" / "mine.txt").write_text("precious")
        refused(index("vindr-mammo", vindr.root, tmp_path), tmp_path / "manifest", "is not empty")

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
        refused(predict(student_run, tmp_path, volume), tmp_path / "p.json", "choose another --out")

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
        refused((*words, out), "comoto: file")

    def test_an_unreadable_table(self, refused, tmp_path, bcs):
        bcs.table("labels").unlink()
        (bcs.root / "BCS-DBT-labels-train-v2.csv").mkdir()
        refused(index("bcs-dbt", bcs.root, tmp_path), "BCS-DBT-labels-train-v2.csv")

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


def test_the_same_in_a_process_of_its_own(tmp_path, bcs):
    """The installed command and ``python -m comoto`` answer as the calls above."""
    bcs.edit("labels", "DBT-S00001,rcc,", "DBT-S00001,rxcc,")
    before = contents(tmp_path)
    answer = in_own_process(*index("bcs-dbt", bcs.root, tmp_path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"comoto: {bcs.table('labels')}: View is not like lcc, rmlo or lmlo1 in line 4; correct the table\n"
    )
    assert contents(tmp_path) == before
