"""Time and peak memory of one simulated mammogram and one tomosynthesis volume at a named size.

Run: python benchmarks/simulate.py --size full --slice-mm 8 (a volume of fewer slices, all pixels), or
python benchmarks/simulate.py --exams second --size small --repeats 6 (each system in turn).
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2
import numpy as np

from comoto.records import View
from comoto.simulation import sized
from comoto.simulation.anatomy import draw_breast, draw_mass, draw_view
from comoto.simulation.dicom_tomosynthesis import encode_frame
from comoto.simulation.exams import expose_mammogram, expose_tomosynthesis
from comoto.simulation.phantom import grow_phantom
from comoto.simulation.second.cohort import exposure_rng, plan_volumes
from comoto.simulation.second.config import SecondConfig
from comoto.simulation.second.exams import expose_mammogram as second_mammogram
from comoto.simulation.second.exams import expose_tomosynthesis as second_volume
from comoto.simulation.second.images import phantom_of
from comoto.simulation.second.styles import TOMOSYNTHESIS


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="demo")
    parser.add_argument("--exams", default="first", choices=("first", "second"))
    parser.add_argument("--slice-mm", type=float, default=None)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = sized(arguments.size, arguments.exams)
    if arguments.slice_mm is not None:
        grid = config.grid.model_copy(update={"slice_mm": arguments.slice_mm})
        config = config.model_copy(update={"grid": grid})
    print(f"{arguments.size}: {config.grid.rows} x {config.grid.columns} at {config.grid.pixel_mm} mm")
    for seed in range(arguments.repeats):
        if isinstance(config, SecondConfig):
            _second(config, seed)
        else:
            _one(config, seed)


def _second(config: SecondConfig, number: int) -> None:
    """Time the parts of one image of the second exams; the phantom's planes count to what asks for them."""
    case = plan_volumes(config)[number]
    system = list(TOMOSYNTHESIS)[number % len(TOMOSYNTHESIS)]
    started = time.process_time()
    phantom = phantom_of(case, config)
    grown = time.process_time()
    second_mammogram(phantom, "plain", exposure_rng(config, case))
    exposed = time.process_time()
    volume = second_volume(phantom, system, exposure_rng(config, case))
    acquired = time.process_time()
    total = sum(len(encode_frame(frame, 16)) for frame in volume.frames())
    encoded = time.process_time()
    print(
        f"  {case.view} {system}, {phantom.view.thickness:.0f} mm, {len(case.exam.lesions)} lesions: "
        f"breast {grown - started:.2f} s, mammogram {exposed - grown:.2f} s, "
        f"volume {acquired - exposed:.2f} s, {len(volume.slice_heights)} slices {encoded - acquired:.2f} s "
        f"({total / 2**20:.1f} MiB); mammogram in all {exposed - started:.2f} s, "
        f"volume in all {grown - started + encoded - exposed:.2f} s; peak {_peak_gib():.2f} GiB"
    )


def _one(config, seed: int) -> None:
    rng = np.random.default_rng(seed)
    breast = draw_breast(config, rng)
    view = draw_view(breast, View.MLO if seed % 2 else View.CC, config.grid.rows * config.grid.pixel_mm, rng)
    started = time.process_time()
    phantom = grow_phantom(breast, view, (draw_mass(config, True, rng),), config.grid, rng)
    grown = time.process_time()
    expose_mammogram(phantom, config.mammography, rng)
    exposed = time.process_time()
    volume = expose_tomosynthesis(phantom, config.tomosynthesis, rng)
    acquired = time.process_time()
    frames = list(volume.frames()) if config.grid.rows <= 512 else volume.frames()
    kept = time.process_time()
    total = sum(len(encode_frame(frame, 16)) for frame in frames)
    encoded = time.process_time()
    print(
        f"  {view.view}: phantom {grown - started:.2f} s, mammogram {exposed - grown:.2f} s, "
        f"projections {acquired - exposed:.2f} s, "
        f"{len(volume.slice_heights)} slices {kept - acquired:.2f} s, "
        f"encoding{'' if config.grid.rows <= 512 else ' with slices'} {encoded - kept:.2f} s "
        f"({total / 1e6:.2f} MB); peak {_peak_gib():.2f} GiB"
    )


if __name__ == "__main__":
    main()
