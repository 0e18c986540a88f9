"""The settings of the second exams; every default has its reason in docs/simulation.md."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from comoto.config.models import Positive, Share, StrictModel
from comoto.simulation.config import GridConfig, NonNegative, Range, TrapsConfig

CALCIFICATION_PIXEL_MM = 0.1
"""The coarsest pixel on which a calcification is more than a faint dot."""
Weight = Annotated[float, Field(ge=0)]


class SecondAnatomyConfig(StrictModel):
    """Breasts: compressed thickness (mm) is normally distributed and clipped."""

    thickness_mean_mm: Positive = 59.0
    thickness_sd_mm: Weight = 12.0
    thickness_mm: Range = (35.0, 90.0)
    """Smallest and largest thickness."""
    density_weights: tuple[Share, Share, Share, Share] = (0.12, 0.40, 0.36, 0.12)
    """How often the density classes A to D occur."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.thickness_mm[0] > self.thickness_mm[1]:
            raise ValueError(f"thickness_mm: {self.thickness_mm[0]} is larger than {self.thickness_mm[1]}")
        if sum(self.density_weights) <= 0:
            raise ValueError("density_weights: all are 0")
        return self


class FamilyWeights(StrictModel):
    """How often each lesion family occurs, relative to the others."""

    spiculated: Weight = 0.225
    round: Weight = 0.075
    lobulated: Weight = 0.10
    fat_containing: Weight = 0.05
    distortion: Weight = 0.35
    asymmetry: Weight = 0.15
    calcification: Weight = 0.0
    """Clusters; only on pixels of 0.1 mm and finer."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if sum(self.model_dump().values()) <= 0:
            raise ValueError("families: all weights are 0")
        return self


class SizeConfig(StrictModel):
    """Longest side of a box in mm: log-normal and clipped."""

    median_mm: Positive
    sigma: Weight
    range_mm: Range

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.range_mm[0] > self.range_mm[1]:
            raise ValueError(f"range_mm: {self.range_mm[0]} is larger than {self.range_mm[1]}")
        return self


class LesionsConfig(StrictModel):
    """Lesions: families, looks, sizes, contrast and hiding places."""

    families: FamilyWeights = FamilyWeights()
    looks: Annotated[int, Field(ge=1)] = 24
    """Looks of a family."""
    look_exponent: Weight = 1.0
    """The k-th look of a family is drawn in proportion to ``1 / k**look_exponent`` (Zipf)."""
    two_lesions: Share = 0.05
    """Share of the patients with a lesion who have a second one in the same breast."""
    mass_size: SizeConfig = SizeConfig(median_mm=17.5, sigma=0.58, range_mm=(6.0, 50.0))
    """Of masses and clusters."""
    distortion_size: SizeConfig = SizeConfig(median_mm=24.0, sigma=0.47, range_mm=(8.0, 60.0))
    """Of distortions and asymmetries."""
    body_share: Annotated[float, Field(gt=0.3, le=1)] = 0.75
    """Size of a body relative to its box: radiologists draw generous boxes."""
    contrast: Range = (0.93, 1.06)
    """Attenuation relative to that of glandular tissue."""
    obscured_share: Share = 0.30
    """Share of the lesions that lie where the projected gland is in its densest third."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.contrast[0] > self.contrast[1]:
            raise ValueError(f"contrast: {self.contrast[0]} is larger than {self.contrast[1]}")
        return self


class DecoysConfig(StrictModel):
    """Harmless structures that look like lesions, in normal and positive breasts alike."""

    per_breast: Weight = 0.5
    """Mean number of a breast, and so of each of its volumes."""


class TomosynthesisStyles(StrictModel):
    """How often each tomosynthesis system occurs, relative to the others."""

    narrow: Weight = 1.0
    """+-7.5 degrees, 15 projections."""
    medium: Weight = 0.0
    """+-12.5 degrees, 9 projections."""
    wide: Weight = 0.0
    """+-25 degrees, 25 projections."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if sum(self.model_dump().values()) <= 0:
            raise ValueError("styles: all weights are 0")
        return self


class MammographyStyles(StrictModel):
    """How often each look of mammograms occurs, relative to the other."""

    plain: Weight = 0.5
    crisp: Weight = 0.5

    @model_validator(mode="after")
    def _some(self) -> Self:
        if sum(self.model_dump().values()) <= 0:
            raise ValueError("styles: all weights are 0")
        return self


class SecondMammographyConfig(StrictModel):
    """Mammograms, written as VinDr-Mammo."""

    training_patients: NonNegative = 40
    test_patients: NonNegative = 10
    patients: Literal["own", "of_tomosynthesis"] = "own"
    """``of_tomosynthesis``: the breasts of the volumes, exposed as mammograms too; the two numbers above then
    do not count. Patients for training and validation go to ``training``."""
    lesion_share: Share = 0.6
    """Share of the patients with a lesion."""
    views_per_study: Literal[1, 2, 4] = 2
    """4: both breasts, CC and MLO; 2: one breast, CC and MLO; 1: one view of one breast."""
    monochrome1_share: Share = 0.3
    """Share of the images stored as MONOCHROME1."""
    styles: MammographyStyles = MammographyStyles()


class SecondTomosynthesisConfig(StrictModel):
    """Tomosynthesis volumes, written as BCS-DBT."""

    train_patients: NonNegative = 20
    validation_patients: NonNegative = 5
    test_patients: NonNegative = 10
    label_only_patients: NonNegative = 0
    """Further training patients whose exam label alone is known: their positive volumes have no box."""
    lesion_share: Share = 0.6
    """Share of the patients with a boxed lesion (labels Benign and Cancer)."""
    actionable_share: Share = 0.04
    """Share of the other patients labelled Actionable: at least one decoy and no box."""
    views_per_study: Literal[1, 2, 4] = 2
    """Views of a normal study, as for mammograms. A positive study holds only its boxed views."""
    one_view_share: Share = 0.12
    """Share of the positive studies in which the lesion is boxed in one view only."""
    repeated_view_share: Share = 0.02
    """Share of the positive studies with a digit behind a view name (``lmlo1``)."""
    layout: Literal["classic", "descriptive"] = "classic"
    """Folders on disk; the tables name both."""
    headers: Literal["bcs-dbt", "hologic"] = "bcs-dbt"
    """Whose habits the headers have; ``traps`` belong to ``bcs-dbt``."""
    styles: TomosynthesisStyles = TomosynthesisStyles()


class SecondConfig(StrictModel):
    """Everything that decides the bytes of the second exams."""

    exams: Literal["second"] = "second"
    seed: NonNegative = 0
    grid: GridConfig = GridConfig()
    anatomy: SecondAnatomyConfig = SecondAnatomyConfig()
    lesions: LesionsConfig = LesionsConfig()
    decoys: DecoysConfig = DecoysConfig()
    mammography: SecondMammographyConfig = SecondMammographyConfig()
    tomosynthesis: SecondTomosynthesisConfig = SecondTomosynthesisConfig()
    traps: TrapsConfig = TrapsConfig()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        volumes, films = self.tomosynthesis, self.mammography
        numbers = [volumes.train_patients, volumes.validation_patients, volumes.test_patients]
        numbers.append(volumes.label_only_patients)
        if films.patients == "own":
            numbers += [films.training_patients, films.test_patients]
        if not any(numbers):
            raise ValueError("no patients: one of the numbers of patients must be 1 or more")
        return self

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        grid = self.grid
        field_mm = grid.rows * grid.pixel_mm, grid.columns * grid.pixel_mm
        if field_mm[0] < 100 or field_mm[1] < 50:
            raise ValueError(
                f"the grid covers {field_mm[0]:.0f} x {field_mm[1]:.0f} mm; a breast needs 100 x 50 mm"
            )
        if self.lesions.families.calcification > 0 and grid.pixel_mm > CALCIFICATION_PIXEL_MM:
            raise ValueError(
                "lesions.families.calcification: clusters need pixels of "
                f"{CALCIFICATION_PIXEL_MM} mm or finer, but grid.pixel_mm is {grid.pixel_mm}; "
                "take '--size full' or set the weight to 0"
            )
        return self
