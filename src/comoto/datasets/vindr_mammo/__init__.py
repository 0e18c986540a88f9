"""VinDr-Mammo (PhysioNet, version 1.0.0) as a manifest.

The set has no patient key; a study is one patient's only examination, so the study stands for the patient.
Boxes are in stored pixels, which is also the corrected orientation: mammograms are never turned. The
release has 10,001 CC and 9,999 MLO views, so side and view do not name an image of a study; its id does.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from comoto.datasets.reading.boxes import CORNERS, clip_to_image, counted_once, remedy
from comoto.datasets.reading.file_names import names_in
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Several, Words, require_known
from comoto.datasets.reading.tables import Table, read_table
from comoto.records import Manifest, Modality, Split

IMAGES_TABLE = "breast-level_annotations.csv"
FINDINGS_TABLE = "finding_annotations.csv"
NO_FINDING = "No Finding"
Lesion = Literal[
    "Mass",
    "Suspicious Calcification",
    "Architectural Distortion",
    "Asymmetry",
    "Focal Asymmetry",
    "Global Asymmetry",
]
OtherSign = Literal["Skin Thickening", "Skin Retraction", "Nipple Retraction", "Suspicious Lymph Node"]
LESION_CATEGORIES: tuple[Lesion, ...] = get_args(Lesion)
"""Findings inside the breast, taken as lesions unless others are asked for."""

OTHER_CATEGORIES: tuple[OtherSign, ...] = get_args(OtherSign)
"""Signs on skin, nipple and lymph nodes, left out by default: no tomosynthesis set annotates them."""

_SPLITS = {"training": Split.TRAIN, "test": Split.TEST}
_SUFFIXES = (".dicom", ".dcm")
_MIRRORED = Path("physionet.org", "files", "vindr-mammo", "1.0.0")
"""Where ``wget -r`` puts the release."""

_IMAGE_REMEDY = remedy("--set exclude=IMAGE_ID")


class VindrMammoOptions(AllowMissing):
    """Options of ``read_vindr_mammo``."""

    about = DatasetAbout(
        name="vindr-mammo",
        title="VinDr-Mammo 1.0.0 (Vingroup Big Data Institute, Hanoi)",
        modalities=("FFDM",),
        boxes="2,254 boxes",
        access="PhysioNet: account and agreement",
        licence="PhysioNet restricted",
        commercial_use="no",
        citation=(
            "Nguyen HT, Nguyen HQ, Pham HH, et al. VinDr-Mammo: A large-scale benchmark dataset for "
            "computer-aided diagnosis in full-field digital mammography. Scientific Data 10, 277, 2023. "
            "Data: doi.org/10.13026/br2v-7517"
        ),
        url="https://physionet.org/content/vindr-mammo/1.0.0/",
        notes=(
            "20,000 images of 5,000 studies. Official training and test splits, no validation split. BI-RADS "
            "and finding categories, no pathology."
        ),
    )

    categories: Several[Literal[Lesion, OtherSign]] = LESION_CATEGORIES
    """Findings that count as lesions; a box with several categories counts if one of them does."""
    exclude: Words = ()
    """Image ids that are left out wholly: the way out where a row of theirs is wrong."""


def read_vindr_mammo(root: Path, options: VindrMammoOptions) -> Manifest:
    """Read both tables and find the images on disk.

    Args:
        root: the folder with ``images/`` and the tables, or the one that ``wget -r`` was started in.
        options: what is read.

    Returns:
        One image per mammogram; ``label`` is the breast's BI-RADS assessment, ``view_key`` such as ``L-CC``;
        lesions are clipped to the image, their category is all categories of the box.

    Raises:
        ConfigError: an excluded image is in no table.
        DatasetError: a table is missing or wrong, or images are not on disk; the message names file, lines
            and remedy.
    """
    if not (root / IMAGES_TABLE).exists() and (root / _MIRRORED / IMAGES_TABLE).exists():
        root = root / _MIRRORED
    ledger = Ledger()
    images, all_images = _read_images(root / IMAGES_TABLE, options.exclude)
    ledger.note(*require_known("vindr-mammo", options.exclude, all_images))
    findings = _read_findings(root / FINDINGS_TABLE, images, options.exclude)
    images = _with_paths(root, images, options.allow_missing, ledger)
    lesions = _lesions(findings, images, frozenset[str](options.categories), ledger)
    return Manifest("vindr-mammo", images, lesions, ledger.notes, ledger.dropped)


def _read_images(path: Path, excluded: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the images, and the ids of all in the table."""
    columns = ["study_id", "image_id", "laterality", "view_position", "height", "width"]
    table = read_table(path, [*columns, "breast_birads", "split"])
    all_images = table.rows["image_id"].tolist()
    table = table.without(table.rows["image_id"], excluded)
    table.unique(["image_id"])
    laterality, view = table.words("laterality", ("L", "R")), table.words("view_position", ("CC", "MLO"))
    images = pd.DataFrame(
        {
            "image_id": table.rows["image_id"],
            "modality": Modality.MAMMOGRAM.value,
            "patient_id": table.rows["study_id"],
            "study_id": table.rows["study_id"],
            "view_key": laterality + "-" + view,
            "laterality": laterality,
            "view": view,
            "split": table.words("split", tuple(_SPLITS)).map(lambda word: _SPLITS[word].value),
            "label": table.rows["breast_birads"],
            "num_slices": 1,
            "rows": table.integers("height"),
            "columns": table.integers("width"),
        }
    )
    return images, all_images


def _read_findings(path: Path, images: pd.DataFrame, excluded: Sequence[str]) -> Table:
    """Read the findings and check them against the images; ``words`` holds the parsed categories."""
    table = read_table(
        path, ["study_id", "image_id", "split", "finding_categories", "xmin", "ymin", "xmax", "ymax"]
    )
    table = table.without(table.rows["image_id"], excluded)
    known = images.set_index("image_id")
    absent = ~table.rows["image_id"].isin(known.index)
    table.refuse(absent, f"the image has no row in {IMAGES_TABLE}", "use tables of the same release")
    splits = table.words("split", tuple(_SPLITS)).map(lambda word: _SPLITS[word].value)
    for column, values in (("study_id", table.rows["study_id"]), ("split", splits)):
        differs = values.to_numpy() != known.loc[table.rows["image_id"], column].to_numpy()
        table.refuse(differs, f"{column} is not that of {IMAGES_TABLE}", "use tables of the same release")
    words = [_parsed(text) for text in table.rows["finding_categories"]]
    allowed = {NO_FINDING, *LESION_CATEGORIES, *OTHER_CATEGORIES}
    wrong = [
        not found or not set(found) <= allowed or (NO_FINDING in found and len(found) > 1) for found in words
    ]
    table.refuse(
        wrong,
        "finding_categories is no list of known categories",
        f"write them as the release does, such as ['Mass'] or ['{NO_FINDING}'], letter by letter",
    )
    with_words = table.rows.assign(words=pd.Series(words, index=table.rows.index, dtype=object))
    return Table(path, with_words)


def _parsed(text: str) -> tuple[str, ...]:
    """Parse the text of a Python list of strings; empty if it is something else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return ()
    return tuple(value)


def _with_paths(root: Path, images: pd.DataFrame, allow_missing: bool, ledger: Ledger) -> pd.DataFrame:
    """Add ``path``, and say what of the tables and of the disk is left out."""
    files = _files(root / "images")
    paths: list[str] = []
    for row in images.itertuples(index=False):
        names = (f"{row.study_id}/{row.image_id}{suffix}" for suffix in _SUFFIXES)
        found = next((name for name in names if name in files), None)
        files.discard(found or "")
        paths.append(str(root / "images" / found) if found else "")
    images = images.assign(path=paths)
    missing = images["path"] == ""
    if files:
        one = "1 file is" if len(files) == 1 else f"{len(files)} files are"
        ledger.drop(f"{root / 'images'}: {one} not in {IMAGES_TABLE}, such as {min(files)}")
    absent = images["image_id"][missing].tolist()
    refuse_missing(root / "images", f"images of {IMAGES_TABLE}", absent, len(images), allow_missing)
    if absent:
        ledger.drop(f"{IMAGES_TABLE}: {len(absent)} of {len(images)} images, because they are not on disk")
    return images[~missing]


def _files(folder: Path) -> set[str]:
    """List the DICOM files as ``<study>/<name>``; every folder is listed once."""
    return {
        f"{study}/{name}"
        for study, is_folder in names_in(folder).items()
        for name in (names_in(folder / study) if is_folder else ())
        if name.endswith(_SUFFIXES) and not name.startswith(".")
    }


def _lesions(findings: Table, images: pd.DataFrame, chosen: frozenset[str], ledger: Ledger) -> pd.DataFrame:
    """Return the boxes that count as lesions on the images that are there."""
    boxed = _boxed(findings)
    boxed = Table(findings.path, boxed.rows[boxed.rows["image_id"].isin(images["image_id"])])
    boxes = pd.DataFrame(
        {
            corner: boxed.numbers(column)
            for corner, column in zip(CORNERS, ("xmin", "ymin", "xmax", "ymax"), strict=True)
        }
    )
    sizes = images.set_index("image_id").loc[boxed.rows["image_id"], ["columns", "rows"]]
    sizes.index = boxes.index
    boxes = clip_to_image(boxed, boxes, sizes["columns"], sizes["rows"], _IMAGE_REMEDY, ledger)
    boxes["image_id"] = boxed.rows["image_id"]
    boxes["slice_index"] = pd.NA
    boxes["category"] = [", ".join(words) for words in boxed.rows["words"]]
    counts = pd.Series(
        [bool(chosen & set(words)) for words in boxed.rows["words"]], index=boxes.index, dtype=bool
    )
    lesions = counted_once(boxed, boxes[counts], ledger)
    if not counts.all():
        only = set(boxes["image_id"]) - set(lesions["image_id"])
        left_out = ", ".join(sorted({*LESION_CATEGORIES, *OTHER_CATEGORIES} - chosen))
        ledger.note(
            f"{int((~counts).sum())} boxes that are only {left_out} are not taken as lesions, as chosen; "
            f"{len(only)} images have no other box"
        )
    return lesions


def _boxed(findings: Table) -> Table:
    """Check that a box stands exactly where there is a finding, and return those rows."""
    is_finding = pd.Series(
        [NO_FINDING not in words for words in findings.rows["words"]], index=findings.rows.index
    )
    empty = findings.rows[["xmin", "ymin", "xmax", "ymax"]] == ""
    findings.refuse(is_finding & empty.any(axis=1), "a finding has no box", _IMAGE_REMEDY)
    findings.refuse(~is_finding & ~empty.all(axis=1), f"'{NO_FINDING}' has a box", _IMAGE_REMEDY)
    return Table(findings.path, findings.rows[is_finding])
