"""The command line as a whole: help, versions, completion, log, exit codes, what is imported."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main

from command_calls import in_own_process
from comoto import progress
from comoto.cli.main import app

HEAVY = ("torch", "pandas", "numpy", "scipy", "matplotlib", "pydicom", "cv2", "yaml", "pydantic")
ORDER = [
    "demo",
    "simulate",
    "datasets",
    "download",
    "index",
    "split",
    "draw",
    "prepare",
    "inspect",
    "appearance",
    "train",
    "import-checkpoint",
    "export",
    "predict",
    "evaluate",
    "report",
    "study",
    "config",
    "doctor",
]


def walk(command, name=("comoto",)):
    """Yield (words, command) of every command that does something."""
    subcommands = getattr(command, "commands", None)
    if not subcommands:
        yield name, command
    for word, below in (subcommands or {}).items():
        yield from walk(below, (*name, word))


COMMANDS = dict(walk(typer.main.get_command(app)))


def test_the_tree_is_complete():
    assert sorted({words[1] for words in COMMANDS}) == sorted(ORDER)
    assert {words[1:] for words in COMMANDS if len(words) == 3} == {
        ("appearance", "measure"),
        ("appearance", "match"),
        ("train", "teacher"),
        ("train", "student"),
        ("export", "onnx"),
        ("config", "show"),
        ("config", "keys"),
        ("study", "init"),
        ("study", "run"),
        ("study", "status"),
        ("study", "table"),
        ("study", "rules"),
        ("study", "depth"),
        ("study", "verdict"),
    }


class TestHelp:
    @pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
    def test_every_command_has_an_example_and_every_option_a_help(self, comoto, words):
        command = COMMANDS[words]
        assert f"Example: {' '.join(words)} " in command.help
        assert all(parameter.help for parameter in command.params), words
        answer = comoto(*words[1:], "--help")
        assert (answer.code, answer.err) == (0, "")
        assert "Example:" in answer.out
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in answer.out

    def test_commands_stand_in_the_order_of_work_and_are_not_cut_off(self, comoto):
        answer = comoto("--help")
        lines = answer.out.partition("Commands:\n")[2].splitlines()
        assert [line.split()[0] for line in lines[: len(ORDER)]] == ORDER
        assert "..." not in "".join(lines)

    def test_without_a_command_the_help_is_shown(self, comoto):
        assert comoto() == comoto("--help")

    def test_plain_where_not_a_terminal(self, comoto):
        answer = comoto("predict", "--help")
        assert answer.out.isascii()

    def test_help_imports_nothing_heavy(self):
        """Time is machine-bound, imports are not: neither torch nor pandas, and little else."""
        words = [sys.executable, "-X", "importtime", "-m", "comoto", "--help"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "comoto" in imported
        assert "typer" in imported
        assert not imported & set(HEAVY)
        assert done.stdout.startswith("Usage: comoto [OPTIONS] COMMAND [ARGS]...")


def test_versions_that_decide_numbers(comoto):
    lines = comoto("--version").out.splitlines()
    for name in ("comoto", "torch", "torchvision", "numpy", "pydicom"):
        assert f"{name} {version(name)}" in lines
    assert lines[-1].startswith(f"Python {sys.version.split()[0]} on ")


class TestCompletion:
    """The protocol between the shell's script and the program."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("comoto pre", {"prepare", "predict"}),
            ("comoto train ", {"teacher", "student"}),
            ("comoto index vi", {"victre", "vindr-mammo"}),
            ("comoto predict --spl", {"--split"}),
            ("comoto predict --split t", {"train", "test"}),
            ("comoto predict --aggregation ", {"local_maximum", "nms_3d", "box_fusion", "tracks"}),
            ("comoto prepare --preset ", {"demo", "small", "full", "paper"}),
            ("comoto simulate --size t", {"tiny"}),
        ],
    )
    def test_bash(self, words, expected):
        asked = {"_COMOTO_COMPLETE": "complete_bash", "COMP_WORDS": words}
        answer = in_own_process(env={**os.environ, **asked, "COMP_CWORD": str(words.count(" "))})
        assert answer.code == 0
        assert set(answer.out.split()) == expected

    def test_names_are_those_that_the_program_knows(self):
        from comoto.cli import options
        from comoto.records import Split
        from comoto.simulation import SIZES

        assert options.complete_size() == list(SIZES)
        assert options.complete_split() == [split.value for split in Split]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_every_shell_gets_its_script(self, shell):
        """As in a terminal: the shell is the parent process, or the variable names it."""
        answer = in_own_process(env={**os.environ, "_COMOTO_COMPLETE": f"source_{shell}"})
        assert answer.code == 0
        assert "_COMOTO_COMPLETE" in answer.out
        assert "comoto" in answer.out


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("trian",), "No such command 'trian'. Did you mean 'train'? See 'comoto --help'."),
            (
                ("train", "studnet"),
                "No such command 'studnet'. Did you mean 'student'? See 'comoto train --help'.",
            ),
            (("train",), "Missing command. See 'comoto train --help'."),
            (
                ("demo", "--sed", "1"),
                "No such option: --sed (Possible options: --seed). See 'comoto demo --help'.",
            ),
            (("demo", "--seed"), "Option '--seed' requires an argument. See 'comoto --help'."),
            (("index", "bcs-dbt"), "Missing argument 'ROOT'. See 'comoto index --help'."),
            (
                ("predict", "x.dcm", "--out", "p.csv"),
                "Missing option '--model'. See 'comoto predict --help'.",
            ),
        ],
    )
    def test_one_line_and_code_2(self, comoto, words, line):
        answer = comoto(*words)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == f"comoto: {line}\n"

    def test_a_number_out_of_range(self, comoto):
        answer = comoto("demo", "--workers", "0")
        assert answer.code == 2
        assert "'--workers'" in answer.error
        assert "comoto demo --help" in answer.error


class TestExitCodes:
    def test_a_full_disk_behind_standard_output_is_2(self):
        with Path("/dev/full").open("w") as full:
            words = [sys.executable, "-m", "comoto", "datasets"]
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "comoto: the output cannot be written: No space left on device\n"

    def test_a_reader_that_leaves_is_no_defect(self):
        words = [sys.executable, "-m", "comoto", "datasets"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdout.close()
            assert (process.stderr.read(), process.wait()) == ("", 1)

    def test_a_defect_is_1_and_says_how_to_see_more(self, comoto, monkeypatch, tmp_path):
        monkeypatch.setattr("comoto.api.index", broken)
        answer = comoto("index", "bcs-dbt", tmp_path, "--out", tmp_path / "m")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err == (
            "comoto: internal error: ZeroDivisionError: division by zero\n"
            "comoto: this is a defect; 'comoto -v ...' shows where\n"
        )

    def test_ctrl_c_is_1(self, comoto, monkeypatch, tmp_path):
        monkeypatch.setattr("comoto.api.index", interrupted)
        answer = comoto("index", "bcs-dbt", tmp_path, "--out", tmp_path / "m")
        assert answer.code == 1
        assert answer.err == "comoto: interrupted; run the same command again to continue\n"

    def test_ctrl_c_in_training_names_the_option_that_continues(self, comoto, monkeypatch, tmp_path):
        monkeypatch.setattr("comoto.api.train_teacher", interrupted)
        words = ("train", "teacher", "--mammograms", tmp_path, "--out", tmp_path / "run")
        resumed = "comoto: interrupted; run the same command again to continue\n"
        assert comoto(*words).err == resumed.replace("again", "again with --resume")
        assert comoto(*words, "--resume").err == resumed

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_verbose_shows_where(self, comoto, tmp_path, place):
        words = ("index", "bcs-dbt", tmp_path / "nowhere", "--out", tmp_path / "m")
        answer = comoto("-v", *words) if place == "before" else comoto(*words, "-v")
        assert answer.code == 2
        assert "Traceback (most recent call last)" in answer.err
        assert "comoto/datasets/__init__.py" in answer.err
        assert answer.err.splitlines()[-1] == f"comoto: {tmp_path / 'nowhere'}: no such folder"
        assert "Traceback" not in comoto(*words).err


def broken(*_, **__):
    raise ZeroDivisionError("division by zero")


def interrupted(*_, **__):
    raise KeyboardInterrupt


class TestLog:
    """A volume whose codestream declares 16 bits while 10 are stored, as every file of BCS-DBT does."""

    @pytest.fixture
    def volume(self, tmp_path):
        from dicom_files import breast, write_dicom

        return write_dicom(tmp_path / "volume.dcm", breast(5, 160, 80, "L"))

    def test_habits_of_vendors_are_not_told(self, comoto, volume, tmp_path):
        answer = comoto("draw", volume, "--out", tmp_path / "a.png")
        assert (answer.code, answer.out, answer.err) == (0, f"{tmp_path / 'a.png'}\n", "")

    def test_verbose_tells_them(self, comoto, volume, tmp_path):
        answer = comoto("-v", "draw", volume, "--out", tmp_path / "a.png")
        assert answer.code == 0
        assert answer.err.startswith("comoto.dicom: ")
        assert "compressed with 16 bits while 10 are stored" in answer.err

    @pytest.fixture
    def wrong_tables(self, tmp_path):
        from dicom_files import breast, write_dicom

        frames = breast(5, 160, 80, "L")
        return [write_dicom(tmp_path / f"{k}.dcm", frames, table=(0, 6, 10, 14, 18)) for k in range(2)]

    def test_what_a_user_should_act_on_is_told_once(self, comoto, wrong_tables, tmp_path):
        """The second file of the same process says nothing more; the next process (a new test) does."""
        first = comoto("draw", wrong_tables[0], "--out", tmp_path / "a.png")
        assert first.err == (
            f"comoto.dicom: {wrong_tables[0]}: the offset table is wrong; frames are found by their own "
            "beginnings. Other software may show other frames: export the file again (said once; "
            "'comoto -v ...' names every file)\n"
        )
        assert comoto("draw", wrong_tables[1], "--out", tmp_path / "b.png").err == ""

    def test_verbose_tells_it_of_every_file(self, comoto, wrong_tables, tmp_path):
        for path in wrong_tables:
            answer = comoto("-v", "draw", path, "--out", tmp_path / f"{path.stem}.png")
            assert f"{path}: the offset table is wrong" in answer.err


class TestProgress:
    def test_lines_with_the_time_left_where_not_a_terminal(self, monkeypatch, capsys):
        """Ten steps of two seconds: a line at 6, 12 and 18 seconds, and the last one."""
        now = iter(range(0, 100, 2))
        monkeypatch.setattr(progress, "_enabled", True)
        monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
        assert list(progress.track(range(10), "prepare", 10)) == list(range(10))
        assert capsys.readouterr().err.splitlines() == [
            "prepare: 3/10, about 14 s left",
            "prepare: 6/10, about 8 s left",
            "prepare: 9/10, about 2 s left",
            "prepare: 10/10, 22 s",
        ]

    @pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
    def test_a_bar_on_a_terminal(self, tmp_path):
        """What a terminal gets: a bar that ends on its own line, the cursor shown again, no log lines."""
        words = ["simulate", "--size", "tiny", "--mammograms", "4", "--train", "1", "--validation", "0"]
        words += ["--test", "0", "--workers", "1", "--out", str(tmp_path / "sim")]
        code, said = in_terminal(*words)
        assert code == 0
        assert "simulate images" in said
        assert "10/10" in said
        assert said.count("\x1b[?25l") == said.count("\x1b[?25h")
        last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", said).splitlines()[-2:]
        assert [line.split(":")[0] for line in last] == ["tomosynthesis", "mammograms"]


def in_terminal(*words):
    """Call the command line in a pseudo terminal; return the exit code and what the terminal got."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "comoto", *words])
    said = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        said += part
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), said.decode()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.slow
def test_ctrl_c_leaves_what_is_finished_and_a_rerun_continues(tmp_path):
    out = tmp_path / "sim"
    words = ["simulate", "--size", "tiny", "--mammograms", "10", "--train", "6", "--validation", "0"]
    words += ["--test", "0", "--workers", "1", "--out", str(out)]
    line = [sys.executable, "-m", "comoto", *words]
    run = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob(".progress/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    said, complained = run.communicate(timeout=60)
    assert (run.returncode, said) == (1, "")
    assert complained.splitlines()[-1] == "comoto: interrupted; run the same command again to continue"
    assert "Traceback" not in complained
    finished = images(out)
    assert len(finished) >= 3
    assert not list(out.rglob("*.csv"))  # tables come last
    assert in_own_process(*words).code == 0
    assert len(images(out)) == 32
    assert {path: images(out)[path] for path in finished} == finished  # not made again
    assert not list(out.rglob("*.part"))
    assert len(list(out.rglob("*.csv"))) > 4


def images(folder):
    """Every simulated image and when it was written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in (".dcm", ".dicom")
    }


SCRIPT = """
import sys
from joblib import Parallel, delayed
from comoto.cli import main
def work(words):
    return sum(Parallel(n_jobs=2)(delayed(abs)(number) for number in (-1, 1))) - 2
main._run = work
main.run()
"""
"""A command with workers; with -P Python looks for modules where it does for the installed script."""


class TestStrangersFolder:
    def test_no_worker_imports_what_lies_in_the_working_folder(self, tmp_path):
        """Processes are started with ``python -m`` or ``-c``, which would take these modules first."""
        here = tmp_path / "of a stranger"
        here.mkdir()
        for module in ("joblib", "numpy", "multiprocessing", "signal"):
            (here / f"{module}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{module} ')\n")
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCRIPT], cwd=here, capture_output=True, text=True, check=False
        )
        assert not (tmp_path / "ran").exists()
        assert done.returncode == 0, done.stderr
