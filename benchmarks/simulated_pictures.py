"""Pictures of simulated exams with their boxes, to judge the simulator by eye.

Run: python benchmarks/simulated_pictures.py --out pictures --size small
Writes mammograms.png (four densities, CC and MLO), tomosynthesis.png (each breast as a mammogram, in its
focal slice with and without the box, and out of focus) and overview.png (the picture of the README).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cases.pictures import save, windowed
from comoto.records import View
from comoto.simulation import sized
from comoto.simulation.anatomy import draw_breast, draw_mass, draw_view
from comoto.simulation.exams import Mammogram, TomosynthesisVolume, expose_mammogram, expose_tomosynthesis
from comoto.simulation.phantom import grow_phantom

BOX_GRAY = 255
TILE_ROWS = 480
GRAY_LEVELS = 48


@dataclass(frozen=True)
class Exam:
    """One breast with one mass, as a mammogram and as a volume."""

    mammogram: Mammogram
    volume: TomosynthesisVolume


def make_exam(size: str, seed: int, density: str, view: View, spiculated: bool) -> Exam:
    config = sized(size, anatomy={"density_weights": [float(name == density) for name in "ABCD"]})
    rng = np.random.default_rng(seed)
    breast = draw_breast(config, rng)
    shape = draw_view(breast, view, config.grid.rows * config.grid.pixel_mm, rng)
    phantom = grow_phantom(breast, shape, (draw_mass(config, spiculated, rng),), config.grid, rng)
    mammogram = expose_mammogram(phantom, config.mammography, rng)
    return Exam(mammogram, expose_tomosynthesis(phantom, config.tomosynthesis, rng))


def tile(pixels: np.ndarray, window: tuple[float, float], box: tuple[float, ...] | None = None) -> np.ndarray:
    """Window to 8 bits, scale to a fixed height and draw the box."""
    gray = windowed(pixels, window) * 255
    scale = TILE_ROWS / gray.shape[0]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    out = cv2.resize(gray.astype(np.float32), (round(gray.shape[1] * scale), TILE_ROWS), interpolation=method)
    out = np.clip(out, 0, 255).astype(np.uint8)
    if box is not None:
        x1, y1, x2, y2 = (round(edge * scale) for edge in box)
        cv2.rectangle(out, (x1 - 1, y1 - 1), (x2, y2), BOX_GRAY, 1)
    return out


def slice_tiles(exam: Exam, box: bool) -> list[np.ndarray]:
    """Return the focal slice and two slices above or below it, farther and farther away."""
    volume = exam.volume
    central, count = volume.slice_indices[0], len(volume.slice_heights)
    end = 0 if central > count / 2 else count - 1
    tiles = [tile(volume.frame(central), volume.stored.window, volume.boxes_xyxy[0])] if box else []
    chosen = (central, (central + end) // 2, end)
    return tiles + [tile(volume.frame(index), volume.stored.window) for index in chosen]


def montage(out: Path, size: str, seed: int = 0) -> None:
    """Write the three pictures into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    exams = [
        make_exam(size, seed + number, density, view, spiculated=number % 2 == 0)
        for number, (view, density) in enumerate(
            (view, density) for view in (View.CC, View.MLO) for density in "ABCD"
        )
    ]
    rows = [exams[:4], exams[4:]]
    mammograms = [
        np.hstack([tile(e.mammogram.pixels, e.mammogram.window, e.mammogram.boxes_xyxy[0]) for e in row])
        for row in rows
    ]
    save(out / "mammograms.png", np.vstack(mammograms), GRAY_LEVELS)
    slices = [
        np.hstack(
            [
                tile(e.mammogram.pixels, e.mammogram.window, e.mammogram.boxes_xyxy[0]),
                *slice_tiles(e, box=True),
            ]
        )
        for e in (exams[0], exams[1], exams[6])
    ]
    save(out / "tomosynthesis.png", np.vstack(slices), GRAY_LEVELS)
    picked = [exams[index] for index in (0, 1, 5, 6, 7)]
    top = [tile(e.mammogram.pixels, e.mammogram.window, e.mammogram.boxes_xyxy[0]) for e in picked]
    shown = max(exams[::2], key=_distance_from_middle)
    bottom = [tile(shown.mammogram.pixels, shown.mammogram.window, shown.mammogram.boxes_xyxy[0])]
    bottom += slice_tiles(shown, box=True)
    save(out / "overview.png", np.vstack([np.hstack(top), np.hstack(bottom)]), GRAY_LEVELS)


def _distance_from_middle(exam: Exam) -> float:
    return abs(exam.volume.slice_indices[0] / len(exam.volume.slice_heights) - 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--size", default="small")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    montage(arguments.out, arguments.size, arguments.seed)
    print(f"pictures in {arguments.out}")


if __name__ == "__main__":
    main()
