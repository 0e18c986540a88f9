"""Which simulated breasts of T-SYNTH and M-SYNTH lie below a folder, and what their folders say of them.

Both sets come from the same phantoms: 300 breasts of each of four densities. A cohort is one density of the
breast, one radius and one density of the inserted mass; case 17 of ``fatty`` is the same breast in all of
them. So the breast is the patient: its images never stand in two splits, in neither set nor over both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import AllowMissing, Words
from comoto.datasets.reading.walk import walk_files
from comoto.errors import ConfigError, DatasetError
from comoto.records import Split
from comoto.wording import first_few

_LAST_OF_SPLIT = {Split.TRAIN: 200, Split.VALIDATION: 250, Split.TEST: 300}
"""The split of the T-SYNTH authors, by the number of the case."""

MOST_NAMED = 4

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


class CaseOptions(AllowMissing):
    """Options that both sets have."""

    density: Words = ()
    """Densities of the breast to read: fatty, scattered, hetero, dense; all that are there if not given."""
    size: Words = ()
    """The same, radius of the mass in mm: 5.0, 7.0, 9.0."""
    mass_density: Words = ()
    """The same, density of the mass relative to glandular tissue: 1.0, 1.06, 1.1."""
    label: Literal["lesion", "density", "size", "mass-density", "cohort"] = "lesion"
    """Label of an image; ``lesion`` says lesion or no lesion."""
    category: Literal["mass", "density", "size", "mass-density", "cohort"] = "mass"
    """Category of a lesion, for results by subgroup."""
    boxes: Literal["auto", "mask", "loc"] = "auto"
    """Where boxes come from: ``auto`` is the mask, or the ``.loc`` file where a case has no mask."""

    def choose(self, dataset: str, cases: Sequence[Case]) -> list[Case]:
        """Return the cases of the chosen cohorts.

        Raises:
            ConfigError: a chosen word is that of no case.
        """
        chosen = list(cases)
        for name, values, word in (
            ("density", self.density, lambda case: case.density),
            ("size", self.size, lambda case: case.size),
            ("mass-density", self.mass_density, lambda case: case.mass_density),
        ):
            chosen = pick(dataset, name, values, chosen, word)
        return chosen


def pick(
    dataset: str, name: str, values: Sequence[str], cases: list[Case], word: Callable[[Case], str]
) -> list[Case]:
    """Return the cases whose word is among those of an option, all if it names none.

    Raises:
        ConfigError: one of them is that of no case.
    """
    known = sorted({word(case) for case in cases})
    for value in values:
        if value not in known:
            raise ConfigError(f"{dataset}: {name}={value}: accepted are {', '.join(known)}")
    return [case for case in cases if word(case) in values] if values else cases


def find_cases(root: Path, pattern: re.Pattern[str], what: str, ledger: Ledger) -> list[Case]:
    """Find the headers of one data set.

    Args:
        root: any folder above the cases, or one of the release's own.
        pattern: ``TOMOSYNTHESIS`` or ``MAMMOGRAPHY``.
        what: the release's layout, for the message.
        ledger: gets what is left out: archives that are still packed, folders that contradict their files,
            cases beyond 300.

    Returns:
        The cases in the order of their paths.

    Raises:
        DatasetError: the folder is missing, or holds no case.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    cases, packed, mixed, beyond = [], [], [], []
    for path in walk_files(root, ".mhd", ".zip"):
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
    ledger.drop(*(f"{reason}: {first_few(names, MOST_NAMED)}" for reason, names in said if names))
    return cases
