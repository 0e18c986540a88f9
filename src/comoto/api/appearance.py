"""How mammograms look beside slices: measured, and matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comoto.arguments import AnyPath, as_path, as_path_or_none
from comoto.defaults import APPEARANCE_PATIENTS, How

if TYPE_CHECKING:
    from comoto.preprocessing.appearance.gap import AppearanceGap
    from comoto.preprocessing.appearance.sample import Sampling
    from comoto.preprocessing.store import PreparedStore


def measure_appearance(
    mammograms: AnyPath,
    volumes: AnyPath,
    *,
    patients: int = APPEARANCE_PATIENTS,
    seed: int = 0,
    split_file: AnyPath | None = None,
) -> AppearanceGap:
    """Measure how differently mammograms and slices look (``comoto appearance measure``).

    Args:
        mammograms: a prepared store.
        volumes: another one, of the same grid.
        patients: at most so many training patients of each store are looked at.
        seed: another seed draws other patients and places.
        split_file: says who is a training patient, as in training; the stores' manifests if not given.

    Returns:
        ``.figures`` and ``.histogram`` with spreads and intervals, ``.verdict`` whether matching is likely to
        pay, ``.text()``, ``.to_json()``.

    Examples:
        >>> import comoto
        >>> gap = comoto.measure_appearance("stores/vindr-mammo", "stores/bcs-dbt")  # doctest: +SKIP
        >>> gap.verdict, round(gap.figures["coarse_exponent"].difference, 1)  # doctest: +SKIP
        ('unlikely', -0.4)
    """
    from comoto.preprocessing import PreparedStore
    from comoto.preprocessing.appearance.gap import measure

    places = as_path("mammograms", mammograms), as_path("volumes", volumes)
    sampling = _sampling(patients, seed, split_file)
    return measure(PreparedStore(places[0]), PreparedStore(places[1]), sampling)


def match_appearance(
    mammograms: AnyPath,
    volumes: AnyPath,
    out: AnyPath,
    *,
    how: How = "spectrum",
    patients: int = APPEARANCE_PATIENTS,
    seed: int = 0,
    split_file: AnyPath | None = None,
) -> PreparedStore:
    """Write a store of mammograms that look like slices (``comoto appearance match``).

    Args:
        mammograms: a prepared store; it stays as it is.
        volumes: another one, of the same grid.
        out: folder of the new store; new or empty.
        how: ``spectrum`` (a filter, then the histogram), or a control: ``histogram`` alone, ``clahe``,
            ``random_filter``.
        patients: as for ``measure_appearance``, of both stores.
        seed: draws patients, places, and random filters.
        split_file: as for ``measure_appearance``.

    Examples:
        >>> import comoto
        >>> places = "stores/vindr-mammo", "stores/bcs-dbt", "stores/matched"
        >>> store = comoto.match_appearance(*places)  # doctest: +SKIP
        >>> store.appearance["how"], store.appearance["fitted_to"]["slices"]["store"]  # doctest: +SKIP
        ('spectrum', 'bcs-dbt')
    """
    from comoto.preprocessing import PreparedStore
    from comoto.preprocessing.appearance.match import match

    places = as_path("mammograms", mammograms), as_path("volumes", volumes)
    folder, sampling = as_path("out", out), _sampling(patients, seed, split_file)
    return match(PreparedStore(places[0]), PreparedStore(places[1]), folder, how, sampling)


def _sampling(patients: int, seed: int, split_file: AnyPath | None) -> Sampling:
    from comoto.preprocessing.appearance.sample import Sampling
    from comoto.splits.file import load_split_file

    path = as_path_or_none("split_file", split_file)
    return Sampling(patients, seed, None if path is None else load_split_file(path))
