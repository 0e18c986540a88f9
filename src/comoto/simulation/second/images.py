"""One image of the second exams, from its case to its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comoto.simulation.dicom_mammogram import write_mammogram
from comoto.simulation.dicom_tomosynthesis import encode_frame, write_tomosynthesis
from comoto.simulation.images import (
    Acquisition,
    finding,
    in_stored_orientation,
    mammogram_path,
    stored_frames,
    volume_header,
    volume_path,
)
from comoto.simulation.second.cohort import (
    SecondCase,
    SecondMammogramCase,
    SecondVolumeCase,
    exposure_rng,
    pixel_rng,
)
from comoto.simulation.second.config import SecondConfig
from comoto.simulation.second.crosssection import CrossSection
from comoto.simulation.second.dicom_hologic import HOLOGIC_VOLUMES, write_hologic
from comoto.simulation.second.exams import (
    SecondVolume,
    VolumeHabits,
    expose_mammogram,
    expose_tomosynthesis,
)
from comoto.simulation.second.material import draw_material
from comoto.simulation.second.phantom import SecondPhantom, compress
from comoto.simulation.second.placement import draw_places, put
from comoto.simulation.tables import Finding


def phantom_of(case: SecondCase, config: SecondConfig) -> SecondPhantom:
    """Return the breast of a case in its view, with everything in it."""
    exam = case.exam
    rng = exam.rng(config)
    sections = {view.view: CrossSection(exam.breast, view) for view in exam.views}
    material = draw_material(rng)
    shapes = (*exam.lesions, *exam.decoys)
    places = draw_places(sections, material, shapes, config.grid, rng) if shapes else ()
    section = sections[case.view]
    items = tuple(put(shape, place, section) for shape, place in zip(shapes, places, strict=True))
    count = len(exam.lesions)
    return compress(section, material, items[:count], items[count:], config.grid, pixel_rng(config, case))


def make_second_mammogram(case: SecondMammogramCase, config: SecondConfig, root: Path) -> list[Finding]:
    """Make and write a mammogram; return its findings."""
    phantom = phantom_of(case, config)
    mammogram = expose_mammogram(phantom, case.exam.style, exposure_rng(config, case))
    pixels = in_stored_orientation(mammogram.image.pixels, case)
    write_mammogram(mammogram_path(root, case), case, config, mammogram.image.window, pixels)
    return [
        {**finding(box, case, config.grid), "visibility": seen, "size_mm": lesion.size_mm}
        for box, seen, lesion in zip(
            mammogram.image.boxes_xyxy, mammogram.visibilities, phantom.lesions, strict=True
        )
    ]


def make_second_volume(case: SecondVolumeCase, config: SecondConfig, root: Path) -> list[Finding]:
    """Make and write a volume; return its findings, of which there are none where only the label is known."""
    phantom = phantom_of(case, config)
    hologic = config.tomosynthesis.headers == "hologic"
    habits = HOLOGIC_VOLUMES if hologic else VolumeHabits()
    volume = expose_tomosynthesis(phantom, case.exam.style, exposure_rng(config, case), habits)
    path = volume_path(root, case, config.tomosynthesis.layout)
    header = volume_header(case, config.grid, config.traps, _acquisition(volume, phantom, config))
    frames = stored_frames(case, volume.frames())
    if hologic:
        write_hologic(path, replace(header, frame_laterality=case.laterality), frames)
    else:
        encoded = (encode_frame(frame, config.traps.precision_bits) for frame in frames)
        write_tomosynthesis(path, header, encoded)
    if not case.boxed:
        return []
    return [
        {
            **finding(volume.boxes_xyxy[number], case, config.grid),
            "slice": volume.slice_indices[number],
            "num_slices": len(volume.slice_heights),
            "depth_share": volume.depth_shares[number],
            "visibility": volume.visibilities[number],
            "size_mm": lesion.size_mm,
        }
        for number, lesion in enumerate(phantom.lesions)
    ]


def _acquisition(volume: SecondVolume, phantom: SecondPhantom, config: SecondConfig) -> Acquisition:
    return Acquisition(
        num_frames=len(volume.slice_heights),
        slice_mm=config.grid.slice_mm * volume.style.slice_factor,
        thickness_mm=phantom.view.thickness,
        window=volume.stored.window,
        angle_deg=volume.style.angle_deg,
        num_views=volume.style.num_views,
    )
