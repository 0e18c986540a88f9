"""The settings of a simulated data set: sizes, numbers of patients, the anatomy's ranges and the traps."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from comoto.config.models import Positive, Share, StrictModel

NonNegative = Annotated[int, Field(ge=0)]
Range = tuple[Positive, Positive]


class GridConfig(StrictModel):
    """Detector, slices and planes of the phantom.

    The field measures ``rows * pixel_mm`` by ``columns * pixel_mm``.
    """

    rows: Annotated[int, Field(ge=64)] = 256
    columns: Annotated[int, Field(ge=32)] = 128
    pixel_mm: Positive = 0.8
    plane_mm: Positive = 1.0
    """Thickness of the phantom's planes."""
    slice_mm: Positive = 2.0
    """Distance of the reconstructed slices."""
    tissue_mm: Positive = 0.8
    """Sample distance of the tissue field in a plane; finer pixels interpolate it."""


class AnatomyConfig(StrictModel):
    """Ranges from which breasts and masses are drawn (uniformly)."""

    thickness_mm: Range = (32.0, 58.0)
    """Compressed thickness."""
    density_weights: tuple[Share, Share, Share, Share] = (0.12, 0.40, 0.36, 0.12)
    """How often the density classes A to D occur."""
    lesion_radius_mm: Range = (4.5, 10.0)
    two_lesions: Share = 0.12
    """Share of the patients with a lesion who have a second one in the same breast."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("thickness_mm", "lesion_radius_mm"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low} is larger than {high}")
        if sum(self.density_weights) <= 0:
            raise ValueError("density_weights: all are 0")
        return self


class MammographyConfig(StrictModel):
    """Mammograms, written as VinDr-Mammo."""

    training_patients: NonNegative = 40
    test_patients: NonNegative = 10
    lesion_share: Share = 0.6
    """Share of the patients with at least one mass."""
    views_per_study: Literal[1, 2, 4] = 2
    """4: both breasts, CC and MLO; 2: one breast, CC and MLO; 1: one view of one breast."""
    quanta_per_mm2: Positive = 4.7e6
    """Counts in air."""
    blur_px: Annotated[float, Field(ge=0)] = 0.5
    monochrome1_share: Share = 0.3
    """Share of the images stored as MONOCHROME1."""
    chest_wall_share: Share = 0.04
    """Share of the masses that the image's border cuts, so that their boxes reach outside, as some do in
    VinDr-Mammo."""


class TomosynthesisConfig(StrictModel):
    """Tomosynthesis volumes, written as BCS-DBT."""

    train_patients: NonNegative = 20
    validation_patients: NonNegative = 5
    test_patients: NonNegative = 10
    lesion_share: Share = 0.6
    """Share of the patients with a boxed lesion (labels Benign and Cancer)."""
    actionable_share: Share = 0.04
    """Share of the other patients labelled Actionable; they have no box."""
    views_per_study: Literal[1, 2, 4] = 2
    """Views of a normal study, as for mammograms. A positive study holds only its boxed views."""
    one_view_share: Share = 0.12
    """Share of the positive studies in which the lesion is boxed in one view only."""
    repeated_view_share: Share = 0.02
    """Share of the positive studies with a digit behind a view name (``lmlo1``)."""
    angle_deg: Annotated[float, Field(gt=0, lt=45)] = 7.5
    """Projections reach from minus to plus this angle."""
    num_views: Annotated[int, Field(ge=3)] = 9
    quanta_per_mm2: Positive = 4.7e6
    """Counts in air, shared by all projections of a volume."""
    layout: Literal["classic", "descriptive"] = "classic"
    """Folders on disk; the tables name both."""


class TrapsConfig(StrictModel):
    """Habits of the real files that a reader must survive."""

    rotated_share: Share = 0.1
    """Share of the volumes stored rotated by 180 degrees."""
    laterality_always_left: bool = True
    """Frame Laterality says L on every volume, as in BCS-DBT."""
    pixel_spacing: bool = False
    """Whether volumes have a Pixel Spacing value; BCS-DBT has none."""
    precision_bits: Literal[10, 16] = 16
    """Precision that the JPEG 2000 stream declares while Bits Stored is 10."""
    sop_class_removed: bool = True
    """Mammograms have no SOP Class UID and hexadecimal identifiers, as in VinDr-Mammo."""


class SimulateConfig(StrictModel):
    """Everything that decides the bytes of a simulated data set."""

    seed: NonNegative = 0
    grid: GridConfig = GridConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    mammography: MammographyConfig = MammographyConfig()
    tomosynthesis: TomosynthesisConfig = TomosynthesisConfig()
    traps: TrapsConfig = TrapsConfig()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        volumes, films = self.tomosynthesis, self.mammography
        numbers = (volumes.train_patients, volumes.validation_patients, volumes.test_patients)
        if not any((*numbers, films.training_patients, films.test_patients)):
            raise ValueError("no patients: one of the numbers of patients must be 1 or more")
        return self

    @model_validator(mode="after")
    def _lesions_fit(self) -> Self:
        thinnest, largest = self.anatomy.thickness_mm[0], self.anatomy.lesion_radius_mm[1]
        if 2 * largest > thinnest:
            raise ValueError(f"lesions of {largest} mm radius do not fit into {thinnest} mm of breast")
        field_mm = self.grid.rows * self.grid.pixel_mm, self.grid.columns * self.grid.pixel_mm
        if field_mm[0] < 100 or field_mm[1] < 50:
            raise ValueError(
                f"the grid covers {field_mm[0]:.0f} x {field_mm[1]:.0f} mm; a breast needs 100 x 50 mm"
            )
        return self


SIZES: dict[str, GridConfig] = {
    "tiny": GridConfig(rows=128, columns=64, pixel_mm=1.6, plane_mm=2.0, slice_mm=4.0, tissue_mm=1.6),
    "demo": GridConfig(),
    "small": GridConfig(rows=512, columns=256, pixel_mm=0.4, plane_mm=0.5, slice_mm=1.0, tissue_mm=0.4),
    "full": GridConfig(rows=2457, columns=1996, pixel_mm=0.085, plane_mm=0.5, slice_mm=1.0, tissue_mm=0.4),
}
"""Named grids. ``full`` has the rows and columns of the BCS-DBT release."""
