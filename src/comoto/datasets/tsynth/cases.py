"""Which simulated breasts of T-SYNTH and M-SYNTH lie below a folder, and what their folders say of them.

Both sets come from the same phantoms: 300 breasts of each of four densities. A cohort is one density of the
breast, one radius and one density of the inserted mass; case 17 of ``fatty`` is the same breast in all of
them. So the breast is the patient: its images never stand in two splits, in neither set nor over both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comoto.datasets.reading.options import one_of, some_of
from comoto.datasets.reading.walk import folders_below
from comoto.errors import DatasetError
from comoto.records import Split

LABELS = ("lesion", "density", "size", "mass-density", "cohort")
CATEGORIES = ("mass", "density", "size", "mass-density", "cohort")
_LAST_OF_SPLIT = {Split.TRAIN: 200, Split.VALIDATION: 250, Split.TEST: 300}
"""The split of the T-SYNTH authors, by the number of the case."""

_NAMED = 4

_PHANTOMS = r"device_data_VICTREPhantoms_spic_(?P<mass_density>[\d.]+)"
_COHORT = r"(?P<density>fatty|scattered|hetero|dense)/2/(?P<size>[\d.]+)/[^/]+"
_CASE = r"[^/]*\.(?P<folder>\d+)/(?P<number>\d+)"
TOMOSYNTHESIS = re.compile(rf"{_PHANTOMS}/{_COHORT}/{_CASE}/reconstruction(?P<file>\d+)\.mhd$")
MAMMOGRAPHY = re.compile(
    rf"{_PHANTOMS}/(?P<dose>\d+\.?\d*e\d+)/{_COHORT}/{_CASE}/projection_DM(?P<file>\d+)\.mhd$"
)


@dataclass(frozen=True)
class Case:
    """One image of one breast.

    Attributes:
        header: the ``.mhd`` file.
        number: 1 to 300, the same breast in all cohorts of a density.
        density: of the breast: fatty, scattered, hetero or dense.
        size: radius of the mass in mm, as the folders write it.
        mass_density: relative to glandular tissue, as the folders write it.
        dose: number of photons, as the folders write it; empty in T-SYNTH.
    """

    header: Path
    number: int
    density: str
    size: str
    mass_density: str
    dose: str = ""

    @property
    def patient_id(self) -> str:
        """The breast, whatever was inserted into it."""
        return f"{self.density}-{self.number:03d}"

    @property
    def cohort(self) -> str:
        """Density of the breast, size and density of the mass."""
        return f"{self.density}-{self.size}-{self.mass_density}"

    @property
    def study_id(self) -> str:
        """The breast with its mass; the same in T-SYNTH and M-SYNTH."""
        return f"{self.cohort}-{self.number:03d}"

    @property
    def split(self) -> Split | None:
        """The authors' split; None beyond case 300."""
        return next((split for split, last in _LAST_OF_SPLIT.items() if 1 <= self.number <= last), None)

    def word(self, what: str, otherwise: str) -> str:
        """Return one of its facts by the name of an option; ``otherwise`` if it is none of the case's."""
        facts = {
            "density": self.density,
            "size": self.size,
            "mass-density": self.mass_density,
            "cohort": self.cohort,
        }
        return facts.get(what, otherwise)


@dataclass(frozen=True)
class CaseOptions:
    """What the user chose; the values are as on the command line.

    Attributes:
        density, size, mass_density: cohorts to read, separated by commas; None for all that are there.
        label, category: what becomes the image's label and the lesion's category.
        boxes: ``auto``, ``mask`` or ``loc``.
    """

    density: str | None = None
    size: str | None = None
    mass_density: str | None = None
    label: str = "lesion"
    category: str = "mass"
    boxes: str = "auto"

    def check(self, dataset: str) -> None:
        """Refuse words that are not known, before the disk is looked at.

        Raises:
            ConfigError: naming the accepted words.
        """
        one_of(dataset, "label", self.label, LABELS)
        one_of(dataset, "category", self.category, CATEGORIES)
        one_of(dataset, "boxes", self.boxes, ("auto", "mask", "loc"))

    def choose(self, dataset: str, cases: Sequence[Case]) -> list[Case]:
        """Return the cases of the chosen cohorts.

        Raises:
            ConfigError: a chosen word is that of no case.
        """
        chosen = list(cases)
        for name, value, word in (
            ("density", self.density, lambda case: case.density),
            ("size", self.size, lambda case: case.size),
            ("mass-density", self.mass_density, lambda case: case.mass_density),
        ):
            chosen = pick(dataset, name, value, chosen, word)
        return chosen


def pick(
    dataset: str, name: str, value: str | None, cases: list[Case], word: Callable[[Case], str]
) -> list[Case]:
    """Return the cases whose word is among those of an option, all if it is not given.

    Raises:
        ConfigError: one of them is that of no case.
    """
    if value is None:
        return cases
    wanted = some_of(dataset, name, value, sorted({word(case) for case in cases}))
    return [case for case in cases if word(case) in wanted]


def find_cases(root: Path, pattern: re.Pattern[str], what: str) -> tuple[list[Case], tuple[str, ...]]:
    """Find the headers of one data set.

    Args:
        root: any folder above the cases, or one of the release's own.
        pattern: ``TOMOSYNTHESIS`` or ``MAMMOGRAPHY``.
        what: the release's layout, for the message.

    Returns:
        The cases in the order of their paths, and what was dropped: archives that are still packed, folders
        that contradict their files, cases beyond 300.

    Raises:
        DatasetError: the folder is missing, or holds no case.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    cases, packed, mixed, beyond = [], [], [], []
    for path in _files(root):
        if path.name == "SIM.zip" and not path.with_suffix("").is_dir():
            packed.append(str(path.relative_to(root)))
        match = pattern.search(path.as_posix())
        if match is None:
            continue
        words = match.groupdict("")
        if not words["folder"] == words["number"] == words["file"]:
            mixed.append(str(path.relative_to(root)))
            continue
        case = Case(
            path,
            int(words["number"]),
            words["density"],
            words["size"],
            words["mass_density"],
            words.get("dose", ""),
        )
        if case.split is None:
            beyond.append(case.study_id)
        else:
            cases.append(case)
    if not cases:
        still = f"; {packed[0]} is still packed, unzip it where it lies" if packed else ""
        raise DatasetError(f"{root}: no {what} below this folder{still}; is it the right folder?")
    said = (
        ("archives that are still packed", packed),
        ("the folders and the file do not say the same number", mixed),
        ("cases beyond 300, which are in no split", beyond),
    )
    return cases, tuple(f"{reason}: {listed(names)}" for reason, names in said if names)


def listed(names: Sequence[str]) -> str:
    """Return the first few names and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _files(root: Path) -> Iterator[Path]:
    """Yield every ``.mhd`` and ``.zip`` below root in a fixed order; see ``folders_below``."""
    for folder, names in folders_below(root):
        for name in names:
            if name.endswith((".mhd", ".zip")):
                yield folder / name
