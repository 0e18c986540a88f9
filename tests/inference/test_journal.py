"""The journal of a prediction: what may be continued, what damage does, and a full disk."""

import json
import os
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comoto import api
from comoto.checksums import seal_line
from comoto.errors import OutputExistsError
from comoto.inference import predict as predict_room
from comoto.locks import hold, lock_of
from dicom_files import breast, write_dicom

FILES = 3


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write_dicom(
            tmp_path / f"v{k}.dcm",
            breast(3, 80, 48, "L", level=300 + 40 * k),
            "raw",
            tags={"StudyInstanceUID": f"1.2.{k + 3}", "ViewPosition": "CC", "PatientID": "P"},
        )
        for k in range(FILES)
    ]


@pytest.fixture
def cut_after(student_run, monkeypatch):
    """Predict, and be interrupted after so many images; the calls that were made are returned."""
    real = predict_room.predict_volume

    def call(out, inputs, number, **options):
        done = []

        def counted(model, path, config=None, job=None):
            if len(done) == number:
                raise KeyboardInterrupt
            done.append(path)
            return real(model, path, config, job)

        with monkeypatch.context() as patch:
            patch.setattr(predict_room, "predict_volume", counted)
            if number < FILES:
                with pytest.raises(KeyboardInterrupt):
                    api.predict(student_run, inputs, out, **options)
            else:
                api.predict(student_run, inputs, out, **options)
        return done

    return call


def images(out: Path) -> list[str]:
    return [Path(one["path"]).name for one in json.loads(out.with_suffix(".json").read_text())["images"]]


class TestInputs:
    def test_other_inputs_are_refused(self, cut_after, student_run, files, tmp_path):
        out = tmp_path / "p.csv"
        cut_after(out, files[:2], 1)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(
            OutputExistsError, match=r"other inputs \(.*v0\.dcm.*\): it holds .*v0\.dcm, not ask"
        ):
            api.predict(student_run, files[2:], out)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_another_split_is_refused(self, cut_after, exams, student_run, tmp_path):
        out, manifest = tmp_path / "p.csv", exams.manifests / "bcs-dbt"
        cut_after(out, [manifest], 1, split="train")
        with pytest.raises(OutputExistsError, match=r"other inputs \(--split train .*bcs-dbt\)"):
            api.predict(student_run, [manifest], out, split="test")

    def test_more_inputs_continue_in_the_new_order(self, cut_after, student_run, files, tmp_path):
        out = tmp_path / "p.csv"
        cut_after(out, files[1:], 1)
        assert cut_after(out, files, FILES) == [files[0], files[2]]
        api.predict(student_run, files, tmp_path / "whole.csv")
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()

    def test_a_replaced_file_is_predicted_again(self, cut_after, student_run, files, tmp_path, told):
        out = tmp_path / "p.csv"
        cut_after(out, files, 2)
        write_dicom(
            files[0], breast(4, 90, 48, "L"), "raw", tags={"StudyInstanceUID": "1.2.3", "PatientID": "P"}
        )
        assert cut_after(out, files, FILES) == [files[0], files[2]]
        assert "1 images were replaced since; they are predicted again" in told.readouterr().err
        api.predict(student_run, files, tmp_path / "whole.csv")
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()

    @pytest.mark.skipif(sys.platform == "win32", reason="times of the entry can be set there")
    def test_a_file_replaced_under_its_old_length_and_time_is_predicted_again(
        self, cut_after, student_run, files, tmp_path
    ):
        out = tmp_path / "p.csv"
        cut_after(out, files, 2)
        status = files[0].stat()
        content = bytearray(files[0].read_bytes())
        content[-40:] = bytes(40)
        files[0].write_bytes(content)
        os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
        assert cut_after(out, files, FILES) == [files[0], files[2]]

    def test_other_keys_are_another_image(self, cut_after, exams, student_run, tmp_path):
        """The same file under its manifest: its side and its keys are others, so is its row."""
        out, manifest = tmp_path / "p.csv", exams.manifests / "bcs-dbt"
        cut_after(out, [manifest], 1)
        with pytest.raises(OutputExistsError, match="other inputs"):
            api.predict(student_run, [exams.bcs_dbt / "Breast-Cancer-Screening-DBT"], out)

    def test_a_journal_of_a_former_version(self, student_run, files, tmp_path):
        (tmp_path / "p.csv.journal").write_text(json.dumps({"model": "student"}) + "\n")
        with pytest.raises(OutputExistsError, match=r"former version .* remove it to start afresh"):
            api.predict(student_run, files, tmp_path / "p.csv")


class TestDamage:
    def test_a_flipped_bit_is_found_or_harmless(self, cut_after, student_run, files, tmp_path):
        """Refused by name, or (in the last line end) an image is done again: never another table."""
        whole = api.predict(student_run, files, tmp_path / "whole.csv").table.read_bytes()
        out = tmp_path / "p.csv"
        cut_after(out, files, 2)
        journal = tmp_path / "p.csv.journal"
        content = journal.read_bytes()
        dice = random.Random(0)
        spots = [len(content) - 1, content.index(b"\n"), *(dice.randrange(len(content)) for _ in range(40))]
        for spot in spots:
            damaged = bytearray(content)
            damaged[spot] ^= 1 << dice.randrange(8)
            journal.write_bytes(damaged)
            if spot == len(content) - 1:
                api.predict(student_run, files, out)
                assert out.read_bytes() == whole
                continue
            with pytest.raises(OutputExistsError, match="remove it to start afresh") as refusal:
                api.predict(student_run, files, out)
            assert str(journal) in str(refusal.value)

    @pytest.mark.parametrize("cut", [1, 30, 0.5, 0.99])
    def test_a_torn_end_is_done_again(self, cut_after, student_run, files, tmp_path, cut):
        whole = api.predict(student_run, files, tmp_path / "whole.csv").table.read_bytes()
        out, journal = tmp_path / "p.csv", tmp_path / "p.csv.journal"
        cut_after(out, files, 2)
        content = journal.read_bytes()
        journal.write_bytes(content[: cut if isinstance(cut, int) else int(cut * len(content))])
        api.predict(student_run, files, out)
        assert out.read_bytes() == whole

    def test_a_line_of_another_format(self, student_run, files, tmp_path):
        (tmp_path / "p.csv.journal").write_text(seal_line('{"format": "comoto-journal-9"}') + "\n")
        with pytest.raises(OutputExistsError, match="written by another version; remove it"):
            api.predict(student_run, files, tmp_path / "p.csv")


def test_two_at_once(student_run, files, tmp_path):
    out = tmp_path / "p.csv"
    with (
        hold(lock_of(out), "busy"),
        pytest.raises(OutputExistsError, match="another prediction is writing it"),
    ):
        api.predict(student_run, files, out)
    assert api.predict(student_run, files, out).num_images == FILES
    assert sorted(path.name for path in tmp_path.iterdir() if path not in files) == ["p.csv", "p.json"]


@contextmanager
def room_of(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("where", "name"), [("head", "p.csv.journal"), ("entry", "p.csv.journal"), ("sidecar", "p.json")]
)
def test_a_full_disk_names_the_file(comoto, cut_after, student_run, files, tmp_path, where, name):
    whole = api.predict(student_run, files, tmp_path / "whole.csv").table.read_bytes()
    cut_after(tmp_path / "p.csv", files, 2)
    head, *entries = (len(line) + 1 for line in (tmp_path / "p.csv.journal").read_bytes().split(b"\n")[:-1])
    for path in tmp_path.glob("p.*"):
        path.unlink()
    sizes = {"head": head // 2, "entry": head + entries[0] + 20, "sidecar": head + 4 * max(entries)}
    with room_of(sizes[where]):
        answer = comoto("predict", "--model", student_run, "--out", tmp_path / "p.csv", *files)
    assert answer.code == 2
    assert answer.error == f"comoto: {tmp_path / name}: File too large"
    assert not list(tmp_path.glob(".*"))
    api.predict(student_run, files, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_bytes() == whole


class TestPlaces:
    def test_a_folder(self, student_run, files, tmp_path):
        with pytest.raises(OutputExistsError, match="is a folder; name a file in it, such as"):
            api.predict(student_run, files, tmp_path)

    def test_the_name_of_the_twin(self, student_run, files, tmp_path):
        with pytest.raises(
            OutputExistsError, match=r"JSON sidecar would be one file; name it such as .*p\.csv"
        ):
            api.predict(student_run, files, tmp_path / "p.json")

    def test_an_input(self, student_run, files):
        with pytest.raises(OutputExistsError, match=r"v0\.dcm: is one of the inputs and would be lost"):
            api.predict(student_run, files, files[0])

    def test_below_a_file(self, student_run, files):
        with pytest.raises(OutputExistsError, match=r"v0\.dcm: is no folder, so nothing can be below it"):
            api.predict(student_run, files, files[0] / "new" / "p.csv")

    def test_a_new_folder(self, student_run, files, tmp_path):
        out = tmp_path / "new" / "deep" / "p.csv"
        assert api.predict(student_run, files, out).num_images == FILES
        assert sorted(path.name for path in out.parent.iterdir()) == ["p.csv", "p.json"]

    def test_what_a_killed_process_left(self, student_run, files, tmp_path):
        for name in (".p.csv.0123abcd.part", ".p.json.0123abcd.part"):
            (tmp_path / name).touch()
        (tmp_path / ".q.csv.0123abcd.part").touch()
        api.predict(student_run, files, tmp_path / "p.csv")
        assert [path.name for path in tmp_path.glob(".*")] == [".q.csv.0123abcd.part"]


def test_a_copy_for_spreadsheets(student_run, tmp_path):
    tags = {"PatientID": "=1+1", "StudyInstanceUID": "1.2.3", "ViewPosition": "CC"}
    path = write_dicom(tmp_path / "v.dcm", breast(3, 80, 48, "L"), "raw", tags=tags)
    done = api.predict(student_run, [path], tmp_path / "p.csv", safe_csv=True)
    exact, safe = (place.read_text().splitlines() for place in (done.table, tmp_path / "p.safe.csv"))
    assert exact[1].startswith("=1+1,1.2.3,lcc,")
    assert safe[1].startswith("'=1+1,1.2.3,lcc,")
    assert [line.removeprefix("'") for line in safe] == exact
