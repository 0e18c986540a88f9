"""CDD-CESM (TCIA): contrast-enhanced spectral mammograms, low-energy and subtracted, as a manifest.

Each breast was exposed at two energies. The low-energy image looks like an ordinary mammogram, the subtracted
one shows where the contrast agent went; both have outlines of their own. They are pictures of 8 bits: nothing
says how large a pixel is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from comoto.config.models import Count
from comoto.datasets.cdd_cesm.files import CesmImage, Energy, find_images
from comoto.datasets.cdd_cesm.outlines import Outline, OutlineTable, is_compact, read_outlines
from comoto.datasets.cdd_cesm.tables import ImageRow, find_tables, read_rows
from comoto.datasets.reading.boxes import Box, clipped, grown
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, LowerSeveral
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import Lesion, Manifest
from comoto.sources import read_source_header

_ENERGIES: tuple[Energy, ...] = ("low_energy", "subtracted")


class CddCesmOptions(AllowMissing):
    """Options of ``read_cdd_cesm``."""

    about = DatasetAbout(
        name="cdd-cesm",
        title="CDD-CESM, low-energy and subtracted contrast-enhanced mammograms (Cairo)",
        modalities=("CESM low energy", "CESM subtracted"),
        boxes="bounds of 2,971 outlines",
        access="open: TCIA",
        licence="CC BY 4.0",
        commercial_use="yes",
        citation=(
            "Khaled R, Helal M, Alfarghaly O, et al. Categorized contrast enhanced mammography dataset for "
            "diagnostic and artificial intelligence research. Scientific Data 9, 122, 2022. Data: "
            "doi.org/10.7937/29kw-ae92"
        ),
        url="https://www.cancerimagingarchive.net/collection/cdd-cesm/",
        notes=(
            "2,006 JPEG images of 326 patients, half of them low-energy, half subtracted. Normal, benign or "
            "malignant for an image. No official split, no pixel size. The table is an Excel sheet: pip "
            "install openpyxl, or save it as CSV."
        ),
    )

    tables: Path | None = None
    """Folder of the two tables, if they are not below ROOT."""
    modality: Literal["both", "low_energy", "subtracted"] = "both"
    """Which images; for a study of two modalities make a manifest of each. Both show the same patients."""
    categories: LowerSeveral[Literal["malignant", "benign", "normal"]] = ("malignant", "benign")
    """Pathology of images whose outlines count as lesions."""
    outlines: Literal["all", "compact"] = "all"
    """``compact`` leaves out thin ribbons of skin, specks, and outlines of most of a breast: less than 35 %
    of their box, or a side below 1/64 or above 5/16 of the image's longer one."""
    min_size: Count = 1
    """Smaller boxes are enlarged about their centre to this many pixels on each axis; an outline that is a
    point has one pixel."""

    @property
    def energies(self) -> tuple[Energy, ...]:
        """The kinds of images that are read."""
        return _ENERGIES if self.modality == "both" else (self.modality,)


def read_cdd_cesm(root: Path, options: CddCesmOptions) -> Manifest:
    """Read the tables and find the images.

    Args:
        root: any folder above the two folders of images.
        options: what is read.

    Returns:
        One image per file, all of them mammograms; ``label`` is Normal, Benign or Malignant, and so is the
        category of a lesion; ``view_key`` such as ``L_DM_CC``.

    Raises:
        DatasetError: a table is missing or wrong, images are not on disk, or none can be used.
    """
    ledger = Ledger()
    rows_path, outlines_path = find_tables(options.tables or root)
    rows = read_rows(rows_path, options.energies, ledger)
    drawn = read_outlines(outlines_path)
    images = _images(root, rows_path, rows, options, ledger)
    found: dict[str, tuple[Lesion, ...]] = {}
    for image in track(images, "read outlines", len(images)):
        lesions = _lesions(image, rows[image.name].pathology, drawn, options, ledger)
        if lesions is not None:
            found[image.name] = lesions
    kept = [image for image in images if image.name in found]
    if not kept:
        first = "".join(f"; first: {line}" for line in ledger.dropped[:1])
        raise DatasetError(f"{root}: no image can be used{first}")
    _note(kept, rows, found, ledger)
    records = [image.record(rows[image.name].pathology, found[image.name]) for image in kept]
    return Manifest.from_records("cdd-cesm", records, ledger.notes, ledger.dropped)


def _images(
    root: Path, table: Path, rows: Mapping[str, ImageRow], options: CddCesmOptions, ledger: Ledger
) -> list[CesmImage]:
    """Return the images that have a row and are on disk, in the order of their names.

    Raises:
        DatasetError: images are not on disk.
    """
    there = find_images(root, ledger)
    missing = [name for name in rows if name not in there]
    refuse_missing(root, f"images of {table.name}", missing, len(rows), options.allow_missing)
    for name in missing:
        ledger.drop_of(f"an image of {table.name} is not on disk", name)
    for name, image in there.items():
        if image.energy in options.energies and name not in rows:
            ledger.drop_of(f"no row in {table.name}", image.path.name)
    return [image for name, image in sorted(there.items()) if name in rows]


def _lesions(
    image: CesmImage, pathology: str, drawn: OutlineTable, options: CddCesmOptions, ledger: Ledger
) -> tuple[Lesion, ...] | None:
    """Return the lesions of an image; None where it cannot be used, which the ledger says."""
    try:
        header = read_source_header(image.path)
        if image.name in drawn.unreadable:
            raise DatasetError(f"{drawn.unreadable[image.name]}; the image {image.name} is left out with it")
        boxes = [
            (outline, _inside(image.name, outline, header.rows, header.columns, options, ledger))
            for outline in drawn.outlines.get(image.name, ())
        ]
    except (DatasetError, DicomError) as error:
        ledger.drop(str(error))
        return None
    if boxes and pathology.lower() not in options.categories:
        ledger.note_of(f"outlines on images of category {pathology} are not taken as lesions", image.name)
        return ()
    longer = max(header.rows, header.columns)
    taken = [
        Lesion(box, None, pathology)
        for outline, box in boxes
        if options.outlines == "all" or is_compact(outline.box, outline.area, longer)
    ]
    if len(taken) < len(boxes):
        ledger.note_of("outlines that are not compact are not taken as lesions, on images", image.name)
    return tuple(taken)


def _inside(
    name: str, outline: Outline, rows: int, columns: int, options: CddCesmOptions, ledger: Ledger
) -> Box:
    """Return the box inside its image.

    Raises:
        DatasetError: none of it is.
    """
    inside = clipped(outline.box, rows, columns)
    if inside is None:
        raise DatasetError(
            f"{name}: an outline lies outside of the {rows} x {columns} pixels; the image is left out with it"
        )
    if inside != outline.box:
        ledger.note_of("a box was clipped to the image", name)
    enlarged = grown(inside, options.min_size)
    if enlarged != inside:
        ledger.note_of(f"a box was enlarged to {options.min_size} pixels", name)
    return clipped(enlarged, rows, columns) or inside


def _note(
    images: list[CesmImage],
    rows: Mapping[str, ImageRow],
    lesions: Mapping[str, tuple[Lesion, ...]],
    ledger: Ledger,
) -> None:
    ledger.note(
        "no official split: every patient is in the training part",
        "the files do not say how large a pixel is: hit radii can be given in pixels only",
    )
    energies = Counter(image.energy for image in images)
    ledger.note("images: " + ", ".join(f"{energies[word]} {word.replace('_', ' ')}" for word in energies))
    for what, words in (
        ("highest BI-RADS", [rows[image.name].birads for image in images]),
        ("breast density (ACR)", [rows[image.name].density for image in images]),
    ):
        counts = sorted(Counter(word or "not said" for word in words).items())
        ledger.note(f"{what} of the images: " + ", ".join(f"{word} {number}" for word, number in counts))
    for image in images:
        if rows[image.name].pathology != "Normal" and not lesions[image.name]:
            ledger.note_of("Malignant or Benign without a box, so no example of healthy tissue", image.name)
