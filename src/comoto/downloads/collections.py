"""The data sets that can be downloaded: where their tables are, and which series a manifest needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comoto.components import suggest
from comoto.datasets.bcs_dbt.tables import KEY, read_bcs_dbt_tables
from comoto.datasets.cbis_ddsm.tables import KINDS, read_case_tables
from comoto.datasets.reading.ledger import Ledger
from comoto.downloads.select import LESION, NORMAL, OTHER
from comoto.downloads.web_tables import WebTable
from comoto.errors import ConfigError, DatasetError
from comoto.records import Split

_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"

Wanted = Callable[[Path, pd.DataFrame, tuple[Split, ...]], pd.DataFrame]


@dataclass(frozen=True)
class Collection:
    """One data set of the Imaging Data Commons.

    Attributes:
        name: as in ``comoto download NAME``.
        collection: its name in the index.
        tables: (table, the split that needs it; None for all).
        wanted: (folder of the tables, index of the collection, splits) -> the argument of
            ``select_series``.
        reader: name for ``comoto index``. For ``csv`` a table of the files, ``images.csv``, is written.
        splits: its official splits.
        has_normals: its tables tell patients without any finding.
        remark: what to know beforehand.
    """

    name: str
    collection: str
    tables: tuple[tuple[WebTable, Split | None], ...]
    wanted: Wanted
    reader: str
    splits: tuple[Split, ...] = ()
    has_normals: bool = False
    remark: str = ""

    def tables_of(self, splits: tuple[Split, ...]) -> list[WebTable]:
        """Return the tables that these splits need; no split is all."""
        return [table for table, split in self.tables if split is None or not splits or split in splits]


def _bcs_dbt(folder: Path, index: pd.DataFrame, splits: tuple[Split, ...]) -> pd.DataFrame:
    """Volumes with a label; a patient's finding is the worst of all volumes."""
    parts = []
    for split, tables in read_bcs_dbt_tables(folder).items():
        if splits and split not in splits:
            continue
        if tables.labels is None or tables.paths is None:
            raise DatasetError(f"{folder}: no labels or no file-paths table of {split.value}")
        volumes = tables.labels.rows.merge(tables.paths.rows, on=KEY, how="inner", validate="one_to_one")
        label = volumes.groupby("PatientID")["label"]
        worst = label.agg(
            lambda words: (
                LESION if {"benign", "cancer"} & set(words) else NORMAL if set(words) == {"normal"} else OTHER
            )
        )
        parts.append(
            pd.DataFrame(
                {
                    "series_uid": volumes["series_uid"],
                    "person": volumes["PatientID"],
                    "split": split.value,
                    "finding": volumes["PatientID"].map(worst),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _cbis_ddsm(folder: Path, index: pd.DataFrame, splits: tuple[Split, ...]) -> pd.DataFrame:
    """Mammograms, crops and masks; a patient in the test of one kind is test, as ``comoto index`` has it."""
    rows = read_case_tables(folder, KINDS, Ledger())
    in_test = set(rows["patient_id"][rows["split"] == Split.TEST.value])
    long = pd.concat(
        [
            rows[["patient_id", column]].set_axis(["person", "series_uid"], axis=1)
            for column in ("image_series", "crop_series", "mask_series")
        ],
        ignore_index=True,
    ).drop_duplicates("series_uid")
    tested = long["person"].isin(in_test)
    return long.assign(split=tested.map({True: Split.TEST.value, False: Split.TRAIN.value}), finding=LESION)


def _everything(folder: Path, index: pd.DataFrame, splits: tuple[Split, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {"series_uid": index["series_uid"], "person": index["patient_id"], "split": "", "finding": LESION}
    )


def _ea1141(folder: Path, index: pd.DataFrame, splits: tuple[Split, ...]) -> pd.DataFrame:
    """Tomosynthesis and mammograms for presentation of patients who have tomosynthesis."""
    has_volume = set(index["patient_id"][index["sop_class"] == _TOMOSYNTHESIS])
    needed = index["sop_class"].isin([_TOMOSYNTHESIS, _FOR_PRESENTATION])
    return _everything(folder, index[needed & index["patient_id"].isin(has_volume)], splits)


def _bcs_tables() -> tuple[tuple[WebTable, Split | None], ...]:
    names = {
        Split.TRAIN: (("file-paths-train-v2", 19149), ("labels-train-v2", 19149), ("boxes-train-v2", 225)),
        Split.VALIDATION: (
            ("file-paths-validation-v2", 1164),
            ("labels-validation-PHASE-2-Jan-2024", 1164),
            ("boxes-validation-v2-PHASE-2-Jan-2024", 76),
        ),
        Split.TEST: (
            ("file-paths-test-v2", 1722),
            ("labels-test-PHASE-2", 1722),
            ("boxes-test-v2-PHASE-2-Jan-2024", 137),
        ),
    }
    return tuple(
        (
            WebTable(f"BCS-DBT-{name}.csv", b"PatientID,StudyUID,View,", lines, _bcs_pattern(name, split)),
            split,
        )
        for split, tables in names.items()
        for name, lines in tables
    )


def _bcs_pattern(name: str, split: Split) -> str:
    """Return what a table of this kind and split is called in any release."""
    kind = name.partition(f"-{split.value}")[0].replace("-", "[ _-]")
    return rf"BCS-DBT[ _-]+{kind}[ _-]+{split.value}([ _-].*)?\.csv"


def _cbis_tables() -> tuple[tuple[WebTable, Split | None], ...]:
    return tuple(
        (WebTable(f"{kind}_case_description_{part}_set.csv", b"patient_id,"), None)
        for kind in KINDS
        for part in ("train", "test")
    )


COLLECTIONS = {
    one.name: one
    for one in (
        Collection(
            "bcs-dbt",
            "breast_cancer_screening_dbt",
            _bcs_tables(),
            _bcs_dbt,
            "bcs-dbt",
            splits=(Split.TRAIN, Split.VALIDATION, Split.TEST),
            has_normals=True,
        ),
        Collection(
            "cbis-ddsm",
            "cbis_ddsm",
            _cbis_tables(),
            _cbis_ddsm,
            "cbis-ddsm",
            splits=(Split.TRAIN, Split.TEST),
        ),
        Collection(
            "cmmd",
            "cmmd",
            ((WebTable("CMMD_clinicaldata_revision.xlsx", b"PK\x03\x04"), None),),
            _everything,
            "cmmd",
            remark="labels only; polygons are in TOMPEI-CMMD of TCIA, to be downloaded by hand",
        ),
        Collection(
            "ea1141",
            "ea1141",
            (),
            _ea1141,
            "csv",
            remark="tomosynthesis of all patients who have it, and their mammograms for presentation; no "
            "lesions are published",
        ),
    )
}


def find_collection(name: str) -> Collection:
    """Return a data set that can be downloaded.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in COLLECTIONS:
        raise ConfigError(f"'{name}' cannot be downloaded here; {suggest(name, COLLECTIONS)}")
    return COLLECTIONS[name]
