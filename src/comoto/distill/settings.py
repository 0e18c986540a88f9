"""The settings of every distiller, apart from their code: a typo is told before torch is imported.

What each distiller does stands in the file of its name.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, cast

from pydantic import Field

from comoto import components
from comoto.config import ComponentConfig, TrainConfig

Sees = Literal["nothing", "mammograms", "slices"]
Sampling = Literal["bilinear", "cells"]
NumPoints = Literal[1, 4, 5, 9]
ProjectionInit = Literal["identity", "default"]


class DistillerConfig(ComponentConfig):
    """Settings that every distiller shares."""

    teacher_sees: ClassVar[Sees] = "mammograms"
    """``mammograms`` of other patients (unpaired statistics), or the student's own ``slices``."""

    weight: Annotated[float, Field(ge=0)] = 2.0
    """alpha of the paper."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of the distiller's own parameters; None takes the student's."""
    start_epoch: Annotated[int, Field(ge=0)] = 0
    """Epochs without distillation at the beginning."""
    ramp_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs over which the weight then rises linearly; 0 starts at once."""
    teacher_head: bool = False
    """Also run the teacher's head and drop what it says, as published; changes the time, never a number."""


class NoDistillerConfig(DistillerConfig):
    """Nothing to set."""

    teacher_sees: ClassVar[Sees] = "nothing"
    kind: Literal["none"] = "none"
    weight: Annotated[float, Field(ge=0, le=0)] = 0.0


class ImageLevelConfig(DistillerConfig):
    """Which map, how soft."""

    kind: Literal["image_level"] = "image_level"
    level: str = "c5"
    """Feature map: ``c3`` to ``c5`` of the backbone, ``p3`` and up of the pyramid."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """Both sides' values are divided by it before the softmax: the larger, the softer."""


class LesionPointsConfig(DistillerConfig):
    """LsKD with its repairs: points read bilinearly, a level of one's choice, an identity start.

    As published: ``level=c5 sampling=cells width_ratio=true projection_init=default weight=2``.
    """

    kind: Literal["lesion_points"] = "lesion_points"
    weight: Annotated[float, Field(ge=0)] = 0.2
    level: str = "p3"
    """A map on which a lesion covers about three cells or more (docs/method.md); ``fit`` looks up each lesion
    on the coarsest pyramid level where its longer side still covers three."""
    num_points: NumPoints = 9
    """4 are the corners, 5 the centre and the edges, 1 the centre (its softmax is 1, the loss always 0)."""
    sampling: Sampling = "bilinear"
    """``cells`` reads whole cells without interpolation, as published."""
    width_ratio: bool = False
    """Pixels become cells by w / W along both axes, as published, instead of each axis's own ratio."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """Both sides' values are divided by it before the softmax: the larger, the softer."""
    projection_init: ProjectionInit = "identity"
    """``default`` is torch's random start, as published."""
    empty: Literal["skip", "refuse"] = "skip"
    """What an image without lesions is: left out, or an error (the published code makes NaN of it)."""


class LesionRegionsConfig(DistillerConfig):
    """Which map, how many cells, how soft."""

    kind: Literal["lesion_regions"] = "lesion_regions"
    weight: Annotated[float, Field(ge=0)] = 0.2
    level: str = "p3"
    """``fit`` looks up each lesion on the pyramid level that fits it, as for ``lesion_points``."""
    region_cells: Annotated[int, Field(ge=2, le=14)] = 7
    """k."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """Both sides' values are divided by it before the softmax: the larger, the softer."""
    projection_init: ProjectionInit = "identity"
    """First weights of the learned map over the points or cells of a lesion."""


class LesionMatchingConfig(DistillerConfig):
    """Which map, which points, how soft."""

    kind: Literal["lesion_matching"] = "lesion_matching"
    weight: Annotated[float, Field(ge=0)] = 0.2
    level: str = "p3"
    """``fit`` looks up each lesion on the pyramid level that fits it, as for ``lesion_points``."""
    num_points: Literal[4, 5, 9] = 9
    """Points looked up in a lesion: 4 are the corners, 5 the centre and the edges."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """Both sides' values are divided by it before the softmax: the larger, the softer."""
    projection_init: ProjectionInit = "identity"
    """First weights of the learned map over the points or cells of a lesion."""


class UniDistillConfig(DistillerConfig):
    """Which map, which points, how much the relations count."""

    kind: Literal["unidistill"] = "unidistill"
    weight: Annotated[float, Field(ge=0)] = 0.2
    relation_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the relations, besides ``weight``."""
    level: str = "p3"
    """``fit`` looks up each lesion on the pyramid level that fits it, as for ``lesion_points``."""
    num_points: Literal[4, 5, 9] = 9
    """Points looked up in a lesion: 4 are the corners, 5 the centre and the edges."""


class PrototypesConfig(DistillerConfig):
    """Which map, how much is remembered, how sharp the contrast is."""

    kind: Literal["prototypes"] = "prototypes"
    weight: Annotated[float, Field(ge=0)] = 0.03
    level: str = "p3"
    """Feature map: ``c3`` to ``c5`` of the backbone, ``p3`` and up of the pyramid."""
    num_points: NumPoints = 5
    """A lesion's vector is the mean over its points; 5 are the centre and the middles of the edges."""
    memory: Annotated[int, Field(ge=1)] = 512
    """K: lesions, and background cells, that are remembered."""
    background_cells: Annotated[int, Field(ge=1)] = 8
    """Taken of each mammogram: those that look most like its lesions to the teacher."""
    margin: Annotated[float, Field(ge=0)] = 8.0
    """Pixels around a lesion from which no background is taken."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Of the contrast: the smaller, the sharper."""


class PkdConfig(DistillerConfig):
    """Which maps."""

    teacher_sees: ClassVar[Sees] = "slices"
    kind: Literal["pkd"] = "pkd"
    weight: Annotated[float, Field(ge=0)] = 0.5
    levels: tuple[str, ...] = ()
    """Names of the maps; none are all levels of the pyramid."""


class CrossKdConfig(DistillerConfig):
    """Where the heads are cut, and how much the boxes count."""

    teacher_sees: ClassVar[Sees] = "slices"
    kind: Literal["cross_kd"] = "cross_kd"
    weight: Annotated[float, Field(ge=0)] = 1.0
    box_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the boxes, besides ``weight``."""
    layer: Annotated[int, Field(ge=0)] | None = None
    """Convolutions of the student's towers before the teacher's go on; None is all but the last."""
    rescale: bool = True
    """Give each channel of the student's maps the mean and deviation of the teacher's, as published."""
    focus: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of the difference in probability that weights the classes' cross entropy."""


class ResponsesConfig(DistillerConfig):
    """How soft the classes are, and how much the boxes count."""

    teacher_sees: ClassVar[Sees] = "slices"
    kind: Literal["responses"] = "responses"
    weight: Annotated[float, Field(ge=0)] = 0.1
    box_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the boxes, besides ``weight``."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Both sides' logits are divided by it; a large one compares the logits themselves, by their squares, and
    so what the teacher says of the background as much as what it says of lesions."""


SETTINGS: dict[str, type[DistillerConfig]] = {
    "none": NoDistillerConfig,
    "image_level": ImageLevelConfig,
    "lesion_points": LesionPointsConfig,
    "lesion_regions": LesionRegionsConfig,
    "lesion_matching": LesionMatchingConfig,
    "unidistill": UniDistillConfig,
    "prototypes": PrototypesConfig,
    "pkd": PkdConfig,
    "cross_kd": CrossKdConfig,
    "responses": ResponsesConfig,
}
"""By ``kind``; ``comoto.components`` looks here."""


def distiller_settings(config: TrainConfig) -> DistillerConfig:
    """Return the ``distill`` section as what it is for every distiller."""
    return cast(DistillerConfig, config.distill)


def teacher_sees(config: TrainConfig) -> Sees:
    """Return what the configured distiller shows the teacher.

    An outside distiller says it itself, one of our own is not imported for it.
    """
    settings = distiller_settings(config)
    if settings.kind in SETTINGS:
        return settings.teacher_sees
    sees: Sees = components.resolve("distiller", settings.kind).teacher_sees
    return sees
