"""Simulated exams that several rooms share: made once per test process."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from command_calls import CommandLine
from comoto.dicom.log_once import forget
from comoto.progress import enable_progress
from tiny_exams import TINY, Exams

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; the tests that send Ctrl-C
# need children that hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("comoto", deadline=None)
settings.load_profile("comoto")


LONG_MODULES = ("test_study_run.py", "test_demo_report.py", "test_demo.py", "test_documented_blocks.py")
"""Modules of half a minute and more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long modules, so that short ones fill the gaps between two processes."""
    items.sort(key=lambda item: item.path.name not in LONG_MODULES)


@pytest.fixture(autouse=True)
def silent_library() -> Iterator[None]:
    """Undo what the command line switches on, progress and the log, and forget what was said once."""
    forget()
    yield
    enable_progress(False)
    logger = logging.getLogger("comoto")
    logger.handlers = []
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """What is said; the library is silent unless asked."""
    enable_progress()
    return capsys


@pytest.fixture
def comoto(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in this process: ``code, out, err = comoto("index", "bcs-dbt", root)``."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="session")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Exams:
    from comoto import api
    from comoto.config import override
    from comoto.simulation import simulate, sized

    folder = tmp_path_factory.mktemp("exams")
    wanted = [
        "mammography.training_patients=8",
        "mammography.test_patients=2",
        "mammography.lesion_share=0.75",
        "tomosynthesis.train_patients=6",
        "tomosynthesis.validation_patients=3",
        "tomosynthesis.test_patients=3",
        "tomosynthesis.lesion_share=0.67",
        "traps.rotated_share=0.3",
    ]
    paths = simulate(folder / "exams", override(sized("tiny"), wanted), workers=1)
    for name, root in (("bcs-dbt", paths.bcs_dbt), ("vindr-mammo", paths.vindr_mammo)):
        manifest = api.index(name, root)
        manifest.save(folder / "manifests" / name)
        api.prepare(manifest, folder / "stores" / name, preset="demo", overrides=TINY, workers=1)
    return Exams(paths.bcs_dbt, paths.vindr_mammo, folder / "manifests", folder / "stores")


@pytest.fixture(scope="session")
def teacher_run(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a teacher that trained for four short epochs."""
    from comoto import api

    run = tmp_path_factory.mktemp("runs") / "teacher"
    api.train_teacher(run, preset="demo", overrides=exams.teacher_data)
    return run


@pytest.fixture(scope="session")
def student_run(exams: Exams, teacher_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a student that was distilled for four short epochs."""
    from comoto import api

    run = tmp_path_factory.mktemp("runs") / "student"
    overrides = [*exams.student_data, f"teacher={teacher_run}", "distill.kind=lesion_points"]
    api.train_student(run, preset="demo", overrides=overrides)
    return run


@pytest.fixture(scope="session")
def student_onnx(student_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student as an ONNX file."""
    from comoto import api

    return api.export_onnx(student_run, tmp_path_factory.mktemp("exports") / "student.onnx").path
