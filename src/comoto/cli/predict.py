"""``comoto predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comoto.cli.options import IsolateOption, complete_aggregation, complete_device, set_option, split_option

if TYPE_CHECKING:
    from comoto.inference.predict import PredictionFiles

_NAMED = 5


InputsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="Images, folders, manifests; any format that is read.",
        readable=False,  # not asked here, where one locked file would stop all others
    ),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option("--manifest", help="Gives the files that are named or found their ids and keys."),
]
MammogramsOption = Annotated[
    bool, typer.Option("--mammograms", help="The inputs are mammograms, the model is a teacher.")
]
AggregationOption = Annotated[
    str | None,
    typer.Option(
        "--aggregation",
        autocompletion=complete_aggregation,
        help="local_maximum (the paper's rule), nms_3d, box_fusion or tracks.",
    ),
]
SliceStepOption = Annotated[int | None, typer.Option("--slice-step", min=1, help="Look at every n-th slice.")]
PointOption = Annotated[
    Path | None,
    typer.Option(
        "--operating-point",
        help="File of 'comoto evaluate --operating-point-out': detections below its threshold are left out.",
    ),
]
SettingsOption = Annotated[list[str] | None, set_option("Change an inference setting, such as batch_size=4.")]
SafeCsvOption = Annotated[
    bool, typer.Option("--safe-csv", help="Write a copy too that no spreadsheet takes for formulas.")
]
OtherModalityOption = Annotated[
    bool, typer.Option("--other-modality", help="Allow a teacher on volumes, or a student on mammograms.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", autocompletion=complete_device, help="auto, cpu or cuda.")
]


def predict(
    inputs: InputsArgument,
    model: Annotated[Path, typer.Option("--model", help="Run folder, or ONNX file of 'comoto export'.")],
    out: Annotated[Path, typer.Option("--out", help="CSV to write; a JSON sidecar is written beside it.")],
    split: Annotated[str | None, split_option("Only this split of a manifest.")] = None,
    manifest: ManifestOption = None,
    mammograms: MammogramsOption = False,
    aggregation: AggregationOption = None,
    slice_step: SliceStepOption = None,
    settings: SettingsOption = None,
    operating_point: PointOption = None,
    isolate: IsolateOption = False,
    safe_csv: SafeCsvOption = False,
    other_modality: OtherModalityOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Find lesions in tomosynthesis volumes.

    Boxes are written in the DBTex challenge's format, in pixels of the image. Neither mammograms nor tables
    are needed; where a folder holds a manifest or the tables of BCS-DBT, studies get the names that the
    labels have. After an interruption the same command continues; what was finished is in the CSV.

    Example: comoto predict --model runs/student --out predictions.csv volume.dcm folder/
    """
    from comoto import api

    given = {"aggregation.kind": aggregation, "slice_step": slice_step}
    _refuse_twice(given, settings or [])
    written = api.predict(
        model,
        inputs,
        out,
        split=split,
        mammograms=mammograms,
        manifest=manifest,
        overrides=settings or (),
        values={key: value for key, value in given.items() if value is not None},
        isolate=isolate,
        safe_csv=safe_csv,
        operating_point=operating_point,
        other_modality=other_modality,
        device=device,
    )
    _tell(written)


def _tell(written: PredictionFiles) -> None:
    """Say what was written.

    Raises:
        DicomError: an image could not be read.
    """
    more = "" if written.safe is None else f", for spreadsheets {written.safe}"
    typer.echo(f"{written.num_images} images: {written.table} and {written.sidecar}{more}")
    if written.left_out:
        typer.echo(f"{len(written.left_out)} others left out; {written.sidecar.name} says which and why")
    if written.failed:
        from comoto.errors import DicomError
        from comoto.wording import first_few

        names = first_few((path for path, _ in written.failed), _NAMED)
        raise DicomError(
            f"{len(written.failed)} of {written.num_images + len(written.failed)} images could not be read "
            f"and are left out: {names}; {written.sidecar} says why"
        )


def _refuse_twice(given: Mapping[str, object], settings: Sequence[str]) -> None:
    """Refuse a setting that an option names and ``--set`` as well; one of the two would be dropped.

    Raises:
        ConfigError: a setting is given twice.
    """
    from comoto.errors import ConfigError

    for key, value in given.items():
        if value is not None and any(text.partition("=")[0].strip() == key for text in settings):
            option = {"aggregation.kind": "--aggregation", "slice_step": "--slice-step"}[key]
            raise ConfigError(f"{key} is given by {option} and by --set; give it once")
