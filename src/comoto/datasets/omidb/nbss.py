"""NBSS records of an OMI-DB client: episodes, the state of each breast in them, and their dates.

The conventions are those of the public package ``omidb`` 0.13.1 (client.py, episode.py, client_parser.py):
a client is an interval cancer if any episode is of that type, else malignant if any surgery or biopsy says
so, else benign, else normal. Here the same order is applied to one side of one episode, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, get_args

from comoto.records import Laterality

Status = Literal["interval cancer", "malignant", "benign", "normal"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""From the worst to the best."""

_INTERVAL_TYPES = ("CI", "Interval case")
_MALIGNANT = ("OM", "Malignant")
_BENIGN = ("OB", "Benign")
_OPINION = {Laterality.LEFT: "left_opinion", Laterality.RIGHT: "right_opinion"}
_DIAGNOSTIC_EVENTS = ("SURGERY", "BIOPSYWIDE", "BIOPSYFINE")
_DATED_EVENTS = (*_DIAGNOSTIC_EVENTS, "ASSESSMENT", "CLINICAL")
_DESCRIPTIONS = {
    "AS": "asymmetry",
    "CA": "calcification",
    "CY": "cyst",
    "DS": "architectural distortion",
    "LN": "lymph node",
    "MA": "mass",
    "MC": "mass, calcification",
}


@dataclass(frozen=True)
class Episode:
    """One screening episode.

    Attributes:
        is_interval_type: its type is that of an interval cancer.
        status: of each side, one of ``STATUSES``.
        dates: days of its events.
        descriptions: side and lesion number -> what the lesion is, comma separated.
    """

    is_interval_type: bool
    status: Mapping[Laterality, str]
    dates: frozenset[date]
    descriptions: Mapping[tuple[Laterality, str], str]

    @property
    def worst(self) -> str:
        """State of the worse side."""
        return worst(self.status.values())


def parse_episodes(nbss: Mapping[str, Any]) -> dict[str, Episode]:
    """Return the episodes by their key; values that are no dictionary are no episodes."""
    return {str(key): _episode(value) for key, value in nbss.items() if isinstance(value, dict)}


def client_status(episodes: Mapping[str, Episode]) -> str:
    """Return the state of the client over all episodes."""
    if any(episode.is_interval_type for episode in episodes.values()):
        return STATUSES[0]
    return worst(episode.worst for episode in episodes.values())


def worst(statuses: Iterable[str]) -> str:
    """Return the worst of some states; ``normal`` if there is none."""
    return min(statuses, key=STATUSES.index, default=STATUSES[-1])


def parse_date(value: Any) -> date | None:
    """Return the day of ``YYYY-MM-DD`` or ``YYYYMMDD``; None for anything else."""
    text = str(value or "").strip()[:10]
    for layout in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.strptime(text, layout).date()
        except ValueError:
            continue
    return None


def lesion_number(value: Any) -> str:
    """Return a lesion's number without leading zeros, as text."""
    text = str(value).strip()
    return str(int(text)) if text.isdecimal() else text


def _episode(data: Mapping[str, Any]) -> Episode:
    is_interval_type = data.get("EpisodeType") in _INTERVAL_TYPES
    events = [data[name] for name in _DIAGNOSTIC_EVENTS if data.get(name) is not None]
    malignant = _sides_with(events, _MALIGNANT)
    benign = _sides_with(events, _BENIGN)
    interval: set[Laterality] = set()
    if is_interval_type and (malignant or not events):
        recorded = _mapping(data.get("INTERVALCANCER"))
        interval = {side for side in Laterality if recorded.get(side.value)} or malignant or set(Laterality)
    status = {}
    for side in Laterality:
        found = (side in interval, side in malignant, side in benign, True)
        status[side] = STATUSES[found.index(True)]
    return Episode(is_interval_type, status, frozenset(_dates(data)), _descriptions(data))


def _sides_with(events: Iterable[Any], opinions: tuple[str, ...]) -> set[Laterality]:
    return {
        side
        for event in events
        for side in Laterality
        if isinstance(event, dict) and event.get(_OPINION[side]) in opinions
    }


def _dates(data: Mapping[str, Any]) -> Iterator[date]:
    others = _mapping(data.get("OTHERSCREENING")).values()
    for screening in (data.get("SCREENING"), *others):
        for side in Laterality:
            yield from _day(_mapping(_mapping(screening).get(side.value)).get("DateTaken"))
    for name in _DATED_EVENTS:
        event = _mapping(data.get(name))
        yield from _day(event.get("dateperformed"))
        for side in Laterality:
            for lesion in _mapping(event.get(side.value)).values():
                yield from _day(_mapping(lesion).get("DatePerformed"))


def _day(value: Any) -> Iterator[date]:
    found = parse_date(value)
    if found is not None:
        yield found


def _descriptions(data: Mapping[str, Any]) -> dict[tuple[Laterality, str], str]:
    lesions = _mapping(data.get("LESION"))
    return {
        (side, lesion_number(key)): _DESCRIPTIONS[code]
        for side in Laterality
        for key, lesion in _mapping(lesions.get(side.value)).items()
        if (code := _mapping(lesion).get("LesionDescription")) in _DESCRIPTIONS
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
