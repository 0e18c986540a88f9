"""Which series a manifest needs: patients with a lesion, and as many without one as are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from comoto.errors import ConfigError, DatasetError
from comoto.records import Split
from comoto.splits.assign import ranked_by_hash

LESION, NORMAL, OTHER = "lesion", "normal", "other"
"""What a patient is: has a biopsied lesion, nothing at all, or something else (recalled, no box)."""

_NOBODY = "no patient is chosen; ask for more with --patients or --normals"


@dataclass(frozen=True)
class DownloadRequest:
    """What the user wants.

    Attributes:
        patients: at most so many patients with a lesion of each split (of the set, where it has no splits);
            all if None. More patients contain fewer.
        normals: as many patients without any finding.
        splits: official splits; empty for all.
        seed: another seed chooses others.
    """

    patients: int | None = None
    normals: int = 0
    splits: tuple[Split, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.patients is not None and self.patients < 0) or self.normals < 0:
            raise ConfigError("a number of patients cannot be negative")


@dataclass(frozen=True)
class Selection:
    """What is to be downloaded.

    Attributes:
        series: rows of the index (``downloads.index``), with ``split`` (empty where the set has none).
        patients: (split, lesion / normal / other) -> number of patients chosen, and of those there are.
        absent: series of the data set's tables that the index does not know.
    """

    series: pd.DataFrame
    patients: dict[tuple[str, str], tuple[int, int]]
    absent: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Everything of the chosen splits is there, so an indexer misses nothing."""
        return not self.absent and all(chosen == total for chosen, total in self.patients.values())


def check_request(request: DownloadRequest, splits: Sequence[Split], *, has_normals: bool) -> None:
    """Refuse what a data set does not have.

    Args:
        request: what the user wants.
        splits: official splits of the set.
        has_normals: the set knows patients without any finding.

    Raises:
        ConfigError: a split, normals or nobody is asked for.
    """
    if request.splits and not splits:
        raise ConfigError("--split: this data set has no official splits; make some with 'comoto split'")
    for split in request.splits:
        if split not in splits:
            raise ConfigError(f"--split {split.value}: this data set has {', '.join(splits)}")
    if request.normals and not has_normals:
        raise ConfigError("--normals: this data set has no patients that are known to be without a finding")
    if request.patients == 0 and not request.normals:
        raise ConfigError(_NOBODY)


def select_series(wanted: pd.DataFrame, index: pd.DataFrame, request: DownloadRequest) -> Selection:
    """Choose whole patients, in an order that depends on the seed alone.

    Args:
        wanted: what a manifest could hold: columns ``series_uid``, ``person``, ``split`` (a word or empty)
            and ``finding`` (one of ``LESION``, ``NORMAL``, ``OTHER``) of the patient.
        index: from ``read_index``.
        request: how many of them.

    Raises:
        ConfigError: a split, or normals, are asked for that the set does not have, or nobody is.
        DatasetError: nothing is chosen, or none of it is in the index.
    """
    there = tuple(split for split in Split if (wanted["split"] == split.value).any())
    check_request(request, there, has_normals=bool((wanted["finding"] == NORMAL).any()))
    splits = [split.value for split in request.splits or there] or [""]
    people = wanted.drop_duplicates("person").set_index("person")
    chosen: list[str] = []
    patients: dict[tuple[str, str], tuple[int, int]] = {}
    for split in splits:
        for finding, limit in ((LESION, request.patients), (NORMAL, request.normals), (OTHER, 0)):
            names = people.index[(people["split"] == split) & (people["finding"] == finding)]
            ranked = ranked_by_hash(map(str, names), f"download {request.seed}")[:limit]
            if len(names):
                patients[split, finding] = len(ranked), len(names)
            chosen += ranked
    rows = wanted[wanted["person"].isin(chosen)].drop_duplicates("series_uid")
    if not len(rows):
        raise DatasetError(_NOBODY)
    found = index.merge(rows[["series_uid", "split"]], on="series_uid", how="inner", validate="one_to_one")
    absent = sorted(set(rows["series_uid"]) - set(found["series_uid"]))
    if not len(found):
        raise DatasetError(
            f"none of the {len(absent)} series of the tables is in the index, such as {absent[0]}; "
            "update it with: pip install -U idc-index"
        )
    return Selection(found, patients, tuple(absent))
