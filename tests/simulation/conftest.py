from __future__ import annotations

from pathlib import Path

import pytest
from simulate_cases import tiny_config

from comoto.simulation import SimulateConfig, SimulatedPaths, simulate


@pytest.fixture(scope="session")
def simulated_config() -> SimulateConfig:
    return tiny_config()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, simulated_config: SimulateConfig) -> SimulatedPaths:
    return simulate(Path(tmp_path_factory.mktemp("simulated")) / "out", simulated_config, workers=1)
