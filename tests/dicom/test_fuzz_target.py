"""The fuzz target itself: a short run, the same damage for the same numbers, and findings that are seen."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(FUZZ))
    for name in ("dicom", "mutations"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import dicom

    yield dicom
    for name in ("dicom", "mutations"):
        sys.modules.pop(name, None)


def run(*arguments, cwd):
    command = [sys.executable, str(FUZZ / "dicom.py"), "--workers", "1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def test_a_short_run_finds_nothing(tmp_path):
    done = run("--count", 150, "--seed", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all 150 |" in done.stdout
    assert not list(tmp_path.iterdir())


def test_every_healthy_file_is_read(fuzz, tmp_path):
    files = list(fuzz.seeds(tmp_path))
    assert {codec for codec, _ in files} == set(fuzz.CODECS)
    for number, (codec, data) in enumerate(files):
        path = tmp_path / f"{number}-{codec}"
        path.write_bytes(data)
        assert fuzz.outcome(path) == "read"


def test_damage_depends_on_the_numbers_alone(fuzz, tmp_path):
    files = list(fuzz.seeds(tmp_path))
    healthy = {data for _, data in files}
    first = [fuzz.damaged(files, 5, number) for number in range(60)]
    assert first == [fuzz.damaged(files, 5, number) for number in range(60)]
    assert len({data for _, data in first}) == 60
    assert not healthy & {data for _, data in first}


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError("x"), "ValueError: x"), (StopIteration(), "StopIteration: "), (OSError(5, "io"), "OSError")],
)
def test_another_exception_is_a_finding(fuzz, tmp_path, monkeypatch, error, expected):
    def broken(path):
        raise error

    monkeypatch.setattr(fuzz, "open_source", broken)
    assert fuzz.outcome(tmp_path / "x").startswith(expected)
    assert fuzz.outcome(tmp_path / "x") not in fuzz.GOOD


def test_a_frame_of_another_form_is_a_finding(fuzz, tmp_path, monkeypatch):
    _, data = next(fuzz.seeds(tmp_path))
    path = tmp_path / "x"
    path.write_bytes(data)
    from comoto.dicom.read import DicomImage

    monkeypatch.setattr(DicomImage, "frame", lambda *_: np.zeros((1, 1), dtype=np.uint16))
    assert fuzz.outcome(path).startswith("frames ")


@pytest.mark.slow
def test_processes_that_die_or_hang_are_findings(tmp_path):
    """A copy of the target whose reader kills its process at one file and sleeps at another."""
    (tmp_path / "fuzz").mkdir()
    (tmp_path / "tests").symlink_to(FUZZ.parent / "tests")
    (tmp_path / "fuzz" / "mutations.py").write_text((FUZZ / "mutations.py").read_text())
    text = (FUZZ / "dicom.py").read_text()
    line = "        found = outcome(path)\n"
    assert text.count(line) == 1
    trap = (
        "        if number == 4: os.kill(os.getpid(), 11)\n        if number == 7: time.sleep(60)\n"
        "        if number == 8: bytearray(10**9)\n"
    )
    (tmp_path / "fuzz" / "dicom.py").write_text(text.replace(line, trap + line))
    command = [
        sys.executable,
        str(tmp_path / "fuzz" / "dicom.py"),
        "--count=12",
        "--workers=1",
        "--seconds=2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 1
    said = [line.split(": ")[-1] for line in done.stdout.splitlines() if line.startswith("file ")]
    assert said == [
        "the process ended with code -11",
        "took longer than 2.0 s",
        "the process ended with code 1",
    ]
    assert len(list((tmp_path / "fuzz-findings").glob("*.dcm"))) == 3
    assert "| all 12 |" in done.stdout
