from pathlib import Path

import pytest
from demo_parts import finish_demo, lay_out

from tiny_exams import TINY, Exams


@pytest.fixture(scope="session")
def demo_folder(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay_out(tmp_path_factory.mktemp("demo"), exams)
    overrides = [*TINY, "schedule.epochs=2", "schedule.steps_per_epoch=2"]
    finish_demo(folder, overrides, min_hit_radius=5.3, fraction=0.5, bootstrap=50)
    return folder
