"""Two commands at one place: the second is told so, unless the file system knows no locks."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from comoto import locks
from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of
from comoto.progress import enable_progress

HOLDER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from comoto.locks import hold
    with hold(Path(sys.argv[1]), "busy"):
        print("held", flush=True)
        time.sleep(60)
    """
)


def test_another_process_is_told_and_a_killed_one_lets_go(tmp_path):
    lock = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(OutputExistsError, match=r"^work goes on there$"),
            hold(lock, "work goes on there"),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with hold(lock, "work goes on there"):
        assert lock.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_process_cannot_hold_twice(tmp_path):
    with (
        hold(tmp_path / "lock", "first"),
        pytest.raises(OutputExistsError, match="second"),
        hold(tmp_path / "lock", "second"),
    ):
        pass


@pytest.mark.parametrize("number", sorted(locks._NO_LOCKS))
def test_without_locks_the_work_goes_on_and_says_so(tmp_path, monkeypatch, capsys, number):
    def refuse(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    enable_progress()
    try:
        with hold(tmp_path / "lock", "busy"):
            pass
    finally:
        enable_progress(False)
    assert "has no locks" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_file_is_hidden_and_short(tmp_path):
    assert lock_of(tmp_path / "a.csv") == tmp_path / ".a.csv.lock"
    assert len(lock_of(tmp_path / ("ü" * 200)).name.encode()) < 255


@pytest.mark.parametrize(
    ("name", "lock"), [(".", ".here.lock"), ("..", ".{above}.lock"), ("/", ".comoto.lock")]
)
def test_a_place_without_a_name_of_its_own_has_a_lock_too(tmp_path, monkeypatch, name, lock):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert lock_of(Path(name)).name == lock.format(above=tmp_path.name)
