"""A study of students of single images, through its worker."""

from pathlib import Path

import pandas as pd
import pytest
from study_files import study_content, write_study

from comoto.study.config import load_study
from comoto.study.results import read_results
from comoto.study.run import run_study
from tiny_exams import Exams


@pytest.mark.slow
def test_it_runs_goes_on_and_is_read(exams: Exams, tmp_path: Path) -> None:
    films = str(exams.stores / "vindr-mammo")
    content = study_content(
        exams.stores,
        settings=[*study_content(exams.stores)["settings"], "data.single_images=true"],
        data={"mammograms": films, "tomosynthesis": films},
        fractions=[1.0],
        seeds=[0],
        variants={"scratch": {"impa": "none", "settings": ["init=scratch"]}},
        reference="scratch",
    )
    study = load_study(write_study(tmp_path / "study.yaml", content))
    for _ in range(2):  # the second call finds the runs complete, and made of the same images
        assert run_study(study, tmp_path / "out").count("done") == 1
    results = read_results(tmp_path / "out")
    assert set(results.truth.slice_tolerance) == {0.5}  # the middle of slice 0 lies at 0.5
    (table,) = (tmp_path / "out").glob("students/*/*/*/*/predictions.csv")
    assert set(pd.read_csv(table)["Z"]) == {0}
