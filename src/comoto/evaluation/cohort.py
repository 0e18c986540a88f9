"""The volumes and lesions of an evaluation, from a manifest or the challenge's tables, and what is asked.

V volumes, L lesions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comoto.defaults import CONSTANT_DEPTH
from comoto.errors import ConfigError
from comoto.evaluation.auc import Units, breasts_and_exams, sides_of_views
from comoto.evaluation.challenge_tables import ChallengeTruth, read_truth
from comoto.evaluation.coco_results import ImageKey
from comoto.evaluation.columns import (
    SIZE,
    Column,
    Columns,
    columns_of_manifest,
    columns_of_tables,
    size_column,
)
from comoto.evaluation.depth_variants import TOLERANCE_MM, DepthRules, check_distance, parse_tolerance
from comoto.evaluation.lesion_table import read_lesion_table
from comoto.evaluation.own_volumes import HitRadius, OwnVolumes, own_volumes, slice_distances
from comoto.records import Manifest
from comoto.tables import Float64Array, TableSource


@dataclass(frozen=True)
class BesideOptions:
    """What is asked for beside the challenge's metric; checked when it is made.

    Attributes:
        depth_tolerance: such as ``10mm``; None for none, or for 10 mm if ``slice_mm`` is given.
        slice_mm: distance of neighbouring slices; None asks the files.
        constant_depth: share of the stack that replaces every depth.
        by: columns to group by.
        lesion_table: of which columns may be, besides those of manifest or tables.

    Raises:
        ConfigError: a value is out of range.
    """

    depth_tolerance: str | None = None
    slice_mm: float | None = None
    constant_depth: float = CONSTANT_DEPTH
    by: Sequence[str] = ()
    lesion_table: TableSource | None = None

    def __post_init__(self) -> None:
        DepthRules(self.constant_depth)
        if self.depth_tolerance is not None:
            parse_tolerance(self.depth_tolerance)
        if self.slice_mm is not None:
            check_distance(self.slice_mm)
        twice = sorted({name for name in self.by if list(self.by).count(name) > 1})
        if twice or not all(self.by):
            raise ConfigError(f"--by {','.join(self.by)}: name each column once, separated by commas")

    @property
    def tolerance_mm(self) -> float | None:
        """The tolerance in mm, None for none."""
        if self.depth_tolerance is not None:
            return parse_tolerance(self.depth_tolerance)
        return None if self.slice_mm is None else TOLERANCE_MM


class Cohort:
    """Volumes and lesions.

    Args:
        labels: the challenge's tables, or those of ``own``.
        boxes: likewise.
        min_radius: in pixels.
        own: the manifest's volumes, None for tables.

    Attributes:
        truth: as arrays.
    """

    def __init__(
        self, labels: TableSource, boxes: TableSource, min_radius: float, own: OwnVolumes | None = None
    ) -> None:
        self.labels, self.boxes, self.min_radius = labels, boxes, min_radius
        self.truth: ChallengeTruth = read_truth(labels, boxes, min_radius)
        self._own = own

    @staticmethod
    def of_manifest(manifest: Manifest, radius: HitRadius) -> Cohort:
        """Return the volumes of a manifest of one split; errors as ``own_volumes`` and ``read_truth``."""
        own = own_volumes(manifest, radius)
        return Cohort(own.labels, own.boxes, own.min_radius, own)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the hit radius; what is odd about the tables stands in ``truth``."""
        return () if self._own is None else self._own.warnings

    @property
    def image_keys(self) -> dict[str, ImageKey]:
        """What COCO results may call a volume, with its PatientID, StudyUID and View."""
        patients = list(self.truth.patients)
        keys = [
            (patients[patient], study, view)
            for (study, view), patient in zip(self.truth.volumes, self.truth.volume_patient, strict=True)
        ]
        if self._own is None:
            return {f"{study}/{view}": (patient, study, view) for patient, study, view in keys}
        return dict(zip(self._own.volumes.images["image_id"], keys, strict=True))

    def units(self) -> tuple[Units, ...]:
        """Return what areas are per; breasts only where the side of every volume is known."""
        if self._own is None:
            return breasts_and_exams(self.truth, sides_of_views(self.truth))
        return breasts_and_exams(self.truth, self._own.volumes.images["laterality"].astype(str).tolist())

    def rules(self, options: BesideOptions) -> DepthRules:
        """Return the rules of depth; the files are asked for the distance of slices if a tolerance needs it.

        Raises:
            ConfigError: nothing tells the distance of slices.
        """
        tolerance = options.tolerance_mm
        if tolerance is None:
            return DepthRules(options.constant_depth)
        if options.slice_mm is not None:
            distances = np.full(len(self.truth.volumes), options.slice_mm)
        elif self._own is None:
            raise ConfigError(
                "--depth-tolerance: tables do not know how far slices lie apart; add --slice-mm (1 on "
                "BCS-DBT), or evaluate with --manifest"
            )
        else:
            distances = slice_distances(self._own)
        return DepthRules(options.constant_depth, tolerance, distances)

    def columns(self, options: BesideOptions) -> dict[str, Column]:
        """Return the columns that are asked for, in their order.

        Raises:
            ConfigError: there is no such column, or a table of lesions that nothing is grouped by.
            DatasetError: the table of lesions is wrong.
        """
        if not options.by:
            if options.lesion_table is not None:
                raise ConfigError("--lesion-table: name the columns to group by with --by")
            return {}
        told = {} if options.lesion_table is None else read_lesion_table(options.lesion_table, self.truth)
        made = {SIZE: size_column(self.truth, self._spacing())} if SIZE in options.by else {}
        if self._own is None:
            given = columns_of_tables(self.labels, self.boxes, self.truth)
        else:
            given = columns_of_manifest(self._own.volumes, self.truth)
        columns = Columns(told, made, given)
        return {name: columns[name] for name in options.by}

    def _spacing(self) -> Float64Array | None:
        """Return the size (L, 2) of a pixel of each lesion's volume; None if it is not known of all."""
        spacings = {} if self._own is None else self._own.spacings
        if self._own is None or not spacings:
            return None
        ids = self._own.volumes.images["image_id"].tolist()
        return np.array([spacings[ids[volume]] for volume in self.truth.lesion_volume.tolist()])
