"""The scripts of ``fuzz/`` that damage files and kill commands, in small."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"


def run(script, *words):
    line = [sys.executable, str(FUZZ / script), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_damaged_files_are_refused_by_name():
    done = run("damage.py", "--count", "10", "--seed", "7")
    assert done.returncode == 0, done.stdout
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    assert all(int(same) + int(refused) == 10 for _, _, same, refused, *_ in rows)


def test_the_script_finds_what_is_not_noticed(tmp_path):
    """A reader without checksums: the script must not pass it."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import damage\n"
        "write = lambda folder: (folder.mkdir(), (folder / 'a.txt').write_text('content'))\n"
        "read = lambda folder: (folder / 'a.txt').read_bytes()\n"
        "damage.KINDS = {'bare': damage.Kind(write, 'a.txt', read)}\n"
        "sys.argv[1:] = ['--count', '5']; sys.exit(damage.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(FUZZ)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("other content without a word") == 5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_killed_commands_end_in_the_same_result():
    done = run("kill.py", "--count", "2", "--command", "prepare")
    assert done.returncode == 0, done.stdout
