"""Simulated patients, written in the formats of the real data sets (docs/simulation.md).

``simulate(out, config)`` makes compressed breasts with masses, takes mammograms and limited-angle projections
of them, reconstructs slices and writes BCS-DBT and VinDr-Mammo. No real patient is involved.
"""

from comoto.simulation.config import SIZES, SimulateConfig
from comoto.simulation.run import SimulatedPaths, simulate
from comoto.simulation.second.config import SecondConfig
from comoto.simulation.sizes import sized

__all__ = ["SIZES", "SecondConfig", "SimulateConfig", "SimulatedPaths", "simulate", "sized"]
