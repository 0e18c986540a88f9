"""The configuration of a training run: one type, one default, one home for each setting.

Frozen pydantic models that refuse unknown keys. The same models read YAML presets, check ``--set``
overrides, print the JSON schema and travel inside the checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationInfo, field_validator

from comoto import components
from comoto.defaults import HIT_RADIUS, SLICE_REACH, VALIDATION_SHARE
from comoto.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class StrictModel(BaseModel):
    """Base of every configuration: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ComponentConfig(StrictModel):
    """Base of the configuration of a component that is chosen by ``kind``."""

    kind: str


class PreprocessConfig(StrictModel):
    """From stored pixels to the network's grid; the same for training and inference."""

    rows: Annotated[int, Field(ge=32, multiple_of=32)] = 512
    """Height of the network's grid in pixels."""
    columns: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    """Width of the network's grid in pixels."""
    crop_air: bool = True
    """Cut to the breast before resizing."""
    mirror: bool = True
    """Mirror right breasts, so that the chest wall is always at column 0."""
    fit: Literal["letterbox", "stretch"] = "letterbox"
    """``letterbox`` keeps the aspect ratio and pads; ``stretch`` fills the grid, as published."""
    max_scale: Positive = 1.0
    """Largest factor by which an image may be enlarged to fill the grid; ``stretch`` ignores it."""
    window: Literal["file", "percentile", "frame"] = "file"
    """``file``: the file's own window if it has one; ``percentile``: always 0.5-99.8 % of the breast;
    ``frame``: every frame from its own minimum to its own maximum, as published."""
    for_processing: Literal["log", "linear", "as_stored"] = "log"
    """Mammograms whose header says "for processing" and whose air is bright: ``log``: the logarithm, in which
    equal amounts of tissue are equal steps of grey; ``linear``: upside down; ``as_stored``: left alone."""
    decode: Literal["auto", "fast", "full"] = "auto"
    """``auto``: of JPEG 2000 frames, as many of the finest resolutions are left undecoded as leave at least
    two pixels to one of the grid, which changes values little; ``fast``: as leave at least one, which lets
    more noise through (docs/reliability.md); ``full``: none."""


class MinedNegativesConfig(StrictModel):
    """Negatives that the student itself takes for lesions, on volumes that are known to be normal.

    In rounds the student scores slices of these volumes by its surest box; until the next round, those with
    the highest scores are drawn.
    """

    share: Share = 0.0
    """Share of the drawn slices of normal images that are mined, from the first round on; 0 is none."""
    start_epoch: Count = 3
    """Epochs before the first round."""
    every: Count = 3
    """Epochs between rounds."""
    top_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the scored slices, those with the highest scores, that are drawn until the next round."""
    slice_step: Count = 2
    """Every how many prepared slices are scored."""
    outside: bool = False
    """Also of training patients outside the fraction, whose labels are then used, though no box is."""


class BatchConfig(StrictModel):
    """What one training batch is made of."""

    size: Count = 8
    """Images a step."""
    negative_share: Share = 0.5
    """Share of the batch that shows no lesion: background slices of positive volumes and normal images."""
    slice_reach: Annotated[float, Field(ge=0, le=0.5)] = SLICE_REACH
    """A positive slice lies within this share of the volume's slices of the annotated one."""
    negative_distance: Annotated[float, Field(ge=0, le=1)] = 0.25
    """A background slice lies farther than this share of the slices from every lesion of its volume."""
    negatives: Literal["both", "background", "normal"] = "both"
    """Background slices of positive volumes, slices of images without lesions, or both in turn."""
    draw: Literal["patients", "images"] = "patients"
    """What is drawn once before any is drawn again; published are images."""
    mined_negatives: MinedNegativesConfig = MinedNegativesConfig()


class JointConfig(StrictModel):
    """Mammograms in the student's batches: the student goes on detecting in them."""

    size: Annotated[int, Field(ge=0)] = 0
    """Mammograms a step; 0 is none."""
    negative_share: Share = 0.25
    """Share of the mammograms of a batch that show no lesion."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on their detection losses."""
    batch_norm: Literal["own", "mixed"] = "own"
    """``own``: a pass of their own, with their own batch statistics, that leaves the running ones alone;
    ``mixed``: one pass with the slices."""


class SelfTrainingConfig(StrictModel):
    """Pseudo-lesions on the training volumes outside the fraction, whose annotations are hidden.

    The student proposes its best detection of each such volume, and those with the highest scores are kept.
    """

    size: Annotated[int, Field(ge=0)] = 0
    """Pseudo-annotated slices a step, besides the annotated ones; 0 is none."""
    negative_share: Share = 0.34
    """Share of the pseudo-annotated slices that are taken as showing no lesion."""
    start_epoch: Count = 3
    """Epochs before the first proposals."""
    every: Count = 2
    """Epochs between proposals."""
    keep_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the volumes whose proposal is kept."""
    slice_step: Count = 2
    """Every how many prepared slices are looked at."""


class AugmentConfig(StrictModel):
    """Random changes of training images; boxes follow."""

    horizontal_flip: Share = 0.0
    """Moves the chest wall to the other side; only for images that are not mirrored alike."""
    vertical_flip: Share = 0.5
    """How often an image is turned upside down."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.04
    """Largest shift, as a share of the height and of the width."""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Largest change of brightness, as a share; grey values are multiplied by 1 ± so much."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Largest change of the exponent of the grey values, as a share."""


class OptimizerConfig(StrictModel):
    """The optimizer and the course of its learning rate."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """Which optimizer."""
    learning_rate: Positive = 6e-4
    """Largest rate, after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Strength of the pull towards small weights."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of ``sgd``."""
    decay: Literal["cosine", "step"] = "cosine"
    """After the warm-up: half a cosine down to 1 %, or ``decay_factor`` after every ``decay_epochs``."""
    decay_epochs: Count = 30
    """Of ``step``: epochs between falls."""
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of ``step``: what the rate is multiplied by."""
    warmup_share: Share = 0.1
    """Share of all steps over which the rate rises from 0."""
    gradient_clip: Positive | None = 5.0
    """Largest norm of the gradient; None cuts nothing."""
    anchor: Annotated[float, Field(ge=0)] = 0.0
    """Strength of the pull towards the first weights, of a run that starts from another one (L2-SP): every
    step takes this many times the learning rate of the way back. 0 is none."""


class AverageConfig(StrictModel):
    """Averages of weights that are validated and kept in place of the last ones (docs/training.md)."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of a moving average along the training: how much of it a step leaves. 0 takes the last weights."""
    teacher_shares: tuple[Share, ...] = ()
    """How far back to the first weights, those of the teacher or of ``init_from``: at every validation each
    share is tried, and the one with the best metric is kept, of equal ones the smallest. None is 0."""
    batch_norm: Literal["averaged", "estimated"] = "averaged"
    """The running statistics of averaged weights: ``averaged`` like these, or ``estimated`` anew."""
    batches: Count = 50
    """Training batches from which statistics are estimated."""

    @field_validator("teacher_shares")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        """Put the smallest first, each once."""
        return tuple(sorted(set(value)))


class ScheduleConfig(StrictModel):
    """How long, and how often to look."""

    epochs: Count = 10
    """How many epochs are trained."""
    steps_per_epoch: Count | None = 50
    """None: as many as it takes to show every positive image (or patient, ``batch.draw``) once."""
    validate_every: Count = 1
    """Epochs between validations; the last epoch is always validated."""


class AggregationConfig(StrictModel):
    """From boxes on slices to boxes in a volume.

    Examples:
        >>> AggregationConfig(kind="tracks", window_share=0.2).iou is None
        True
        >>> from comoto.config import load_train_config
        >>> load_train_config("demo", ["inference.aggregation.kind=tracks"]).inference.aggregation.kind
        'tracks'
    """

    kind: str = "box_fusion"
    """``box_fusion`` (alias ``weighted_box_fusion``), ``nms_3d``, ``tracks`` or ``local_maximum``
    (published); docs/method.md."""
    iou: Share | None = None
    """Overlap above which boxes of different slices compete; None takes the rule's own value."""
    window_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """How far apart they may be, as a share of the volume's slices; None takes the rule's own value."""
    min_score: Share = 0.001
    """Neither a slice's box nor a volume's has a smaller score."""
    border_slices: Annotated[int, Field(ge=0)] = 0
    """Slices left out at either end of the volume (the published code leaves out 4)."""
    span: Literal["spread", "strong"] = "spread"
    """What a detection's range of slices is; its best slice is the centroid of its squared scores along the
    stack. ``spread``: the slices within their standard deviation of the best slice; ``strong``: from the
    first to the last slice with at least half of its best score, mostly the whole stack, as before there were
    best slices. ``local_maximum`` reports one slice."""
    depth: Literal["auto", "scores"] = "auto"
    """What best slices and ``spread`` are made of: ``auto``: of the focus of boxes too, if the model has a
    focus head (``focus.fit``); ``scores``: of the scores alone, whatever it has."""

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        value = components.known_name("aggregator", value)
        components.check_name("aggregator", value)
        return value


class InferenceConfig(StrictModel):
    """Prediction of whole volumes."""

    slice_step: Count = 1
    """Look at every n-th slice."""
    batch_size: Count = 8
    """Slices that go through the network at once."""
    aggregation: AggregationConfig = AggregationConfig()


class SelectionConfig(StrictModel):
    """Which checkpoint is kept: the one with the best reported metric on the validation split."""

    metric: Literal["reported", "map_2d"] = "reported"
    """``map_2d``: average precision of single images, averaged over IoU 0.10 to 0.50, as published."""
    slice_step: Count = 2
    """Every how many slices of the validation volumes are looked at."""
    max_images: Count = 200
    """Validation images looked at, at most."""
    min_hit_radius: Positive = HIT_RADIUS
    """Least radius, in source pixels, within which a detection hits a lesion; 100 is the DBTex challenge's
    value for pixels of about 0.085 mm and means nothing on coarser ones. At most a tenth of the images'
    shorter side is taken."""


class DataConfig(StrictModel):
    """Which prepared images are trained on."""

    mammograms: tuple[Path, ...] = ()
    """Prepared stores; of several sets every batch takes equal parts."""
    tomosynthesis: Path | None = None
    """Prepared store of the student's volumes."""
    single_images: bool = False
    """The student learns single images: ``tomosynthesis`` names a store of mammograms, each of which counts
    as a volume of one slice."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training patients that is used; smaller fractions lie inside larger ones."""
    unit: Literal["patients", "images"] = "patients"
    """What ``fraction`` counts; ``images``, as published, splits a patient's views."""
    split_file: Path | None = None
    """A ``split.json`` that ``comoto split`` wrote: it names who trains, who validates and the patients of a
    fraction, in place of the data set's splits, ``validation_share`` and the seed."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = VALIDATION_SHARE
    """Share of the training patients held out, where the data set names no validation split."""

    @field_validator("mammograms", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """Accept one path in place of a list of one."""
        if value is None:
            return ()
        return (value,) if isinstance(value, str | Path) else value


class FocusConfig(StrictModel):
    """A linear reading of how much a box is in focus on its slice, for better depths (docs/method.md).

    Fitted after a student's training on its own annotated lesions; it changes no box and no score.
    """

    fit: bool = False
    """Whether one is fitted; ``comoto train student --resume --set focus.fit=true`` fits one to a finished
    run."""
    level: str = "p4"
    """Feature map that it reads: ``c3`` to ``c5`` of the backbone, ``p3`` and up of the pyramid."""
    ridge: Positive = 0.3
    """Factor on the squared weights, of features measured in their deviation within a volume."""
    spread: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """How far around the annotated slice a lesion counts as in focus: the standard deviation of a bell, as a
    share of the stack."""
    jitter: Annotated[int, Field(ge=0)] = 4
    """Copies of each annotated box with moved edges that the fit sees too: detections fit less well."""


class ImpaConfig(StrictModel):
    """Intra-modal Point Alignment of the teacher (docs/method.md)."""

    weight: Annotated[float, Field(ge=0)] = 2.0
    """Factor on the loss; 0 trains a teacher without it."""
    level: str = "p3"
    """Feature map: ``c3`` to ``c5`` of the backbone, ``p3`` and up of the pyramid."""
    num_points: Literal[1, 4, 5, 9] = 9
    """Points looked up in a lesion: 1 is the centre, 4 the corners, 5 the centre and the edges."""
    sampling: Literal["bilinear", "cells"] = "bilinear"
    """``cells`` reads the nearest cells without interpolation, as published."""
    margin: Annotated[float, Field(ge=0)] = 8.0
    """Pixels around a lesion from which no background point is taken."""
    empty: Literal["skip", "refuse"] = "skip"
    """What an image without lesions, or with too little background, is: left out, or an error (the published
    code makes NaN of the one and crashes at the other)."""


class TrainConfig(StrictModel):
    """Everything that decides the numbers of a training run, teacher or student."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of first weights, batches, and the patients that are drawn."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """``auto``: bf16-mixed where the hardware computes in it, else 32-true."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: a GPU if there is one."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads; 0 leaves the choice to torch."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Threads that load data ahead; 0 loads each batch when it is needed."""
    init: Literal["scratch", "teacher"] = "scratch"
    """First weights of a student."""
    teacher: Path | None = None
    """Run folder of the teacher; a student that starts from it or is distilled from it needs one."""
    init_from: Path | None = None
    """Run folder, of a teacher or a student, whose weights are the first ones, in place of ``init``."""
    preprocess: PreprocessConfig = PreprocessConfig()
    detector: SerializeAsAny[ComponentConfig] = Field(default={"kind": "retinanet"}, validate_default=True)
    distill: SerializeAsAny[ComponentConfig] = Field(default={"kind": "none"}, validate_default=True)
    impa: ImpaConfig = ImpaConfig()
    data: DataConfig = DataConfig()
    batch: BatchConfig = BatchConfig()
    joint: JointConfig = JointConfig()
    self_training: SelfTrainingConfig = SelfTrainingConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    average: AverageConfig = AverageConfig()
    focus: FocusConfig = FocusConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    selection: SelectionConfig = SelectionConfig()
    inference: InferenceConfig = InferenceConfig()

    @field_validator("detector", "distill", mode="before")
    @classmethod
    def _component(cls, value: Any, info: ValidationInfo) -> Any:
        return _component("detector" if info.field_name == "detector" else "distiller", value)


def _component(table: str, value: Any) -> Any:
    """Validate the settings of a component with the component's own ``Config``."""
    if isinstance(value, dict):
        if "kind" not in value:
            known = ", ".join(sorted(components.TABLES[table]))
            raise ConfigError(f"settings of a {table} ({', '.join(value)}) without its kind, one of {known}")
        kind = components.known_name(table, str(value["kind"]))
        return components.settings_class(table, kind).model_validate({**value, "kind": kind})
    return value
