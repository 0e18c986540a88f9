"""Who is simulated: patients, studies, views, labels and identifiers, decided before any pixel is made.

Every decision depends only on the seed and on the number of the patient, so the order and the number of
worker processes do not matter, and more patients leave the earlier ones as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from comoto.records import Laterality, Split, View
from comoto.simulation.anatomy import Breast, MassShape, draw_breast, draw_mass
from comoto.simulation.config import SimulateConfig

UID_ROOT = "1.2.826.0.1.3680043.8.498."
_TOMOSYNTHESIS, _MAMMOGRAPHY = 1, 2
STUDY_DESCRIPTIONS = (
    "MAMMO screening digital bilateral",
    "MAMMO diagnostic digital bilateral",
    "MAMMO SCREENING DIGITAL BIALTERAL",
    "MAMMO diagnostic digital unilateral",
)


@dataclass(frozen=True, kw_only=True)
class TomosynthesisCase:
    """One volume to simulate and what the tables say about it.

    Attributes:
        key: (patient, image) number; with the seed it determines the pixels.
        repeated: the view is written with a number behind it.
        label: ``Normal``, ``Actionable``, ``Benign`` or ``Cancer``.
        subject: the table's ``Subject``, 0 or 2.
        rotated: stored rotated by 180 degrees.
    """

    key: tuple[int, int]
    split: Split
    study_uid: str
    study_description: str
    laterality: Laterality
    view: View
    repeated: bool
    label: str
    subject: int
    rotated: bool
    breast: Breast
    masses: tuple[MassShape, ...] = ()

    @property
    def patient_id(self) -> str:
        """The table's name of the patient."""
        return f"DBT-P{self.key[0] + 1:05d}"

    @property
    def study_alias(self) -> str:
        """The table's name of the study."""
        return f"DBT-S{self.key[0] + 1:05d}"

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return simulated_uid(self.study_uid, "series", self.key[1])

    @property
    def instance_uid(self) -> str:
        """SOP Instance UID."""
        return simulated_uid(self.study_uid, "instance", self.key[1])

    @property
    def series_number(self) -> int:
        """Number of the series, five digits as in the release."""
        return 10_000 + (self.key[0] * 7919 + self.key[1]) % 60_000

    @property
    def view_key(self) -> str:
        """The table's word, such as ``rmlo1``."""
        return f"{self.laterality.value}{self.view.value}{'1' if self.repeated else ''}".lower()

    @property
    def distortions(self) -> tuple[bool, ...]:
        """Which of the boxed lesions are marked as architectural distortions."""
        return tuple(mass.distortion for mass in self.masses)


@dataclass(frozen=True, kw_only=True)
class MammogramCase:
    """One mammogram to simulate and what the tables say about it.

    Attributes:
        key: (patient, image) number; with the seed it determines the pixels.
        split: ``training`` or ``test``.
        birads: 1 to 5.
        inverted: stored as MONOCHROME1.
    """

    key: tuple[int, int]
    split: str
    study_id: str
    laterality: Laterality
    view: View
    birads: int
    inverted: bool
    breast: Breast
    masses: tuple[MassShape, ...] = ()

    @property
    def series_id(self) -> str:
        """Of the study's one series."""
        return hex_id(self.study_id, "series")

    @property
    def image_id(self) -> str:
        """Of the mammogram."""
        return hex_id(self.study_id, "image", self.key[1])

    @property
    def finding_words(self) -> tuple[list[str], ...]:
        """The categories of each lesion."""
        return tuple(["Architectural Distortion", "Mass"] if m.distortion else ["Mass"] for m in self.masses)


def hex_id(*words: object) -> str:
    """Return 32 hexadecimal digits that depend on ``words``."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:32]


def simulated_uid(*words: object) -> str:
    """Return a DICOM UID of 64 characters that depends on ``words``."""
    number = int(hashlib.sha256("/".join(map(str, words)).encode()).hexdigest(), 16)
    return UID_ROOT + str(10**37 + number % (9 * 10**37))


def pixel_rng(config: SimulateConfig, case: TomosynthesisCase | MammogramCase) -> np.random.Generator:
    """Return the randomness of one image."""
    modality = _TOMOSYNTHESIS if isinstance(case, TomosynthesisCase) else _MAMMOGRAPHY
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(modality, *case.key)))


def plan_tomosynthesis(config: SimulateConfig) -> list[TomosynthesisCase]:
    """Return the volumes of a data set, patient by patient, train first."""
    counts = {
        Split.TRAIN: config.tomosynthesis.train_patients,
        Split.VALIDATION: config.tomosynthesis.validation_patients,
        Split.TEST: config.tomosynthesis.test_patients,
    }
    cases: list[TomosynthesisCase] = []
    for number, split in enumerate(split for split, count in counts.items() for _ in range(count)):
        cases.extend(_tomosynthesis_study(config, number, split))
    return cases


def plan_mammography(config: SimulateConfig) -> list[MammogramCase]:
    """Return the mammograms of a data set, patient by patient, training first."""
    splits = ["training"] * config.mammography.training_patients + ["test"] * config.mammography.test_patients
    cases: list[MammogramCase] = []
    for number, split in enumerate(splits):
        cases.extend(_mammography_study(config, number, split))
    return cases


def _patient_rng(config: SimulateConfig, modality: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(modality, number)))


def views_of_study(count: int, side: Laterality, rng: np.random.Generator) -> list[tuple[Laterality, View]]:
    """Return the views of a complete study; ``side`` is the breast of a study of one breast."""
    if count == 1:
        return [(side, View.CC if rng.random() < 0.5 else View.MLO)]
    other = Laterality.RIGHT if side is Laterality.LEFT else Laterality.LEFT
    return [(side, View.CC), (side, View.MLO), (other, View.CC), (other, View.MLO)][:count]


def _draw_masses(
    config: SimulateConfig, spiculated_share: float, rng: np.random.Generator, chest_wall_share: float = 0.0
) -> tuple[MassShape, ...]:
    count = 1 + int(rng.random() < config.anatomy.two_lesions)
    return tuple(
        draw_mass(config, bool(rng.random() < spiculated_share), rng, chest_wall_share) for _ in range(count)
    )


def _tomosynthesis_study(config: SimulateConfig, number: int, split: Split) -> list[TomosynthesisCase]:
    rng = _patient_rng(config, _TOMOSYNTHESIS, number)
    settings = config.tomosynthesis
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    positive = rng.random() < settings.lesion_share
    cancer, actionable = rng.random() < 0.5, rng.random() < settings.actionable_share
    one_view, repeated = rng.random() < settings.one_view_share, rng.random() < settings.repeated_view_share
    breast = draw_breast(config, rng)
    masses = _draw_masses(config, 0.9 if cancer else 0.3, rng)
    subject = int(rng.choice([0, 2], p=[0.75, 0.25]))
    description = STUDY_DESCRIPTIONS[int(rng.integers(len(STUDY_DESCRIPTIONS)))]
    views = views_of_study(settings.views_per_study, side, rng)
    label = "Actionable" if actionable else "Normal"
    if positive:
        label = "Cancer" if cancer else "Benign"
        views = [(lat, view) for lat, view in views if lat is side]
        views = views[int(rng.integers(len(views))) :][:1] if one_view else views
    study_uid = simulated_uid(config.seed, "tomosynthesis study", number)
    return [
        TomosynthesisCase(
            key=(number, image),
            split=split,
            study_uid=study_uid,
            study_description=description,
            laterality=laterality,
            view=view,
            repeated=bool(positive and repeated and image == 0),
            label=label,
            subject=subject,
            rotated=bool(rng.random() < config.traps.rotated_share),
            breast=breast,
            masses=masses if positive else (),
        )
        for image, (laterality, view) in enumerate(views)
    ]


def _mammography_study(config: SimulateConfig, number: int, split: str) -> list[MammogramCase]:
    rng = _patient_rng(config, _MAMMOGRAPHY, number)
    settings = config.mammography
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    positive = rng.random() < settings.lesion_share
    breast = draw_breast(config, rng)
    masses = _draw_masses(config, 0.6, rng, settings.chest_wall_share)
    birads = int(rng.choice([3, 4, 5], p=[0.4, 0.45, 0.15])), int(rng.choice([1, 2], p=[0.75, 0.25]))
    views = views_of_study(settings.views_per_study, side, rng)
    study_id = hex_id(config.seed, "mammography study", number)
    cases = []
    for image, (laterality, view) in enumerate(views):
        shown = positive and laterality is side
        cases.append(
            MammogramCase(
                key=(number, image),
                split=split,
                study_id=study_id,
                laterality=laterality,
                view=view,
                birads=birads[0] if shown else birads[1],
                inverted=bool(rng.random() < settings.monochrome1_share),
                breast=breast,
                masses=masses if shown else (),
            )
        )
    return cases
