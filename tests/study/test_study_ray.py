"""The same study on Ray: the same bytes. Skipped where Ray is not installed."""

from pathlib import Path

import pytest
from study_files import study_content, write_study

from comoto.study.config import load_study
from comoto.study.run import StudyOptions, run_study
from tiny_exams import Exams

pytest.importorskip("ray")


def test_ray_gives_the_predictions_of_local_processes(exams: Exams, tmp_path: Path) -> None:
    content = study_content(exams.stores, seeds=[0], fractions=[1.0])
    study = load_study(write_study(tmp_path / "study.yaml", content))
    found = {}
    for backend in ("loky", "ray"):
        out = tmp_path / backend
        outcome = run_study(study, out, StudyOptions(workers=2, backend=backend))
        assert outcome.count("done") == 3
        found[backend] = {
            str(path.relative_to(out)): path.read_bytes() for path in out.rglob("predictions.csv")
        }
    assert len(found["loky"]) == 2
    assert found["ray"] == found["loky"]
