"""INbreast (Porto, 410 full-field digital mammograms) as a manifest.

Lesions are outlined, a property list an image; a box covers the points of one outline. There is no pathology,
only a BI-RADS assessment per image, and no official split: every patient is in the training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from comoto.datasets.inbreast.files import locate_images
from comoto.datasets.inbreast.outlines import FINDINGS, Region, read_regions
from comoto.datasets.reading.boxes import CORNERS
from comoto.datasets.reading.options import some_of, whole_number
from comoto.datasets.reading.outlines import Box, box_of_points, clipped, grown
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import LESION_COLUMNS, Manifest, Modality, Split
from comoto.sources import read_source_header

NAME = "inbreast"
DEFAULT_FINDINGS = ("mass", "spiculated region", "distortion", "asymmetry", "cluster")
"""Taken as lesions unless others are asked for: no single calcifications and no regions without a name."""

_SUSPICIOUS = ("4", "5", "6")


@dataclass
class _Boxes:
    """What was gathered over all images."""

    rows: list[tuple[str, Box, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    oddities: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    num_clipped: int = 0
    num_grown: int = 0


def read_inbreast(
    root: Path,
    *,
    tables: Path | None = None,
    allow_missing: bool = False,
    findings: str | Sequence[str] = DEFAULT_FINDINGS,
    min_size: str | int = 1,
) -> Manifest:
    """Read the table and the outlines.

    Args:
        root: any folder above ``AllDICOMs`` and ``AllXML``.
        tables: folder of ``INbreast.csv``, if it is not ``root`` or one folder below.
        allow_missing: leave out images that are not on disk, instead of refusing.
        findings: regions that count as lesions, of ``FINDINGS``; text with commas or a sequence.
        min_size: smaller boxes are enlarged about their centre to this many pixels on each axis; point-like
            calcifications have one pixel.

    Returns:
        One image per mammogram; ``label`` such as ``BI-RADS 4a``; the patient is the key in the DICOM name;
        the category of a lesion is its finding.

    Raises:
        ConfigError: an option has another value.
        DatasetError: the table is missing or wrong, images are not on disk, or no outline is.
    """
    root = Path(root).absolute()
    chosen = some_of(NAME, "findings", findings, FINDINGS)
    least = whole_number(NAME, "min-size", min_size, 1)
    located = locate_images(root, root if tables is None else Path(tables), allow_missing)
    boxes = _boxes(located.rows, chosen, least)
    rows = located.rows[~located.rows["name"].isin(list(boxes.dropped))]
    if rows.empty:
        raise DatasetError(f"{NAME}: no image can be used; first: {next(iter(boxes.dropped.values()))}")
    notes = (*located.notes, *_notes(rows, boxes, chosen, least))
    dropped = (*located.dropped, *boxes.dropped.values())
    return Manifest(NAME, _images(rows), _lesions(boxes), notes, dropped)


def _boxes(rows: pd.DataFrame, chosen: tuple[str, ...], least: int) -> _Boxes:
    boxes = _Boxes()
    images = zip(rows["name"].astype(str), rows["path"], rows["xml"], strict=True)
    for name, path, xml in track(images, "read outlines", len(rows)):
        try:
            header = read_source_header(path)
            regions = _wanted(Path(xml), boxes, chosen) if xml else []
            boxes.rows += _boxes_of(name, regions, (header.rows, header.columns), least, boxes)
        except (DatasetError, DicomError) as error:
            boxes.dropped[name] = str(error)
    return boxes


def _wanted(path: Path, boxes: _Boxes, chosen: tuple[str, ...]) -> list[Region]:
    """Return the regions that count as lesions; a name that is not known counts as unnamed."""
    content = read_regions(path)
    boxes.oddities += content.oddities
    wanted = []
    for region in content.regions:
        if region.finding is None:
            boxes.unknown[region.name] += 1
        finding = region.finding or "unnamed"
        if finding in chosen:
            wanted.append(Region(finding, region.name, region.points))
        else:
            boxes.left_out[finding] += 1
    return wanted


def _boxes_of(
    name: str, regions: list[Region], shape: tuple[int, int], least: int, boxes: _Boxes
) -> list[tuple[str, Box, str]]:
    found: list[tuple[str, Box, str]] = []
    for region in regions:
        whole = box_of_points(region.points) if region.points else None
        if whole is None or clipped(whole, *shape) is None:
            where = (
                "has no points" if whole is None else f"lies outside of the {shape[0]} x {shape[1]} pixels"
            )
            raise DatasetError(f"{name}.xml: a region '{region.name}' {where}; the image is left out with it")
        boxes.num_clipped += clipped(whole, *shape) != whole
        enlarged = grown(whole, least)
        boxes.num_grown += enlarged != whole
        inside = clipped(enlarged, *shape)
        assert inside is not None
        found.append((name, inside, str(region.finding)))
    return found


def _images(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": rows["name"],
            "modality": Modality.MAMMOGRAM.value,
            "patient_id": rows["patient"],
            "study_id": rows["study"],
            "view_key": view_keys(list(rows["study"]), list(rows["laterality"] + "-" + rows["word"])),
            "laterality": rows["laterality"],
            "view": rows["view"],
            "split": Split.TRAIN.value,
            "label": "BI-RADS " + rows["birads"].replace("", "unknown"),
            "path": rows["path"],
            "num_slices": 1,
        }
    )


def _lesions(boxes: _Boxes) -> pd.DataFrame:
    table = pd.DataFrame([box for _, box, _ in boxes.rows], columns=CORNERS)
    table["image_id"] = [name for name, _, _ in boxes.rows]
    table["category"] = [finding for _, _, finding in boxes.rows]
    table["slice_index"] = pd.NA
    return table[list(LESION_COLUMNS)]


def _notes(rows: pd.DataFrame, boxes: _Boxes, chosen: tuple[str, ...], least: int) -> list[str]:
    notes = ["no official split: every patient is in the training part"]
    if boxes.left_out:
        counts = ", ".join(f"{boxes.left_out[word]} {word}" for word in FINDINGS if boxes.left_out[word])
        notes.append(f"regions that are not taken as lesions: {counts} (findings={','.join(chosen)})")
    if boxes.unknown:
        counts = ", ".join(f"'{name}' {number}" for name, number in sorted(boxes.unknown.items()))
        notes.append(f"regions with a name that is not known count as unnamed: {counts}")
    without = rows[rows["xml"] == ""]
    if len(without):
        suspicious = without["name"][without["birads"].str[:1].isin(_SUSPICIOUS)]
        more = (
            f"; of BI-RADS 4 or more, so check the download: {', '.join(suspicious)}"
            if len(suspicious)
            else ""
        )
        notes.append(f"{len(without)} images have no XML file and count as without a finding{more}")
    blank = rows["name"][rows["birads"] == ""]
    if len(blank):
        notes.append(f"Bi-Rads is blank, the label is 'BI-RADS unknown': {', '.join(blank)}")
    if boxes.num_clipped:
        notes.append(f"{boxes.num_clipped} boxes clipped to the image")
    if boxes.num_grown:
        notes.append(f"{boxes.num_grown} boxes enlarged to {least} pixels")
    return [*notes, *boxes.oddities]
