"""One image of the first exams, from its case to its file; what the files of both exams share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from comoto.records import Laterality
from comoto.simulation.anatomy import draw_view
from comoto.simulation.cohort import MammogramCase, TomosynthesisCase, pixel_rng
from comoto.simulation.config import GridConfig, SimulateConfig, TrapsConfig
from comoto.simulation.dicom_mammogram import write_mammogram
from comoto.simulation.dicom_tomosynthesis import TomosynthesisHeader, encode_frame, write_tomosynthesis
from comoto.simulation.exams import BoxXyxy, expose_mammogram, expose_tomosynthesis
from comoto.simulation.phantom import Phantom, grow_phantom
from comoto.simulation.tables import Finding, classic_path, descriptive_path


@dataclass(frozen=True)
class Acquisition:
    """What the header of a volume says about its making; lengths in mm, ``window`` in stored values."""

    num_frames: int
    slice_mm: float
    thickness_mm: float
    window: tuple[float, float]
    angle_deg: float
    num_views: int


def _phantom(
    case: TomosynthesisCase | MammogramCase, config: SimulateConfig, rng: np.random.Generator
) -> Phantom:
    view = draw_view(case.breast, case.view, config.grid.rows * config.grid.pixel_mm, rng)
    return grow_phantom(case.breast, view, case.masses, config.grid, rng)


def make_mammogram(case: MammogramCase, config: SimulateConfig, root: Path) -> list[Finding]:
    """Make and write a mammogram; return its findings."""
    rng = pixel_rng(config, case)
    mammogram = expose_mammogram(_phantom(case, config, rng), config.mammography, rng)
    write_mammogram(
        mammogram_path(root, case),
        case,
        config,
        mammogram.window,
        in_stored_orientation(mammogram.pixels, case),
    )
    return [finding(box, case, config.grid) for box in mammogram.boxes_xyxy]


def make_tomosynthesis(case: TomosynthesisCase, config: SimulateConfig, root: Path) -> list[Finding]:
    """Make and write a volume; return its findings."""
    rng = pixel_rng(config, case)
    phantom = _phantom(case, config, rng)
    volume = expose_tomosynthesis(phantom, config.tomosynthesis, rng)
    acquisition = Acquisition(
        num_frames=len(volume.slice_heights),
        slice_mm=config.grid.slice_mm,
        thickness_mm=phantom.view.thickness,
        window=volume.stored.window,
        angle_deg=config.tomosynthesis.angle_deg,
        num_views=config.tomosynthesis.num_views,
    )
    del phantom
    header = volume_header(case, config.grid, config.traps, acquisition)
    path = volume_path(root, case, config.tomosynthesis.layout)
    frames = stored_frames(case, volume.frames())
    write_tomosynthesis(path, header, (encode_frame(frame, config.traps.precision_bits) for frame in frames))
    return [
        {**finding(box, case, config.grid), "slice": index, "num_slices": len(volume.slice_heights)}
        for box, index in zip(volume.boxes_xyxy, volume.slice_indices, strict=True)
    ]


def mammogram_path(root: Path, case: MammogramCase) -> Path:
    """Return where a mammogram is written."""
    return root / "images" / case.study_id / f"{case.image_id}.dicom"


def volume_path(root: Path, case: TomosynthesisCase, layout: str) -> Path:
    """Return where a volume is written."""
    return root / (classic_path(case) if layout == "classic" else descriptive_path(case, on_disk=True))


def in_stored_orientation(
    pixels: NDArray[np.uint16], case: TomosynthesisCase | MammogramCase
) -> NDArray[np.uint16]:
    """Return an image (H, W) in left orientation as it is stored: right breasts mirrored."""
    return np.ascontiguousarray(pixels[:, ::-1]) if case.laterality is Laterality.RIGHT else pixels


def stored_frames(
    case: TomosynthesisCase, frames: Iterable[NDArray[np.uint16]]
) -> Iterator[NDArray[np.uint16]]:
    """Yield frames (H, W) in left orientation as they are stored: some turned by 180 degrees."""
    for frame in frames:
        stored = in_stored_orientation(frame, case)
        yield np.ascontiguousarray(stored[::-1, ::-1] if case.rotated else stored)


def volume_header(
    case: TomosynthesisCase, grid: GridConfig, traps: TrapsConfig, acquisition: Acquisition
) -> TomosynthesisHeader:
    """Return what the object of a volume says about itself."""
    return TomosynthesisHeader(
        patient_id=case.patient_id,
        study_instance_uid=case.study_uid,
        series_instance_uid=case.series_uid,
        sop_instance_uid=case.instance_uid,
        study_description=case.study_description,
        series_number=case.series_number,
        view=case.view,
        laterality=case.laterality,
        rows=grid.rows,
        columns=grid.columns,
        num_frames=acquisition.num_frames,
        pixel_mm=grid.pixel_mm,
        slice_mm=acquisition.slice_mm,
        thickness_mm=acquisition.thickness_mm,
        window=acquisition.window,
        frame_laterality=Laterality.LEFT if traps.laterality_always_left else case.laterality,
        angle_deg=acquisition.angle_deg,
        num_views=acquisition.num_views,
        with_pixel_spacing=traps.pixel_spacing,
    )


def finding(box: BoxXyxy, case: TomosynthesisCase | MammogramCase, grid: GridConfig) -> Finding:
    """Return a box in left orientation as the tables have it."""
    x1, y1, x2, y2 = box
    if case.laterality is Laterality.RIGHT:
        x1, x2 = grid.columns - x2, grid.columns - x1
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
