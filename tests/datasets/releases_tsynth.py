"""Small releases of T-SYNTH and M-SYNTH with the folders, names and headers of the real ones.

Pictures are drawn as they are looked at: chest wall at the left, row 0 at the top. The raw files hold them as
the VICTRE pipeline does: x along the chest wall from the bottom of the picture, y away from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

FULL_DOSE = {"fatty": "2.22e10", "scattered": "2.04e10", "hetero": "1.02e10", "dense": "8.67e09"}
AIR, SKIN, FAT, LESION = 0, 2, 1, 200


@dataclass(frozen=True)
class Mass:
    """A mass in the picture: half-open corners, and first and last slice in a volume."""

    x1: int
    y1: int
    x2: int
    y2: int
    first: int = 0
    last: int = 0

    @property
    def centre(self) -> tuple[int, int]:
        return (self.x1 + self.x2) // 2, (self.y1 + self.y2) // 2


@dataclass(frozen=True)
class Cohort:
    density: str = "fatty"
    size: str = "5.0"
    mass_density: str = "1.06"


def breast_picture(rows: int, columns: int, mass: Mass | None, number: int) -> NDArray[np.float64]:
    """Air 0, tissue about 0.5 with a half disc at the left edge, a brighter mass."""
    y, x = np.mgrid[:rows, :columns]
    inside = (x + 0.5) ** 2 + (y + 0.5 - rows / 2) ** 2 < (columns * 0.75) ** 2
    noise = np.random.default_rng(number).normal(0, 0.02, (rows, columns))
    picture = np.where(inside, 0.5 + noise, 0.0)
    if mass is not None:
        picture[mass.y1 : mass.y2, mass.x1 : mass.x2] += 0.3
    return picture


def stored(picture: NDArray[np.generic]) -> NDArray[np.generic]:
    """The plane of the raw file: its rows lead away from the chest wall, its columns along it."""
    return picture[::-1].T.copy()


def write_header(path: Path, dims: tuple[int, ...], num_dims: int, element: str) -> None:
    spacing = " ".join(["0.085", "0.085", "1.0"][: len(dims)])
    path.write_text(
        "ObjectType = Image\n"
        f"NDims = {num_dims}\n"
        "BinaryData = True\n"
        "BinaryDataByteOrderMSB = False\n"
        "CompressedData = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\n"
        "Offset = 0 0 0\n"
        "CenterOfRotation = 0 0 0\n"
        f"ElementSpacing = {spacing}\n"
        f"DimSize = {' '.join(map(str, dims))}\n"
        "AnatomicalOrientation = ???\n"
        f"ElementType = {element}\n"
        "ObjectType = Image\n"
        f"ElementDataFile = {path.stem}.raw"
    )


class TsynthTree:
    """A T-SYNTH release: C-views below ``data/cview``, full volumes below ``data/volumes_subset``."""

    def __init__(self, root: Path, rows: int = 48, columns: int = 32, slices: int = 6) -> None:
        self.root = root
        self.rows, self.columns, self.slices = rows, columns, slices

    def folder(self, number: int, cohort: Cohort, top: str) -> Path:
        return (
            self.root
            / top
            / f"device_data_VICTREPhantoms_spic_{cohort.mass_density}"
            / f"{cohort.density}/2/{cohort.size}/SIM/D2_{cohort.size}_{cohort.density}.{number}/{number}"
        )

    def cview(
        self, number: int, mass: Mass | None = None, cohort: Cohort = Cohort(), *, mask: bool = True
    ) -> Path:
        folder = self.folder(number, cohort, "data/cview/output_cview_det_Victre")
        header = self._header(folder, number)
        picture = breast_picture(self.rows, self.columns, mass, number)
        header.with_suffix(".raw").write_bytes(picture.astype("<f4").tobytes())
        if mass is not None:
            self.loc(header, [(*mass.centre, (mass.first + mass.last) // 2)])
        if mask:
            labels = np.where(picture > 0, FAT, AIR).astype(np.uint8)
            if mass is not None:
                labels[mass.y1 : mass.y2, mass.x1 : mass.x2] = LESION
            self.mask(header, labels)
        return header

    def volume(
        self, number: int, mass: Mass | None = None, cohort: Cohort = Cohort(), *, mask: bool = True
    ) -> Path:
        folder = self.folder(number, cohort, "data/volumes_subset")
        header = self._header(folder, number)
        planes, labels = [], []
        for k in range(self.slices):
            seen = mass if mass is not None and mass.first <= k <= mass.last else None
            picture = breast_picture(self.rows, self.columns, seen, 1000 * number + k)
            label = np.where(picture > 0, FAT, AIR).astype(np.uint8)
            if seen is not None:
                label[seen.y1 : seen.y2, seen.x1 : seen.x2] = LESION
            planes.append(stored(picture))
            labels.append(stored(label))
        header.with_suffix(".raw").write_bytes(np.stack(planes).astype("<f8").tobytes())
        if mass is not None:
            self.loc(header, [(*mass.centre, (mass.first + mass.last) // 2)])
        if mask:
            self.mask(header, np.stack(labels))
        return header

    def loc(self, header: Path, masses: list[tuple[int, int, int]], kind: int = 2) -> None:
        """Lines of y from the bottom, x, slice and kind."""
        lines = [f"{self.rows - y} {x} {k} {kind}\n" for x, y, k in masses]
        header.with_suffix(".loc").write_text("".join(lines))

    def mask(self, header: Path, labels: NDArray[np.generic]) -> Path:
        number = header.stem.removeprefix("reconstruction")
        path = header.with_name(f"reconstruction_mask{number}.h5")
        with h5py.File(path, "w") as file:
            file.create_dataset("dbt", data=labels, compression="gzip")
        return path

    def _header(self, folder: Path, number: int) -> Path:
        folder.mkdir(parents=True)
        header = folder / f"reconstruction{number}.mhd"
        write_header(header, (self.rows, self.columns, self.slices), 3, "MET_DOUBLE")
        return header


class MsynthTree:
    """An M-SYNTH release: two float planes an image, ``NDims = 2``, masks in a tree of their own."""

    def __init__(self, root: Path, rows: int = 48, columns: int = 32) -> None:
        self.root = root
        self.rows, self.columns = rows, columns

    def dm(
        self,
        number: int,
        mass: Mass | None = None,
        cohort: Cohort = Cohort(),
        *,
        dose: str | None = None,
        mask: bool = False,
    ) -> Path:
        folder = (
            self.root
            / f"data/device_data_VICTREPhantoms_spic_{cohort.mass_density}"
            / (dose or FULL_DOSE[cohort.density])
            / f"{cohort.density}/2/{cohort.size}/SIM"
            / f"P2_{cohort.size}_{cohort.density}.8336192.{number}/{number}"
        )
        folder.mkdir(parents=True)
        header = folder / f"projection_DM{number}.mhd"
        write_header(header, (self.rows, self.columns), 2, "MET_FLOAT")
        picture = 1 + 40 * breast_picture(self.rows, self.columns, mass, number)
        self.raw(header, picture)
        if mass is not None:
            x, y = mass.centre
            header.with_suffix(".loc").write_text(f"{x} {self.rows - y} 2\n")
        if mask and mass is not None:
            self.mask(number, cohort, mass)
        return header

    def raw(self, header: Path, picture: NDArray[np.float64]) -> None:
        planes = np.stack([stored(picture), stored(picture) * 0 + 7])
        header.with_suffix(".raw").write_bytes(planes.astype("<f4").tobytes())

    def mask(self, number: int, cohort: Cohort, mass: Mass, inside: float = 60.0) -> Path:
        folder = (
            self.root
            / f"segmentation_masks/{cohort.density}/2/{cohort.size}/SIM"
            / f"P2_{cohort.size}_{cohort.density}.{number}/seg/{number}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.full((self.rows, self.columns), 1.0)
        picture[mass.y1 : mass.y2, mass.x1 : mass.x2] = inside
        path = folder / f"projection_DM{number}.raw"
        path.write_bytes(np.stack([stored(picture), stored(picture)]).astype("<f4").tobytes())
        write_header(path.with_suffix(".mhd"), (self.rows, self.columns), 2, "MET_FLOAT")
        return path
