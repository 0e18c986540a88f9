"""INbreast (Porto, 410 full-field digital mammograms) as a manifest.

Lesions are outlined, a property list an image; a box covers the points of one outline. There is no pathology,
only a BI-RADS assessment per image, and no official split: every patient is in the training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from comoto.config.models import Count
from comoto.datasets.inbreast.files import locate_images
from comoto.datasets.inbreast.outlines import FINDINGS, Finding, Region, read_regions
from comoto.datasets.reading.boxes import box_of_points, clipped, grown
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Several
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import ImageRecord, Laterality, Lesion, Manifest, Modality, Split, View
from comoto.sources import read_source_header

_SUSPICIOUS = ("4", "5", "6")


@dataclass
class _Boxes:
    """What was gathered over all images: lesions by the image's name, and images that cannot be used."""

    lesions: dict[str, tuple[Lesion, ...]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    oddities: list[str] = field(default_factory=list)
    num_clipped: int = 0
    num_grown: int = 0


class InbreastOptions(AllowMissing):
    """Options of ``read_inbreast``."""

    about = DatasetAbout(
        name="inbreast",
        title="INbreast (Hospital de São João, Porto)",
        modalities=("FFDM",),
        boxes="bounds of outlines",
        access="on request",
        licence="not stated",
        commercial_use="unknown",
        citation=(
            "Moreira IC, Amaral I, Domingues I, Cardoso A, Cardoso MJ, Cardoso JS. INbreast: toward a "
            "full-field digital mammographic database. Academic Radiology 19(2), 236-248, 2012"
        ),
        url="https://doi.org/10.1016/j.acra.2011.09.014",
        notes=(
            "410 images of 115 cases. No official split and no pathology; BI-RADS per image. Mostly passed "
            "on as copies today; ask the authors for the terms."
        ),
    )

    tables: Path | None = None
    """Folder of ``INbreast.csv``, if it is not ROOT or one folder below."""
    findings: Several[Finding] = ("mass", "spiculated region", "distortion", "asymmetry", "cluster")
    """Regions that count as lesions; single calcifications and regions without a name do not unless named."""
    min_size: Count = 1
    """Smaller boxes are enlarged about their centre to this many pixels on each axis; point-like
    calcifications have one pixel."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The findings in the order of ``FINDINGS``."""
        return tuple(finding for finding in FINDINGS if finding in self.findings)


def read_inbreast(root: Path, options: InbreastOptions) -> Manifest:
    """Read the table and the outlines.

    Args:
        root: any folder above ``AllDICOMs`` and ``AllXML``.
        options: what is read.

    Returns:
        One image per mammogram; ``label`` such as ``BI-RADS 4a``; the patient is the key in the DICOM name;
        the category of a lesion is its finding.

    Raises:
        DatasetError: the table is missing or wrong, images are not on disk, or no outline is.
    """
    ledger = Ledger()
    located = locate_images(root, options.tables or root, options.allow_missing, ledger)
    boxes = _boxes(located, options)
    ledger.drop(*boxes.unusable.values())
    rows = located[~located["name"].isin(list(boxes.unusable))]
    if rows.empty:
        raise DatasetError(f"inbreast: no image can be used; first: {next(iter(boxes.unusable.values()))}")
    _note(rows, boxes, options, ledger)
    return Manifest.from_records("inbreast", _records(rows, boxes), ledger.notes, ledger.dropped)


def _boxes(rows: pd.DataFrame, options: InbreastOptions) -> _Boxes:
    boxes = _Boxes()
    images = zip(rows["name"].astype(str), rows["path"], rows["xml"], strict=True)
    for name, path, xml in track(images, "read outlines", len(rows)):
        try:
            header = read_source_header(path)
            regions = _wanted(Path(xml), boxes, options.chosen) if xml else []
            shape = header.rows, header.columns
            boxes.lesions[name] = tuple(_lesions_of(name, regions, shape, options.min_size, boxes))
        except (DatasetError, DicomError) as error:
            boxes.unusable[name] = str(error)
    return boxes


def _wanted(path: Path, boxes: _Boxes, chosen: tuple[str, ...]) -> list[Region]:
    """Return the regions that count as lesions; a name that is not known counts as unnamed."""
    regions, oddities = read_regions(path)
    boxes.oddities += oddities
    wanted = []
    for region in regions:
        if region.finding is None:
            boxes.unknown[region.name] += 1
        finding = region.finding or "unnamed"
        if finding in chosen:
            wanted.append(Region(finding, region.name, region.points))
        else:
            boxes.left_out[finding] += 1
    return wanted


def _lesions_of(
    name: str, regions: list[Region], shape: tuple[int, int], least: int, boxes: _Boxes
) -> Iterator[Lesion]:
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
        yield Lesion(inside, None, str(region.finding))


def _records(rows: pd.DataFrame, boxes: _Boxes) -> Iterator[ImageRecord]:
    keys = view_keys(list(rows["study"]), list(rows["laterality"] + "-" + rows["word"]))
    for row, key in zip(rows.to_dict("records"), keys, strict=True):
        yield ImageRecord(
            image_id=row["name"],
            modality=Modality.MAMMOGRAM,
            patient_id=row["patient"],
            study_id=row["study"],
            view_key=key,
            laterality=Laterality(row["laterality"]),
            view=View(row["view"]),
            split=Split.TRAIN,
            label=f"BI-RADS {row['birads'] or 'unknown'}",
            path=Path(row["path"]),
            num_slices=1,
            lesions=boxes.lesions[row["name"]],
        )


def _note(rows: pd.DataFrame, boxes: _Boxes, options: InbreastOptions, ledger: Ledger) -> None:
    ledger.note("no official split: every patient is in the training part")
    if boxes.left_out:
        counts = ", ".join(f"{boxes.left_out[word]} {word}" for word in FINDINGS if boxes.left_out[word])
        ledger.note(f"regions that are not taken as lesions: {counts} (findings={','.join(options.chosen)})")
    if boxes.unknown:
        counts = ", ".join(f"'{name}' {number}" for name, number in sorted(boxes.unknown.items()))
        ledger.note(f"regions with a name that is not known count as unnamed: {counts}")
    without = rows[rows["xml"] == ""]
    if len(without):
        suspicious = without["name"][without["birads"].str[:1].isin(_SUSPICIOUS)]
        more = ""
        if len(suspicious):
            more = f"; of BI-RADS 4 or more, so check the download: {', '.join(suspicious)}"
        ledger.note(f"{len(without)} images have no XML file and count as without a finding{more}")
    blank = rows["name"][rows["birads"] == ""]
    if len(blank):
        ledger.note(f"Bi-Rads is blank, the label is 'BI-RADS unknown': {', '.join(blank)}")
    if boxes.num_clipped:
        ledger.note(f"{boxes.num_clipped} boxes clipped to the image")
    if boxes.num_grown:
        ledger.note(f"{boxes.num_grown} boxes enlarged to {options.min_size} pixels")
    ledger.note(*boxes.oddities)
