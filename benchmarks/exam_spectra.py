"""Spectra of simulated exams beside those of real images: are mammograms too smooth, slices too streaked?

Run: python benchmarks/exam_spectra.py [--cases 8] [--real FOLDER]
FOLDER holds the low-energy images of CDD-CESM as 8-bit pictures of 0.4 to 0.5 mm a pixel (``*_DM_*.jpg``);
they are measured too if it is given. Of patches of 32 x 32 pixels inside the breast, grey values over the
spread of the breast, the table gives: ``exponent`` of the power spectrum below 0.2 cycles a pixel; ``fine
exponent`` above; ``fine share`` of the variance above 0.15 cycles a pixel; ``y / x``, energy along the chest
wall over across it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cases.pictures import shown
from comoto.config import override
from comoto.preprocessing.appearance.spectra import Spectrum, patch_power, read_spectrum
from comoto.simulation import SecondConfig, sized
from comoto.simulation.cohort import pixel_rng as first_rng
from comoto.simulation.cohort import plan_mammography, plan_tomosynthesis
from comoto.simulation.exams import expose_mammogram as first_mammogram
from comoto.simulation.exams import expose_tomosynthesis as first_volume
from comoto.simulation.images import _phantom as first_phantom
from comoto.simulation.second.cohort import exposure_rng, plan_volumes
from comoto.simulation.second.exams import expose_mammogram, expose_tomosynthesis
from comoto.simulation.second.images import phantom_of
from comoto.simulation.second.styles import MAMMOGRAPHY, TOMOSYNTHESIS

REAL = {
    "coarse": (
        ("real mammograms (CDD-CESM)", "2.84", "", "0.141", "1.3"),
        ("real film (mini-MIAS)", "4.26", "", "0.040", "0.9"),
        ("real slices (Hologic)", "1.98", "", "0.258", "2.5"),
        ("real slices (BCS-DBT)", "3.20", "", "0.081", "2.6"),
    ),
    "fine": (
        ("real mammograms (CDD-CESM)", "2.84", "4.2", "", "1.5"),
        ("real slices (Hologic)", "2.32", "2.4", "", "3.8"),
    ),
}
"""What was measured of real images elsewhere; slices of a few small figures, so rough."""


def summarise(images: Iterable[np.ndarray]) -> tuple[int, Spectrum]:
    """Return how many 8-bit pictures were measured, and the numbers of the table."""
    rng = np.random.default_rng(0)
    powers = [found for found in (patch_power(image, rng) for image in images) if found is not None]
    if not powers:
        raise SystemExit("no patch of any image lies inside a breast")
    return len(powers), read_spectrum(np.mean(powers, axis=0))


def halved(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def second_images(cases: int) -> dict[str, list[np.ndarray]]:
    """Return shown images of every system, of the same breasts, at 0.4 mm."""
    few = {"tomosynthesis.train_patients": cases, "tomosynthesis.validation_patients": 0}
    few |= {"tomosynthesis.test_patients": 0, "tomosynthesis.lesion_share": 0.0, "seed": 5}
    config: SecondConfig = override(sized("small", "second"), values=few)
    images: dict[str, list[np.ndarray]] = {}
    for number, case in enumerate(plan_volumes(config)[::2]):
        phantom = phantom_of(case, config)
        for name in MAMMOGRAPHY:
            mammogram = expose_mammogram(phantom, name, exposure_rng(config, case)).image
            images.setdefault(f"mammograms, {name}", []).append(shown(mammogram.pixels, mammogram.window))
        for name in TOMOSYNTHESIS:
            volume = expose_tomosynthesis(phantom, name, exposure_rng(config, case))
            index = round(len(volume.slice_heights) * (0.3, 0.5, 0.7)[number % 3])
            images.setdefault(f"slices, {name}", []).append(shown(volume.frame(index), volume.stored.window))
    return images


def first_images(cases: int) -> dict[str, list[np.ndarray]]:
    """Return shown images of the first exams at 0.4 mm."""
    config = sized("small")
    films, slices = [], []
    for case in plan_mammography(config)[: 2 * cases : 2]:
        rng = first_rng(config, case)
        mammogram = first_mammogram(first_phantom(case, config, rng), config.mammography, rng)
        films.append(shown(mammogram.pixels, mammogram.window))
    for case in plan_tomosynthesis(config)[: 2 * cases : 2]:
        rng = first_rng(config, case)
        volume = first_volume(first_phantom(case, config, rng), config.tomosynthesis, rng)
        slices.append(shown(volume.frame(len(volume.slice_heights) // 2), volume.stored.window))
    return {"first exams, mammograms": films, "first exams, slices": slices}


def real_images(folder: Path) -> Iterator[np.ndarray]:
    paths = sorted(folder.rglob("*_DM_*.jpg"))
    if not paths:
        raise SystemExit(f"{folder}: holds no *_DM_*.jpg")
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is not None:
            yield image


def line(name: str, images: int, spectrum: Spectrum) -> str:
    return (
        f"| {name} ({images}) | {spectrum.exponent:.2f} | {spectrum.fine_exponent:.1f} "
        f"| {spectrum.fine_share:.3f} | {spectrum.y_over_x:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=8, help="breasts")
    parser.add_argument("--real", type=Path, help="folder of the low-energy images of CDD-CESM")
    parser.add_argument("--without-first", action="store_true", help="leave the first exams out")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = {} if arguments.without_first else first_images(arguments.cases)
    images |= second_images(arguments.cases)
    if arguments.real is not None:
        images["real mammograms, measured here"] = list(real_images(arguments.real))
    for grid, change in (("coarse", halved), ("fine", np.asarray)):
        print(
            f"\n| {'0.8-0.9' if grid == 'coarse' else '0.4-0.5'} mm a pixel | exponent | fine exponent ",
            end="",
        )
        print("| fine share | y / x |\n|---|---|---|---|---|")
        for row in REAL[grid]:
            print(f"| {' | '.join(row)} |")
        for name, pictures in images.items():
            print(line(name, *summarise(change(picture) for picture in pictures)))


if __name__ == "__main__":
    main()
