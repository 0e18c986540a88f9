"""What depth is worth and what it costs: hits with other tolerances in depth, and how far they are off.

The challenge accepts a quarter of the slices either way, so that naming one depth for every lesion is nearly
always right. Beside it stand hits with every depth replaced by a constant share of the stack (what a
detector gets for nothing), by the place in the plane alone (what depth costs), and with a tolerance in mm.

N detections, L lesions, V volumes, P patients, R replicates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from comoto.defaults import CONSTANT_DEPTH
from comoto.errors import ConfigError
from comoto.evaluation.challenge_tables import (
    SLICE_SHARE,
    ChallengePredictions,
    ChallengeTruth,
    centers_of,
    moved,
)
from comoto.evaluation.matching import hits_by_challenge_rule
from comoto.evaluation.parts import Part
from comoto.records import IntArray
from comoto.tables import Float64Array

TOLERANCE_MM = 10.0
IN_PLANE, CONSTANT = "in_plane", "constant_depth"
MILLIMETRES, CONSTANT_MILLIMETRES = "depth_in_mm", "constant_depth_in_mm"
CONSTANT_PREFIX = "constant_"
"""Of the names of the constant's depth errors."""
_WORDS = ("median", "quantile_90")
_MILLIMETRES = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*mm\s*", re.IGNORECASE)


@dataclass(frozen=True)
class DepthRules:
    """What stands beside the challenge's rule.

    Attributes:
        constant: share of the stack that replaces every depth.
        tolerance_mm: largest distance in depth, None for no such figures.
        slice_mm: (V,) distance of neighbouring slices, NaN where it is not known; None if of no volume. With
            a tolerance it is known of every volume with a lesion.
    """

    constant: float = CONSTANT_DEPTH
    tolerance_mm: float | None = None
    slice_mm: Float64Array | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.constant <= 1.0:
            raise ConfigError(f"--constant-depth {self.constant:g}: expected a share of the stack, 0 to 1")


def parse_tolerance(text: str) -> float:
    """Read ``10mm``.

    Raises:
        ConfigError: it is something else, or not above 0.
    """
    match = _MILLIMETRES.fullmatch(text)
    if match is None or not float(match[1]) > 0:
        raise ConfigError(f"--depth-tolerance {text}: expected millimetres above 0, such as 10mm")
    return float(match[1])


def check_distance(slice_mm: float) -> None:
    """Raise a ConfigError if this is no distance of slices."""
    if not 0 < slice_mm < np.inf:
        raise ConfigError(f"--slice-mm {slice_mm:g}: expected a distance above 0")


def depth_variants(
    found: ChallengePredictions, truth: ChallengeTruth, rules: DepthRules
) -> Mapping[str, ChallengePredictions]:
    """Return the predictions matched by each of the rules beside the challenge's.

    Args:
        found: read from a table.
        truth: of the challenge's rule.
        rules: the others.
    """
    everything = np.ones(len(found.scores), dtype=bool)
    constant = moved(found, everything, _at_constant_depth(found, truth, rules.constant), truth)
    variants = {IN_PLANE: replace(found, hit_lesion=found.depth.in_plane), CONSTANT: constant}
    if rules.tolerance_mm is not None and rules.slice_mm is not None:
        tolerance = rules.tolerance_mm / rules.slice_mm[truth.lesion_volume]
        variants[MILLIMETRES] = _within(tolerance, found, truth)
        variants[CONSTANT_MILLIMETRES] = _within(tolerance, constant, truth)
    return variants


def depth_titles(rules: DepthRules) -> dict[str, str]:
    """Return what the rules of ``depth_variants`` are called, short enough for a legend."""
    constant, tolerance = (
        f"every depth at {rules.constant:g}",
        f"within {rules.tolerance_mm or 0:g} mm in depth",
    )
    return {
        IN_PLANE: "x and y alone",
        CONSTANT: f"{constant} of the stack",
        MILLIMETRES: tolerance,
        CONSTANT_MILLIMETRES: f"{constant}, {tolerance}",
    }


def _within(
    slice_tolerance: Float64Array, found: ChallengePredictions, truth: ChallengeTruth
) -> ChallengePredictions:
    hits = hits_by_challenge_rule(
        detection_image=found.volume,
        detection_center=centers_of(found.places),
        lesion_image=truth.lesion_volume,
        lesion_center=truth.lesion_center,
        radius=truth.radius,
        slice_tolerance=slice_tolerance,
    )
    return replace(found, hit_lesion=hits)


def _at_constant_depth(found: ChallengePredictions, truth: ChallengeTruth, share: float) -> Float64Array:
    """Return the places (N, 6) with one depth; where no lesion tells the slices nothing can be hit."""
    slices = np.where(found.volume >= 0, truth.volume_slices[found.volume], np.nan)
    places = found.places.copy()
    places[:, 4] = np.where(np.isnan(slices), places[:, 4], share * slices)
    places[:, 5] = np.where(np.isnan(slices), places[:, 5], 0.0)
    return places


def depth_errors(found: ChallengePredictions, truth: ChallengeTruth) -> Float64Array:
    """Return by how many slices (L,) the best detection of each lesion is off, NaN where none meets it.

    A detection meets a lesion by its place in the plane: among the hits by the challenge's rule no error can
    be larger than a quarter of the stack, so their quantiles would say little.
    """
    errors = np.full(len(truth.lesion_volume), np.nan)
    met = np.flatnonzero((found.depth.in_plane >= 0) & ~np.isnan(found.scores))
    met = met[np.argsort(found.scores[met], kind="stable")]  # the best of a lesion is written last and stays
    errors[found.depth.in_plane[met]] = np.abs(found.depth.prediction_off[met])
    return errors


def constant_depth_errors(errors: Float64Array, truth: ChallengeTruth, constant: float) -> Float64Array:
    """Return by how many slices (L,) one depth for all is off, of the lesions that have one of ``errors``."""
    slices = truth.slice_tolerance / SLICE_SHARE
    off = np.abs(truth.lesion_center[:, 2] - constant * slices)
    return np.asarray(np.where(np.isnan(errors), np.nan, off), dtype=np.float64)


class DepthErrorFigures:
    """Median and 90 % quantile of depth errors in slices, and in mm where slices have a known distance.

    Quantiles are interpolated linearly, as ``numpy.quantile`` does.
    """

    QUANTILES = (0.5, 0.9)

    def __init__(
        self,
        errors: Float64Array,
        truth: ChallengeTruth,
        part: Part,
        slice_mm: Float64Array | None,
        prefix: str = "",
    ) -> None:
        """Sort once.

        Args:
            errors: (L,) of ``depth_errors`` or ``constant_depth_errors``.
            truth: the lesions.
            part: those that count.
            slice_mm: as in ``DepthRules``.
            prefix: of the names.
        """
        kept = part.lesions & ~np.isnan(errors)
        patients = truth.volume_patient[truth.lesion_volume]
        units = {"slices": errors}
        if slice_mm is not None and not np.isnan(slice_mm[truth.lesion_volume]).any():
            units["mm"] = errors * slice_mm[truth.lesion_volume]
        self.names = tuple(f"{prefix}{word}_{unit}" for unit in units for word in _WORDS)
        self._sorted = []
        for values in units.values():
            order = np.argsort(values[kept], kind="stable")
            self._sorted.append((values[kept][order], patients[kept][order]))

    def at(self, copies: IntArray) -> Float64Array:
        """Return the quantiles (R, K) of draws (R, P + 1), NaN where no lesion is met."""
        result = np.full((len(copies), len(self.names)), np.nan)
        for number, (values, patients) in enumerate(self._sorted):
            ends = np.cumsum(copies[:, patients], axis=1)
            for row in np.flatnonzero(ends[:, -1]) if len(values) else ():
                place = np.array(self.QUANTILES) * (ends[row, -1] - 1)
                below = np.floor(place)
                left, right = (
                    values[np.searchsorted(ends[row], at, side="right")] for at in (below, np.ceil(place))
                )
                result[row, 2 * number : 2 * number + 2] = left + (place - below) * (right - left)
        return result


def share_that_is_free(truth: ChallengeTruth, constant: float) -> float:
    """Return the share of lesions whose depth one share of the stack gets right by the challenge's rule."""
    slices = truth.slice_tolerance / SLICE_SHARE
    return float((np.abs(truth.lesion_center[:, 2] - constant * slices) <= truth.slice_tolerance).mean())
