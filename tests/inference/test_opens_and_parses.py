"""How often a DICOM file is opened and parsed on its way to pixels.

Twice, for two reasons that lie apart in time: a look tells what a file is (a few tags, kept for thousands of
files), and when its turn comes the header is read, which has to be that of the pixels that follow.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comoto import api
from comoto.config import PreprocessConfig
from comoto.dicom import tags
from comoto.errors import DicomError
from comoto.inference.inputs import PredictionRequest, collect_jobs
from comoto.preprocessing.prepare import prepare
from comoto.records import Manifest
from comoto.sources import describe_source, open_source, source_files, survey
from comoto.sources.isolated import open_image
from dicom_files import breast, write_dicom

SLICES = 4
CT = "1.2.840.10008.5.1.4.1.1.2"
_counts: Counter[str] = Counter()
_watched: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | os.PathLike):
        name = os.fsdecode(arguments[0])
        _counts["opens"] += name.startswith(_watched[0]) and name.endswith(".dcm")


sys.addaudithook(_note)  # stays for the life of the process, and does nothing where nothing is watched


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[int, int]]]:
    """Return a function that gives (opens, parses) since it was called last."""

    def parse(*given: object, **named: object) -> object:
        _counts["parses"] += 1
        return real(*given, **named)

    def since() -> tuple[int, int]:
        found = _counts["opens"], _counts["parses"]
        _counts.clear()
        return found

    real = tags.dcmread
    monkeypatch.setattr(tags, "dcmread", parse)
    _watched.append(str(tmp_path))
    _counts.clear()
    yield since
    _watched.clear()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return write_dicom(tmp_path / "volume.dcm", breast(SLICES, 80, 48, "L"), "raw")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    for number, frame in enumerate(breast(SLICES, 80, 48, "L"), start=1):
        uids = {"SOPClassUID": CT, "SOPInstanceUID": f"1.2.3.{number}", "InstanceNumber": number}
        write_dicom(tmp_path / "stack" / f"{number}.dcm", frame, "raw", tags=uids)
    return tmp_path / "stack"


def test_predicting_on_a_file_parses_it_twice(
    student_run: Path, volume: Path, tmp_path: Path, counted: Callable[[], tuple[int, int]]
) -> None:
    model = api.load_model(student_run)
    api.predict(model, [volume], tmp_path / "file.csv")
    assert counted() == (4, 2)  # its mark, the look, the header, the pixels
    api.predict_volume(model, volume)
    assert counted() == (4, 2)


def test_predicting_on_a_stack_parses_each_slice_twice(
    student_run: Path, stack: Path, tmp_path: Path, counted: Callable[[], tuple[int, int]]
) -> None:
    api.predict(student_run, [stack], tmp_path / "stack.csv", overrides=["slice_step=1"])
    opens, parses = counted()
    assert parses == 2 * SLICES
    # three times before its pixels, then for each frame of the plan (4) and of the network, and once to ask
    # the codec what it can leave out
    assert opens == 3 * SLICES + 4 + SLICES + 1
    api.predict(student_run, [stack / "2.dcm"], tmp_path / "slice.csv", overrides=["slice_step=1"])
    assert counted()[1] == 2 * SLICES + 1  # and the slice that was named


def test_preparing_parses_a_file_twice(
    volume: Path, tmp_path: Path, counted: Callable[[], tuple[int, int]], exams
) -> None:
    manifest = Manifest.load(exams.manifests / "bcs-dbt")
    images = manifest.images.iloc[:1].assign(path=str(volume), num_slices=SLICES)
    one = Manifest("one", images, manifest.lesions.iloc[:0])
    prepare(one, tmp_path / "store", PreprocessConfig(rows=64, columns=32), workers=1)
    assert counted() == (5, 2)  # as predicting, and once for its fingerprint


def test_a_manifest_does_not_cost_another_parse(
    student_run: Path, volume: Path, tmp_path: Path, counted: Callable[[], tuple[int, int]], exams
) -> None:
    manifest = Manifest.load(exams.manifests / "bcs-dbt")
    images = manifest.images.iloc[:1].assign(path=str(volume), num_slices=SLICES)
    (tmp_path / "manifest").mkdir()
    Manifest("one", images, manifest.lesions.iloc[:0]).save(tmp_path / "manifest")
    api.predict(student_run, [tmp_path / "manifest"], tmp_path / "table.csv")
    assert counted() == (4, 2)


def test_a_file_that_was_replaced_after_the_look_is_looked_at_again(
    volume: Path, tmp_path: Path, counted: Callable[[], tuple[int, int]]
) -> None:
    kind = describe_source(volume)
    counted()
    with open_source(volume, kind) as image:
        assert image.num_frames == SLICES
    assert counted() == (2, 1)
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Rows": None, "Columns": None}
    write_dicom(tmp_path / "report.dcm", breast(1, 80, 48, "L")[0], "raw", tags=report)
    (tmp_path / "report.dcm").replace(volume)
    with pytest.raises(DicomError, match="without pixels"):
        open_source(volume, kind)


def test_a_slice_that_came_after_the_look_belongs_to_the_stack(stack: Path) -> None:
    (kind,) = survey(stack)
    frame = breast(1, 80, 48, "L")[0]
    tags_ = {"SOPClassUID": CT, "SOPInstanceUID": "1.2.3.9", "InstanceNumber": SLICES + 1}
    write_dicom(stack / "5.dcm", frame, "raw", tags=tags_)
    with open_source(stack, kind) as image:
        assert image.num_frames == SLICES + 1
    (stack / "2.dcm").unlink()
    with pytest.raises(DicomError, match="slices are missing"):
        open_source(stack, kind)


def test_a_look_tells_the_same_files_and_pixels(volume: Path, stack: Path, tmp_path: Path) -> None:
    for path in (volume, stack, stack / "3.dcm"):
        kind = describe_source(path)
        assert kind.look is not None
        assert source_files(path, kind) == source_files(path)
        with open_source(path, kind) as told, open_source(path) as anew, open_image(path, kind) as third:
            assert told.header == anew.header == third.header
            assert (told.path, told.reductions) == (anew.path, anew.reductions)
            assert all((one == two).all() for one, two in zip(told.frames(), anew.frames(), strict=True))


def test_a_capture_may_be_a_slice_once_others_lie_beside_it(tmp_path: Path) -> None:
    """Such a file is looked at again when it is opened: its neighbours decide what it is."""
    capture = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "SeriesInstanceUID": "1.2.9"}
    frames = breast(6, 80, 48, "L")

    def write(number: int) -> Path:
        uids = {**capture, "SOPInstanceUID": f"1.2.9.{number}", "InstanceNumber": number}
        return write_dicom(tmp_path / "in" / f"{number}.dcm", frames[number - 1], "raw", tags=uids)

    first = write(1)
    (alone,) = survey(tmp_path / "in")
    assert (alone.num_frames, alone.look) == (1, None)
    for number in range(2, 7):
        write(number)
    with open_source(first, alone) as image:
        assert image.num_frames == 6


def test_what_is_kept_of_a_look_holds_no_tags(volume: Path, stack: Path, tmp_path: Path) -> None:
    """Thousands of them are kept while a prediction runs."""
    shutil.copy(volume, tmp_path / "other.dcm")
    found = collect_jobs(PredictionRequest([tmp_path]))
    looks = [job.kind.look for job in found.jobs.values() if job.kind is not None]
    assert len(looks) == 3
    for look in looks:
        assert look is not None
        assert getattr(look.found, "tags", None) is None
