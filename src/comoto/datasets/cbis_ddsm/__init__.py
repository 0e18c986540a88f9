"""CBIS-DDSM (TCIA), digitised film, as a manifest.

One row of the tables is an abnormality with a mask image of its own; its box is the bounds of the mask. A
mammogram of which one abnormality has no box is left out: a lesion would pass for healthy tissue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.cbis_ddsm.files import locate_series
from comoto.datasets.cbis_ddsm.masks import ASPECT_TOLERANCE, MaskBox, MaskJob, find_mask
from comoto.datasets.cbis_ddsm.tables import KEY, KINDS, PATHOLOGIES, read_case_tables
from comoto.datasets.reading.boxes import CORNERS
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Processes
from comoto.datasets.reading.views import view_keys
from comoto.datasets.reading.walk import for_each
from comoto.errors import DatasetError
from comoto.records import Manifest, Modality, Split

_WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"

Files = dict[str, tuple[Path, ...]]
"""By Series Instance UID."""


class CbisDdsmOptions(AllowMissing):
    """Options of ``read_cbis_ddsm``."""

    about = DatasetAbout(
        name="cbis-ddsm",
        title="CBIS-DDSM, Curated Breast Imaging Subset of DDSM (digitised film)",
        modalities=("film",),
        boxes="bounds of 3,568 masks",
        access="open: TCIA, IDC",
        licence="CC BY 3.0",
        commercial_use="yes",
        citation=(
            "Lee RS, Gimenez F, Hoogi A, Miyake KK, Gorovoy M, Rubin DL. A curated mammography data set for "
            "use in computer-aided detection and diagnosis research. Scientific Data 4, 170177, 2017. "
            "Data: doi.org/10.7937/K9/TCIA.2016.7O02S9CY"
        ),
        url="https://www.cancerimagingarchive.net/collection/cbis-ddsm/",
        notes=(
            "3,103 mammograms of 1,566 patients, 164 GB. Official training and test splits for masses and "
            "for calcifications, which share 31 patients: read together, those are test. Pathology of every "
            "lesion. Scanned film with labels and scratches, no pixel spacing."
        ),
    )

    tables: Path | None = None
    """Folder of the four case tables, if it is not the folder of the images."""
    kind: Literal["mass", "calc", "both"] = "both"
    """Which tables are read."""
    without_callback: Literal["keep", "benign", "drop"] = "keep"
    """Lesions of pathology BENIGN_WITHOUT_CALLBACK keep that word, count as BENIGN, or are no lesions."""
    workers: Processes = None
    """Processes that read the masks; as many as processors if not given."""


def read_cbis_ddsm(root: Path, options: CbisDdsmOptions) -> Manifest:
    """Read the case tables, find the files by series and compute the boxes from the masks.

    Args:
        root: any folder above the DICOM files; any of the download layouts.
        options: what is read.

    Returns:
        One image per mammogram; ``label`` is the worst pathology on it; the study is the patient's case.
        Lesions are half-open boxes in stored pixels with categories such as ``mass MALIGNANT``.

    Raises:
        DatasetError: a table is missing or wrong, or files are not on disk.
    """
    kinds = KINDS if options.kind == "both" else (options.kind,)
    ledger = Ledger()
    rows = _one_split_a_patient(read_case_tables(options.tables or root, kinds, ledger), ledger)
    if options.kind != "both":
        other = "calcifications" if options.kind == "mass" else "masses"
        ledger.note(f"only the {options.kind} tables are read: {other} on these films are not marked")
    files = locate_series(root, rows, options.workers, ledger)
    present = _present(root, rows, files, options.allow_missing, ledger)
    boxes = for_each(find_mask, _jobs(present, files), "boxes from masks", options.workers)
    rows = present.assign(
        **{corner: [found.box[k] for found in boxes] for k, corner in enumerate(CORNERS)},
        reason=[found.reason for found in boxes],
        size=[found.size_text for found in boxes],
    )
    _note_masks(present, boxes, ledger)
    whole = _same_films_joined(_whole_images(rows, ledger), ledger)
    lesions = _lesions(whole, options.without_callback, ledger)
    return Manifest(options.about.name, _images(whole, files), lesions, ledger.notes, ledger.dropped)


def _one_split_a_patient(rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Move patients who are in the training of one kind and in the test of the other to the test."""
    in_test = rows["patient_id"].isin(rows["patient_id"][rows["split"] == Split.TEST.value])
    moved = in_test & (rows["split"] == Split.TRAIN.value)
    if not moved.any():
        return rows
    patients, images = rows["patient_id"][moved].nunique(), rows["image_series"][moved].nunique()
    ledger.note(
        f"{patients} patients are in the training set of one kind and in the test set of the other: "
        f"all of their mammograms are test here, {images} of them moved there"
    )
    return rows.assign(split=rows["split"].mask(moved, Split.TEST.value))


def _present(
    root: Path, rows: pd.DataFrame, files: Files, allow_missing: bool, ledger: Ledger
) -> pd.DataFrame:
    """Return the rows of mammograms that are on disk with a candidate for every mask."""
    on_disk = list(files)
    has_roi = rows["crop_series"].isin(on_disk) | rows["mask_series"].isin(on_disk)
    incomplete = rows["image_series"][~(rows["image_series"].isin(on_disk) & has_roi)]
    absent = rows["image_series"].isin(incomplete)
    cases = rows["case"][absent].drop_duplicates().tolist()
    what = "mammograms of the tables, or masks of them,"
    refuse_missing(root, what, cases, rows["case"].nunique(), allow_missing)
    for source, found in rows[absent].groupby("source", sort=False):
        ledger.drop(f"{source}: mammogram or mask not on disk, in {lines_text(found['line'])}")
    return rows[~absent].reset_index(drop=True)


def _jobs(rows: pd.DataFrame, files: Files) -> list[MaskJob]:
    jobs = []
    for row in rows.itertuples(index=False):
        image, series = str(row.image_series), dict.fromkeys((str(row.mask_series), str(row.crop_series)))
        candidates = tuple((path, uid) for uid in series for path in files.get(uid, ()))
        absent = tuple(uid for uid in series if uid not in files)
        jobs.append(MaskJob(image, files[image], candidates, absent))
    return jobs


def _whole_images(rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Leave out mammograms of which an abnormality has no box; a line for each."""
    failed = rows[rows["reason"] != ""]
    left_out = rows["image_series"].isin(failed["image_series"])
    if left_out.all():
        raise DatasetError(
            f"cbis-ddsm: no mammogram has a box for every abnormality; first: {failed['reason'].iloc[0]}"
        )
    ledger.drop(
        *(
            f"{row.source}: line {row.line}: {row.case} left out, abnormality {row.abnormality} has no box: "
            f"{row.reason}"
            for row in failed.itertuples(index=False)
        )
    )
    return rows[~left_out].reset_index(drop=True)


def _same_films_joined(rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Give films that are in both kinds' tables one image with the lesions of both.

    Two mammograms of one patient, side and view in the tables of the two kinds are the same film if their
    sizes are equal. If not they stay two images, each with the lesions of its own kind.
    """
    columns = ["image_series", "case", "kind", "size"]
    first = rows.drop_duplicates(KEY).set_index(KEY)[columns]
    first = first.loc[pd.MultiIndex.from_frame(rows[KEY])].set_axis(rows.index)
    same = (rows["kind"] != first["kind"]) & (rows["size"] == first["size"])
    joined = rows["image_series"][same].nunique()
    rows = rows.assign(
        image_series=rows["image_series"].mask(same, first["image_series"]),
        case=rows["case"].mask(same, first["case"]),
    )
    number = rows.groupby(KEY)["image_series"].transform(lambda series: pd.factorize(series)[0])
    if joined:
        ledger.note(
            f"{joined} films are in both the mass and the calcification tables: one image each, with the "
            "lesions of both"
        )
    apart = rows["case"][number > 0].drop_duplicates()
    if len(apart):
        ledger.note(
            "more than one mammogram of the same patient, side and view, of different sizes or of one kind: "
            f"each stays an image with its own lesions: {', '.join(apart)}"
        )
    return rows


def _lesions(rows: pd.DataFrame, without_callback: str, ledger: Ledger) -> pd.DataFrame:
    pathology = rows["pathology"]
    is_without = pathology == _WITHOUT_CALLBACK
    if without_callback == "benign":
        pathology = pathology.mask(is_without, "BENIGN")
    lesions = rows[CORNERS].assign(image_id=rows["case"], category=rows["kind"] + " " + pathology)
    lesions["slice_index"] = pd.NA
    if without_callback == "drop" and is_without.any():
        ledger.note(f"{int(is_without.sum())} abnormalities are {_WITHOUT_CALLBACK} and not taken as lesions")
        lesions = lesions[~is_without]
    repeated = lesions.duplicated(["image_id", *CORNERS, "category"])
    if repeated.any():
        ledger.note(
            f"{int(repeated.sum())} abnormalities have the box and the category of another one: taken once"
        )
    return lesions[~repeated]


def _images(rows: pd.DataFrame, files: Files) -> pd.DataFrame:
    worst = rows["pathology"].map(PATHOLOGIES.index).groupby(rows["image_series"]).min()
    images = rows.drop_duplicates("image_series")
    return pd.DataFrame(
        {
            "image_id": images["case"],
            "modality": Modality.MAMMOGRAM.value,
            "patient_id": images["patient_id"],
            "study_id": images["patient_id"],
            "view_key": view_keys(list(images["patient_id"]), list(images["side"] + "_" + images["view"])),
            "laterality": images["side"].str[0],
            "view": images["view"],
            "split": images["split"],
            "label": images["image_series"].map(worst).map(lambda rank: PATHOLOGIES[rank]),
            "path": [str(files[uid][0]) for uid in images["image_series"]],
            "num_slices": 1,
        }
    )


def _note_masks(rows: pd.DataFrame, boxes: list[MaskBox], ledger: Ledger) -> None:
    """Say where a mask was scaled or was not the file that its description names."""
    scaled = f"masks of another size with the mammogram's aspect ({ASPECT_TOLERANCE:.0%}) are scaled"
    misnamed = "Series Descriptions do not tell mask and crop apart, size and pixel values do"
    for attribute, what in (("is_scaled", scaled), ("misnamed", misnamed)):
        is_so = [found.reason == "" and getattr(found, attribute) for found in boxes]
        for source, found in rows.loc[is_so].groupby("source", sort=False):
            ledger.note(f"{source}: {what}, in {lines_text(found['line'])}")
