"""Reading in a worker process: the same pixels, and nothing that a file does to the worker gets out of it."""

import logging
import os
import signal
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import imagecodecs
import numpy as np
import pytest

from comoto.errors import ConfigError, DicomError
from comoto.image_header import ImageHeader
from comoto.sources import isolated, open_source
from comoto.sources.isolated import Limits, open_image, open_isolated, reading_within
from dicom_files import UID, encapsulated, texture, write_dicom

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of processes need POSIX")


@pytest.fixture(autouse=True)
def own_workers():
    """Workers of one test are not used by another."""
    yield
    isolated._end_workers()


@pytest.fixture
def x(tmp_path):
    return tmp_path / "x.dcm"


def pid_of(source):
    return source._worker._process.pid


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# the same as without a worker


def test_headers_and_frames_are_the_same_for_every_syntax(tmp_path):
    for codec in sorted(set(UID) - {"deflated"}):
        frames = texture(rows=65, columns=40, bits=8)
        path = write_dicom(tmp_path / f"{codec}.dcm", frames, codec, bits_stored=8)
        with open_isolated(path) as there, open_source(path) as here:
            for field in fields(ImageHeader):
                assert getattr(there.header, field.name) == getattr(here.header, field.name)
            assert (there.num_frames, there.shape, there.reductions) == (3, (65, 40), here.reductions)
            for index in (2, 0):
                np.testing.assert_array_equal(there.frame(index), here.frame(index))
            for reduced in there.frames([1], reduce=1):
                np.testing.assert_array_equal(reduced, here.frame(1, reduce=1))
                assert reduced.flags.writeable
    assert len(isolated._idle) == 1


def test_refusals_are_the_same(x):
    with pytest.raises(DicomError, match="no such file"):
        open_isolated(x)
    frames = texture()
    write_dicom(x, frames, pixel_data=encapsulated([b"\xff\x4f\xff\x51" + b"x" * 100] * 3))
    with open_isolated(x) as image:
        with pytest.raises(DicomError, match=r"x\.dcm: frame 0 is not JPEG 2000 \(tiles"):
            image.frame(0)
        with pytest.raises(DicomError, match="frames are 0 to 2"):
            image.frame(3)


def test_one_worker_serves_one_file_after_the_other(tmp_path):
    paths = [write_dicom(tmp_path / f"{k}.dcm", texture(seed=k)) for k in range(3)]
    pids = set()
    for seed, path in enumerate(paths):
        with open_isolated(path) as image:
            pids.add(pid_of(image))
            np.testing.assert_array_equal(image.frame(1), texture(seed=seed)[1])
    assert len(pids) == 1


def test_two_open_images_have_a_worker_each(x):
    write_dicom(x, texture())
    with open_isolated(x) as first, open_isolated(x) as second:
        assert pid_of(first) != pid_of(second)
        np.testing.assert_array_equal(first.frame(0), second.frame(0))


def test_threads_take_turns(x):
    frames = texture(frames=20)
    write_dicom(x, frames)
    with open_isolated(x) as image, ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(np.stack(list(pool.map(image.frame, range(20)))), frames)


def test_a_closed_image_keeps_its_header(x):
    write_dicom(x, texture())
    image = open_isolated(x)
    image.close()
    image.close()
    assert image.num_frames == 3
    with pytest.raises(DicomError, match="is closed"):
        image.frame(0)


def test_what_the_worker_logs_is_logged_here(x, caplog):
    write_dicom(x, texture(), table=(0, 6, 10))
    with caplog.at_level(logging.INFO, logger="comoto.dicom"), open_isolated(x):
        pass
    assert {record.name for record in caplog.records} == {"comoto.dicom"}
    assert "offset table is wrong" in caplog.text


def test_a_block_chooses_where_images_are_read(x):
    write_dicom(x, texture())
    with reading_within(Limits()), open_image(x) as there:
        assert isinstance(there, isolated.IsolatedSource)
    with reading_within(None), open_image(x) as here:
        assert not isinstance(here, isolated.IsolatedSource)


# what a file can do to its worker


def test_a_decoder_that_wants_too_much_memory(x):
    """A picture of 6000 x 6000 grey values of one kind takes 1 kB; its decoder wants over 200 MiB."""
    frame = np.full((6000, 6000), 7, dtype=np.uint16)
    data = encapsulated([bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k"))])
    small = texture(rows=6000, columns=6000, frames=1)[0] * 0
    write_dicom(x, small, "j2k", pixel_data=data)
    limits = Limits(memory_mib=64)
    with open_isolated(x, limits) as image:
        with pytest.raises(DicomError, match=r"x\.dcm: "):
            image.frame(0)
        pid = pid_of(image) if image._worker else None
    good = write_dicom(x.with_name("good.dcm"), texture())
    with open_isolated(good, limits) as image:
        np.testing.assert_array_equal(image.frame(2), texture()[2])
        assert pid is None or pid == pid_of(image)
    with open_isolated(x, Limits(memory_mib=1024)) as image:
        assert image.frame(0).max() == 7


def test_a_worker_that_crashes_costs_one_file(x):
    write_dicom(x, texture())
    image = open_isolated(x)
    os.kill(pid_of(image), signal.SIGSEGV)
    for _ in range(2):
        with pytest.raises(DicomError, match=r"x\.dcm: the process that read the file crashed \(SIGSEGV\)"):
            image.frame(0)
    image.close()
    with open_isolated(x) as again:
        np.testing.assert_array_equal(again.frame(0), texture()[0])


def test_a_worker_that_hangs_is_stopped(x):
    write_dicom(x, texture())
    image = open_isolated(x, Limits(seconds=1.0))
    pid = pid_of(image)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(DicomError, match="took longer than 1 s and was stopped"):
        image.frame(0)
    assert 0.9 < time.monotonic() - started < 5
    assert not runs(pid)


ANSWERS = {
    "pixels of another form": b"""
        def answer(request):
            content = dict(header) if request["do"] == "open" else {"shape": [999, 16], "dtype": "uint16"}
            return pack(content)
    """,
    "pixels of another kind": b"""
        def answer(request):
            content = dict(header) if request["do"] == "open" else {"shape": [24, 16], "dtype": "object"}
            return pack(content)
    """,
    "no pixels": b"""
        def answer(request):
            return pack(dict(header))
    """,
    "a length without end": b"""
        def answer(request):
            return b"\\xff" * 8
    """,
    "no JSON": b"""
        def answer(request):
            return (4).to_bytes(4, "little") + b"\\x80abc"
    """,
    "no header": b"""
        def answer(request):
            return pack({"header": {"rows": -1}, "reductions": 0})
    """,
    "a header with impossible values": b"""
        def answer(request):
            return pack({**header, "header": {**header["header"], "rows": 0}})
    """,
    "a list": b"""
        def answer(request):
            return pack([1, 2])
    """,
    "an end": b"""
        def answer(request):
            sys.exit(3)
    """,
}


@pytest.mark.parametrize("kind", list(ANSWERS))
def test_a_worker_that_answers_nonsense_is_not_believed(x, tmp_path, monkeypatch, kind):
    """A decoder that was taken over may write whatever it likes into the pipe."""
    write_dicom(x, texture())
    with open_source(x) as image:
        header = {field.name: getattr(image.header, field.name) for field in fields(ImageHeader)}
    script = tmp_path / "worker.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, os, sys
        header = {{"header": {header | {"path": str(x)}!r}, "reductions": 0}}
        def pack(content):
            text = json.dumps(content).encode()
            return len(text).to_bytes(4, "little") + text
        """)
        + textwrap.dedent(ANSWERS[kind].decode())
        + textwrap.dedent("""
        os.write(1, pack({"ready": True}))
        while length := os.read(0, 4):
            os.write(1, answer(json.loads(os.read(0, int.from_bytes(length, "little")))))
        """)
    )
    monkeypatch.setattr(isolated, "_PROGRAM", (str(script),))
    started = len(isolated._idle)
    with (
        pytest.raises(DicomError, match=r"x\.dcm: the process that read the file (sent|answered|ended)"),
        open_isolated(x, Limits(seconds=5)) as image,
    ):
        image.frame(0)
    assert len(isolated._idle) == started


def test_a_worker_that_cannot_start_is_no_fault_of_the_file(x, tmp_path, monkeypatch):
    script = tmp_path / "worker.py"
    script.write_text("import sys\nsys.exit(1)\n")
    monkeypatch.setattr(isolated, "_PROGRAM", (str(script),))
    with pytest.raises(ConfigError, match=r"cannot be started: it ended on its own \(exit code 1\)"):
        open_isolated(x)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"memory_mib": 63}])
def test_impossible_limits(limits):
    with pytest.raises(ConfigError, match="limits of a worker"):
        Limits(**limits)


def test_a_forked_process_starts_its_own_workers(x):
    write_dicom(x, texture())
    with open_isolated(x) as image:
        pid = pid_of(image)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with open_isolated(x) as image:
                same = bool((image.frame(0) == texture()[0]).all())
                code = 0 if same and pid_of(image) != pid else 1
            isolated._end_workers()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with open_isolated(x) as image:
        assert pid_of(image) == pid


def test_workers_end_with_their_process(x):
    import subprocess

    write_dicom(x, texture())
    code = (
        "import sys\nfrom comoto.sources.isolated import open_isolated\n"
        f"image = open_isolated({str(x)!r})\nprint(image._worker._process.pid, flush=True)\n"
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    pid = int(output)
    deadline = time.monotonic() + 10
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(pid)
