"""Keys of files that a manifest, or the data set's own tables, know better than the files' headers.

The labels of BCS-DBT call a study ``DBT-S00079``; its files call it by a UID. Predictions are scored by the
names that the labels have, and boxes lie as the tables' sides say.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comoto.datasets.bcs_dbt.tables import has_path_tables, series_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import say
from comoto.records import ImageRecord, Laterality, Manifest, Split
from comoto.sources import SourceKind, read_source_header


@dataclass(frozen=True)
class Known:
    """What is known of a file.

    Attributes:
        image_id: of the manifest; empty where tables give none.
        laterality: side of the body.
        keys: (patient, study, view).
    """

    image_id: str
    laterality: Laterality
    keys: tuple[str, str, str]

    @staticmethod
    def of(record: ImageRecord) -> Known:
        """Return what a manifest says of an image."""
        return Known(
            record.image_id, record.laterality, (record.patient_id, record.study_id, record.view_key)
        )


@dataclass
class KnownImages:
    """Files by place, or by the series in their header.

    Attributes:
        where: the manifest or table, for messages.
        used: how often something was found.
    """

    where: Path
    by_path: dict[str, Known] = field(default_factory=dict)
    by_series: dict[str, Known] = field(default_factory=dict)
    used: int = 0

    def find(self, kind: SourceKind) -> Known | None:
        """Return what is known of a file or of a folder of slices; a file that cannot be read is unknown."""
        found = self.by_path.get(os.path.realpath(kind.path))
        if found is None and self.by_series:
            try:
                series = kind.series_uid or read_source_header(kind.path).series_instance_uid
                found = self.by_series.get(series)
            except DicomError:
                return None  # predicting on it says why
        self.used += found is not None
        return found

    def report(self, split: Split | None, wanted: int) -> None:
        """Say how many images a manifest that was asked for does not know.

        Args:
            split: that was asked for.
            wanted: images to predict on.

        Raises:
            DatasetError: it knows none.
        """
        within = "" if split is None else f" in split {split.value}"
        if not self.used:
            raise DatasetError(
                f"{self.where}: knows none of the images{within}, by their paths; index the files where they "
                "are now with 'comoto index', or leave out --manifest"
            )
        if wanted > self.used:
            say(
                f"{wanted - self.used} of {wanted} images are not in {self.where}; their headers give the "
                "keys"
            )


def known_by(manifest: Path, split: Split | None) -> KnownImages:
    """Return what a manifest folder knows, of one split if that is given.

    Raises:
        DatasetError: it holds no manifest.
    """
    loaded = Manifest.load(manifest)
    records = (loaded if split is None else loaded.split(split)).records()
    return KnownImages(manifest, {os.path.realpath(one.path): Known.of(one) for one in records})


def known_in(root: Path, kinds: Sequence[SourceKind]) -> dict[Path, Known]:
    """Return what manifests and tables on the way from a folder to the files below it know of these.

    Only file-path tables of BCS-DBT are looked at: other sets are known by their manifest. What was used is
    said, and which tables could not be read.

    Args:
        root: folder that was searched.
        kinds: images found in it.
    """
    places: dict[Path, list[KnownImages]] = {}
    found: dict[Path, Known] = {}
    for kind in kinds:
        for folder in (kind.path, *kind.path.parents):
            if folder not in places:
                places[folder] = _beside(folder)
            one = next(filter(None, (known.find(kind) for known in places[folder])), None)
            if one is not None:
                found[kind.path] = one
                break
            if folder == root:
                break
    for known in (known for some in places.values() for known in some if known.used):
        say(f"{known.where}: names the studies of {known.used} of {len(kinds)} images, as the labels do")
    return found


def _beside(folder: Path) -> list[KnownImages]:
    """Return what a folder holds that knows images."""
    found: list[KnownImages] = []
    if not folder.is_dir():
        return found
    try:
        if (folder / "manifest.json").is_file():
            found.append(known_by(folder, None))
        if has_path_tables(folder):
            by_series = {
                series: Known("", Laterality(row.laterality), (row.patient, row.study, row.view))
                for series, row in series_keys(folder).items()
            }
            found.append(KnownImages(folder, by_series=by_series))
    except (DatasetError, OSError) as error:
        say(f"not used for the keys of images: {error}")
    return found
