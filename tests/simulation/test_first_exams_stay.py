"""The first exams are as they were before there were second ones: numbers of an image made then."""

from __future__ import annotations

import pytest

from comoto.simulation import SimulateConfig, sized
from comoto.simulation.cohort import pixel_rng, plan_mammography, plan_tomosynthesis
from comoto.simulation.exams import expose_mammogram, expose_tomosynthesis
from comoto.simulation.images import _phantom


def test_settings_of_the_first_exams_have_no_new_names():
    assert set(SimulateConfig().model_dump()) == {
        "seed",
        "grid",
        "anatomy",
        "mammography",
        "tomosynthesis",
        "traps",
    }
    assert isinstance(sized("tiny"), SimulateConfig)


def test_first_mammogram_of_the_default_seed():
    config = sized("tiny")
    case = plan_mammography(config)[0]
    rng = pixel_rng(config, case)
    image = expose_mammogram(_phantom(case, config, rng), config.mammography, rng)
    assert image.boxes_xyxy[0] == pytest.approx((11.172227, 59.017092, 17.501186, 66.420979), abs=1e-5)
    assert image.pixels.mean() == pytest.approx(1283.75781, rel=1e-5)
    assert image.window == (1928.0, 2762)


def test_first_volume_of_the_default_seed():
    config = sized("tiny")
    case = plan_tomosynthesis(config)[0]
    assert (case.label, case.key) == ("Benign", (0, 0))
    rng = pixel_rng(config, case)
    volume = expose_tomosynthesis(_phantom(case, config, rng), config.tomosynthesis, rng)
    assert volume.boxes_xyxy == ((20.0, 48.0, 33.0, 62.0),)
    assert volume.slice_indices == (4,)
    assert volume.frame(3).mean() == pytest.approx(155.784790, rel=1e-5)
    assert volume.stored.window == (550.5, 703)
