"""Who is simulated in the second exams: patients, breasts, lesions, decoys, labels and systems.

As in the first exams, every decision depends only on the seed and on the number of the patient. A breast has
a seed of its own that both of its views share, so that they show the same tissue and the same lesions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from comoto.config.models import StrictModel
from comoto.records import Laterality, Split, View
from comoto.simulation.anatomy import DENSITY_FRACTIONS, Breast, ViewShape, draw_view
from comoto.simulation.cohort import (
    STUDY_DESCRIPTIONS,
    MammogramCase,
    TomosynthesisCase,
    hex_id,
    simulated_uid,
    views_of_study,
)
from comoto.simulation.second.config import SecondConfig, SizeConfig
from comoto.simulation.second.lesion import LesionShape
from comoto.simulation.second.looks import DECOYS, draw_look

_TOMOSYNTHESIS, _MAMMOGRAPHY = 3, 4
_PATIENT, _BREAST, _PIXELS = 0, 1, 2
_CANCER = {
    "spiculated": 0.85,
    "round": 0.08,
    "lobulated": 0.25,
    "fat_containing": 0.0,
    "distortion": 0.32,
    "asymmetry": 0.25,
    "calcification": 0.35,
}
"""Share of the lesions of a family that are cancer; 39 % of the boxes in BCS-DBT are."""
FINDING_WORDS = {
    "distortion": ["Architectural Distortion"],
    "asymmetry": ["Focal Asymmetry"],
    "calcification": ["Suspicious Calcification"],
}
"""The words of VinDr-Mammo for families that are no masses."""


@dataclass(frozen=True)
class Exam:
    """What both views of one breast share.

    Attributes:
        seed: entropy of the breast: tissue, places and shapes of its views.
        patient_id: of the tomosynthesis patient, or the mammography study.
        views: how the breast lies in each view.
        lesions: annotated or, in an exam whose label alone is known, hidden.
        decoys: harmless.
        style: of the system.
    """

    seed: tuple[int, ...]
    breast: Breast
    views: tuple[ViewShape, ...]
    lesions: tuple[LesionShape, ...]
    decoys: tuple[LesionShape, ...]
    style: str

    def rng(self, config: SecondConfig) -> np.random.Generator:
        """Return the randomness of the breast; it is the same for both views."""
        return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=self.seed))


@dataclass(frozen=True, kw_only=True)
class SecondVolumeCase(TomosynthesisCase):
    """One volume of the second exams; ``boxed`` is False where the exam's label alone is known."""

    exam: Exam
    boxed: bool

    @property
    def distortions(self) -> tuple[bool, ...]:
        """Which of the boxed lesions are architectural distortions."""
        return tuple(lesion.family == "distortion" for lesion in self.exam.lesions) if self.boxed else ()


@dataclass(frozen=True, kw_only=True)
class SecondMammogramCase(MammogramCase):
    """One mammogram of the second exams; ``same_as`` names the patient of the volumes it shows, if any."""

    exam: Exam
    same_as: str

    @property
    def finding_words(self) -> tuple[list[str], ...]:
        """The categories of each lesion."""
        return tuple(FINDING_WORDS.get(lesion.family, ["Mass"]) for lesion in self.exam.lesions)


SecondCase = SecondVolumeCase | SecondMammogramCase


def pixel_rng(config: SecondConfig, case: SecondCase) -> np.random.Generator:
    """Return the randomness of what an image alone shows of its breast: its fine structure."""
    modality = _TOMOSYNTHESIS if isinstance(case, SecondVolumeCase) else _MAMMOGRAPHY
    return _rng(config, modality, case.key[0], _PIXELS, case.key[1])


def exposure_rng(config: SecondConfig, case: SecondCase) -> np.random.Generator:
    """Return the randomness of an image's exposure, noise and window, whatever its phantom has drawn."""
    return pixel_rng(config, case).spawn(1)[0]


def plan_volumes(config: SecondConfig) -> list[SecondVolumeCase]:
    """Return the volumes of a data set, patient by patient, train first, those without boxes last."""
    settings = config.tomosynthesis
    splits = [Split.TRAIN] * settings.train_patients + [Split.VALIDATION] * settings.validation_patients
    splits += [Split.TEST] * settings.test_patients + [Split.TRAIN] * settings.label_only_patients
    first_label_only = len(splits) - settings.label_only_patients
    return [
        case
        for number, split in enumerate(splits)
        for case in _study(config, number, split, boxed=number < first_label_only)
    ]


def plan_mammograms(config: SecondConfig) -> list[SecondMammogramCase]:
    """Return the mammograms of a data set, patient by patient, training first."""
    if config.mammography.patients == "of_tomosynthesis":
        return [_as_mammogram(config, case) for case in plan_volumes(config) if case.boxed]
    settings = config.mammography
    splits = ["training"] * settings.training_patients + ["test"] * settings.test_patients
    return [case for number, split in enumerate(splits) for case in _mammograms(config, number, split)]


def _rng(config: SecondConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))


def draw_breast(config: SecondConfig, rng: np.random.Generator) -> Breast:
    """Draw a breast that fits onto the grid."""
    anatomy, grid = config.anatomy, config.grid
    weights = np.asarray(anatomy.density_weights)
    density = "ABCD"[rng.choice(4, p=weights / weights.sum())]
    return Breast(
        density=density,
        glandular_fraction=float(rng.uniform(*DENSITY_FRACTIONS[density])),
        half_height=min(float(rng.uniform(66, 92)), 0.45 * grid.rows * grid.pixel_mm),
        depth=min(float(rng.uniform(58, 88)), 0.84 * grid.columns * grid.pixel_mm),
        roundness=float(rng.uniform(1.85, 2.35)),
        fat_under_skin=float(rng.uniform(6, 11)),
        thickness=float(
            np.clip(rng.normal(anatomy.thickness_mean_mm, anatomy.thickness_sd_mm), *anatomy.thickness_mm)
        ),
    )


def draw_lesions(config: SecondConfig, rng: np.random.Generator) -> tuple[LesionShape, ...]:
    """Draw the lesions of a breast: one, or rarely two."""
    count = 1 + int(rng.random() < config.lesions.two_lesions)
    return tuple(_draw_lesion(config, rng) for _ in range(count))


def _draw_lesion(config: SecondConfig, rng: np.random.Generator) -> LesionShape:
    settings = config.lesions
    family = _chosen(settings.families, rng)
    large = family in ("distortion", "asymmetry")
    sizes = settings.distortion_size if large else settings.mass_size
    return LesionShape(
        family=family,
        look=draw_look(settings.looks, settings.look_exponent, rng),
        size_mm=_draw_size(sizes, rng),
        body_share=settings.body_share,
        contrast=float(rng.uniform(*settings.contrast)),
        obscured=bool(rng.random() < settings.obscured_share),
        cancer=bool(rng.random() < _CANCER[family]),
        seed=int(rng.integers(2**62)),
    )


def draw_decoys(config: SecondConfig, rng: np.random.Generator, least: int = 0) -> tuple[LesionShape, ...]:
    """Draw the decoys of a breast, at least ``least``."""
    count = max(least, int(rng.poisson(config.decoys.per_breast)))
    settings = config.lesions
    return tuple(
        LesionShape(
            family=list(DECOYS)[int(rng.integers(len(DECOYS)))],
            look=draw_look(settings.looks, settings.look_exponent, rng),
            size_mm=_draw_size(settings.mass_size, rng),
            body_share=settings.body_share,
            contrast=float(rng.uniform(*settings.contrast)),
            obscured=False,
            cancer=False,
            seed=int(rng.integers(2**62)),
        )
        for _ in range(count)
    )


def _draw_size(size: SizeConfig, rng: np.random.Generator) -> float:
    return float(np.clip(size.median_mm * np.exp(size.sigma * rng.standard_normal()), *size.range_mm))


def _chosen(weights: StrictModel, rng: np.random.Generator) -> str:
    """Draw the name of a field in proportion to its value."""
    names, values = zip(*weights.model_dump().items(), strict=True)
    shares = np.asarray(values, np.float64)
    return str(names[int(rng.choice(len(names), p=shares / shares.sum()))])


def _exam(
    config: SecondConfig, seed: tuple[int, ...], style: str, *, positive: bool, suspicious: bool
) -> Exam:
    """Draw a breast with its two compressions and what is in it."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(*seed, 0)))
    breast = draw_breast(config, rng)
    height_mm = config.grid.rows * config.grid.pixel_mm
    views = tuple(draw_view(breast, view, height_mm, rng) for view in (View.CC, View.MLO))
    lesions, decoys = draw_lesions(config, rng), draw_decoys(config, rng, least=int(suspicious))
    return Exam(
        seed=seed,
        breast=breast,
        views=views,
        lesions=lesions if positive else (),
        decoys=decoys,
        style=style,
    )


@dataclass(frozen=True)
class _Patient:
    """What is drawn once for a patient of either modality."""

    side: Laterality
    positive: bool
    exams: dict[Laterality, Exam]
    views: list[tuple[Laterality, View]]


def _patient(
    config: SecondConfig, modality: int, number: int, rng: np.random.Generator, *, suspicious: bool
) -> _Patient:
    volumes = modality == _TOMOSYNTHESIS
    settings = config.tomosynthesis if volumes else config.mammography
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    positive = bool(rng.random() < settings.lesion_share)
    style = _chosen(settings.styles, rng)
    exams = {
        laterality: _exam(
            config,
            (modality, number, _BREAST, int(laterality is not side)),
            style,
            positive=positive and laterality is side,
            suspicious=suspicious and not positive and laterality is side,
        )
        for laterality in Laterality
    }
    return _Patient(side, positive, exams, views_of_study(settings.views_per_study, side, rng))


def _study(config: SecondConfig, number: int, split: Split, *, boxed: bool) -> list[SecondVolumeCase]:
    rng = _rng(config, _TOMOSYNTHESIS, number, _PATIENT)
    settings = config.tomosynthesis
    actionable = bool(rng.random() < settings.actionable_share)
    one_view, repeated = rng.random() < settings.one_view_share, rng.random() < settings.repeated_view_share
    subject = int(rng.choice([0, 2], p=[0.75, 0.25]))
    description = STUDY_DESCRIPTIONS[int(rng.integers(len(STUDY_DESCRIPTIONS)))]
    patient = _patient(config, _TOMOSYNTHESIS, number, rng, suspicious=actionable)
    views, label = patient.views, "Actionable" if actionable else "Normal"
    if patient.positive:
        cancer = any(lesion.cancer for lesion in patient.exams[patient.side].lesions)
        label = "Cancer" if cancer else "Benign"
    if patient.positive and boxed:
        views = [(side, view) for side, view in views if side is patient.side]
        views = views[int(rng.integers(len(views))) :][:1] if one_view else views
    study_uid = simulated_uid(config.seed, "second tomosynthesis study", number)
    return [
        SecondVolumeCase(
            key=(number, image),
            split=split,
            study_uid=study_uid,
            study_description=description,
            laterality=side,
            view=view,
            repeated=bool(patient.positive and repeated and image == 0),
            label=label,
            subject=subject,
            rotated=_rotated(config, side, rng),
            breast=patient.exams[side].breast,
            exam=patient.exams[side],
            boxed=boxed,
        )
        for image, (side, view) in enumerate(views)
    ]


def _rotated(config: SecondConfig, side: Laterality, rng: np.random.Generator) -> bool:
    """Tell whether a volume is stored turned by 180 degrees.

    Hologic's orientation is always the same, rows to the back: left breasts are turned, right ones upright.
    """
    drawn = bool(rng.random() < config.traps.rotated_share)
    return side is Laterality.LEFT if config.tomosynthesis.headers == "hologic" else drawn


def _mammograms(config: SecondConfig, number: int, split: str) -> list[SecondMammogramCase]:
    rng = _rng(config, _MAMMOGRAPHY, number, _PATIENT)
    patient = _patient(config, _MAMMOGRAPHY, number, rng, suspicious=False)
    birads = int(rng.choice([3, 4, 5], p=[0.4, 0.45, 0.15])), int(rng.choice([1, 2], p=[0.75, 0.25]))
    study_id = hex_id(config.seed, "second mammography study", number)
    return [
        SecondMammogramCase(
            key=(number, image),
            split=split,
            study_id=study_id,
            laterality=side,
            view=view,
            birads=birads[0] if patient.exams[side].lesions else birads[1],
            inverted=bool(rng.random() < config.mammography.monochrome1_share),
            breast=patient.exams[side].breast,
            exam=patient.exams[side],
            same_as="",
        )
        for image, (side, view) in enumerate(patient.views)
    ]


def _as_mammogram(config: SecondConfig, volume: SecondVolumeCase) -> SecondMammogramCase:
    """Return the mammogram of a breast that has a volume."""
    rng = _rng(config, _MAMMOGRAPHY, volume.key[0], _PATIENT, volume.key[1])
    of_patient = _rng(config, _MAMMOGRAPHY, volume.key[0], _PATIENT)
    study_id = hex_id(config.seed, "mammography of a tomosynthesis study", volume.key[0])
    return SecondMammogramCase(
        key=volume.key,
        split="test" if volume.split is Split.TEST else "training",
        study_id=study_id,
        laterality=volume.laterality,
        view=volume.view,
        birads=4 if volume.exam.lesions else 1,
        inverted=bool(rng.random() < config.mammography.monochrome1_share),
        breast=volume.breast,
        exam=replace(volume.exam, style=_chosen(config.mammography.styles, of_patient)),
        same_as=volume.patient_id,
    )
