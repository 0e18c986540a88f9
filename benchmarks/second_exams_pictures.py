"""Pictures of the second exams: every family at three sizes, in focus and out; decoys, views and systems.

Run: python benchmarks/second_exams_pictures.py --out docs/pictures
Writes second-FAMILY.png for each family (a row a size: mammogram, slice in focus, slice 10 mm away, of three
looks), second-decoys.png, second-views.png (one breast in CC and MLO) and second-styles.png (one breast in
every system). Boxes are left out of crops, which are centred on the lesion.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from cases.pictures import save, shown
from comoto.config import override
from comoto.records import View
from comoto.simulation import SecondConfig, sized
from comoto.simulation.exams import nearest_slice
from comoto.simulation.second.cohort import SecondVolumeCase, exposure_rng, plan_volumes
from comoto.simulation.second.exams import (
    SecondMammogram,
    SecondVolume,
    expose_mammogram,
    expose_tomosynthesis,
)
from comoto.simulation.second.images import phantom_of
from comoto.simulation.second.lesion import LesionShape
from comoto.simulation.second.looks import DECOYS
from comoto.simulation.second.styles import MAMMOGRAPHY, TOMOSYNTHESIS

SIZES_MM = (10.0, 18.0, 32.0)
LOOKS = (0, 1, 2)
CROP_MM = 56.0
TILE = 132
AWAY_MM = 10.0
GRAY_LEVELS = 40
CLUSTER = {"grid.rows": 1280, "grid.columns": 640, "grid.pixel_mm": 0.1, "grid.plane_mm": 0.5}
CLUSTER |= {"lesions.families.calcification": 1.0, "anatomy.thickness_mm": [40.0, 46.0]}
"""Grid and breast for clusters, which need fine pixels."""


@dataclass(frozen=True)
class Exam:
    """One breast with one lesion or decoy, in one view."""

    mammogram: SecondMammogram
    volume: SecondVolume
    center_mm: tuple[float, float]
    slice_index: int
    pixel_mm: float


def config_of(seed: int, density: str, **more: object) -> SecondConfig:
    weights = [float(name == density) for name in "ABCD"]
    values = {"tomosynthesis.train_patients": 1, "tomosynthesis.lesion_share": 1.0, "decoys.per_breast": 0.0}
    values |= {"tomosynthesis.one_view_share": 0.0, "lesions.two_lesions": 0.0, "seed": seed}
    return override(sized("small", "second"), values={**values, "anatomy.density_weights": weights, **more})


def case_of(config: SecondConfig, family: str, look: int, size_mm: float, view: View) -> SecondVolumeCase:
    """Return the first patient's view with one lesion of our choice, or one decoy."""
    case = next(case for case in plan_volumes(config) if case.view is view)
    shape = replace(
        case.exam.lesions[0], family=family, look=look, size_mm=size_mm, contrast=1.0, obscured=False
    )
    lesions: tuple[LesionShape, ...] = () if family in DECOYS else (shape,)
    exam = replace(case.exam, lesions=lesions, decoys=(shape,) if family in DECOYS else ())
    return replace(case, exam=exam)


def expose(case: SecondVolumeCase, config: SecondConfig, system: str = "narrow", look: str = "plain") -> Exam:
    phantom = phantom_of(case, config)
    volume = expose_tomosynthesis(phantom, system, exposure_rng(config, case))
    item = (*phantom.lesions, *phantom.decoys)[0]
    index = nearest_slice(volume.slice_heights, phantom.height(item.center[2]))
    return Exam(
        mammogram=expose_mammogram(phantom, look, exposure_rng(config, case)),
        volume=volume,
        center_mm=(item.center[0], item.center[1]),
        slice_index=index,
        pixel_mm=config.grid.pixel_mm,
    )


def crop(gray: np.ndarray, exam: Exam, side_mm: float, center_mm: tuple[float, float]) -> np.ndarray:
    """Cut a square around a point and bring it to the size of a tile."""
    half = round(side_mm / 2 / exam.pixel_mm)
    x, y = (round(value / exam.pixel_mm) + half for value in center_mm)
    part = np.pad(gray, half)[y - half : y + half, x - half : x + half]
    method = cv2.INTER_AREA if 2 * half > TILE else cv2.INTER_CUBIC
    return cv2.resize(part, (TILE, TILE), interpolation=method)


def tiles(exam: Exam, side_mm: float) -> np.ndarray:
    """Return mammogram, slice in focus and slice 10 mm away around the lesion."""
    film, volume = exam.mammogram.image, exam.volume
    center = exam.center_mm
    if film.boxes_xyxy:
        x1, y1, x2, y2 = film.boxes_xyxy[0]
        center = ((x1 + x2) / 2 * exam.pixel_mm, (y1 + y2) / 2 * exam.pixel_mm)
    step = float(volume.slice_heights[1] - volume.slice_heights[0])
    away = round(AWAY_MM / step) * (1 if exam.slice_index < len(volume.slice_heights) / 2 else -1)
    slices = [volume.frame(index) for index in (exam.slice_index, exam.slice_index + away)]
    return np.hstack(
        [
            crop(shown(film.pixels, film.window), exam, side_mm, center),
            *(crop(shown(frame, volume.stored.window), exam, side_mm, exam.center_mm) for frame in slices),
        ]
    )


def family_picture(family: str) -> np.ndarray:
    """Return a row for each size, and in it three looks."""
    rows = []
    for number, size_mm in enumerate(SIZES_MM):
        row = []
        for look in LOOKS:
            fine = CLUSTER if family == "calcification" else {}
            config = config_of(100 + 10 * number + look, "AB"[look % 2], **fine)
            case = case_of(config, family, look, size_mm, View.CC)
            row.append(tiles(expose(case, config), CROP_MM if not fine else 20.0 + size_mm / 2))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def decoys_picture() -> np.ndarray:
    """Return a row for each decoy, of two looks."""
    rows = []
    for number, family in enumerate(DECOYS):
        row = []
        for look in LOOKS[:2]:
            config = config_of(200 + 10 * number + look, "A")
            row.append(tiles(expose(case_of(config, family, look, 16.0, View.CC), config), CROP_MM))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def whole(gray: np.ndarray, box: tuple[float, ...] | None) -> np.ndarray:
    out = gray.copy()
    if box is not None:
        x1, y1, x2, y2 = (round(edge) for edge in box)
        cv2.rectangle(out, (x1 - 1, y1 - 1), (x2, y2), 255, 1)
    return out[:, : int(gray.shape[1] * 0.9)]


def views_picture() -> np.ndarray:
    """Return both views of two breasts: mammogram, slice in focus, slice 10 mm away."""
    rows = []
    for seed, family, look in ((31, "spiculated", 2), (33, "distortion", 1)):
        row = []
        for view in (View.CC, View.MLO):
            config = config_of(seed, "B")
            exam = expose(case_of(config, family, look, 24.0, view), config)
            film, volume = exam.mammogram.image, exam.volume
            row.append(whole(shown(film.pixels, film.window), film.boxes_xyxy[0]))
            frame = shown(volume.frame(exam.slice_index), volume.stored.window)
            row.append(whole(frame, volume.boxes_xyxy[0]))
        rows.append(np.hstack(row))
    return cv2.resize(np.vstack(rows), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def styles_picture() -> np.ndarray:
    """Return one breast in both looks of mammograms and in the focal slice of each system."""
    config = config_of(42, "C")
    case = case_of(config, "spiculated", 1, 20.0, View.MLO)
    phantom = phantom_of(case, config)
    row = []
    for name in MAMMOGRAPHY:
        film = expose_mammogram(phantom, name, exposure_rng(config, case)).image
        row.append(whole(shown(film.pixels, film.window), None))
    for name in TOMOSYNTHESIS:
        volume = expose_tomosynthesis(phantom, name, exposure_rng(config, case))
        row.append(whole(shown(volume.frame(volume.slice_indices[0]), volume.stored.window), None))
    return np.hstack(row)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", help="a family, or decoys, views, styles")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    families = (
        "spiculated",
        "round",
        "lobulated",
        "fat_containing",
        "distortion",
        "asymmetry",
        "calcification",
    )
    work = {name: (family_picture, (name,)) for name in families}
    pictures = {"decoys": decoys_picture, "views": views_picture, "styles": styles_picture}
    for name in [arguments.only] if arguments.only else [*work, *pictures]:
        gray = family_picture(name) if name in work else pictures[name]()
        save(arguments.out / f"second-{name}.png", gray, GRAY_LEVELS)
        print(f"{arguments.out / f'second-{name}.png'}")


if __name__ == "__main__":
    main()
