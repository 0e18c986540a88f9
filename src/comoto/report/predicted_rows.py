"""Which rows of a prediction table are of one image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.checksums import read_json_object
from comoto.errors import DatasetError
from comoto.inference.tables import FORMAT
from comoto.records import ImageRecord, Manifest
from comoto.sources import describe_source
from comoto.tables import TableSource, read_table

Keys = tuple[str, str, str]
"""Patient, study and view, as a table names an image."""

_NUMBERS = ("X", "Width", "Y", "Height", "Z", "Depth", "Score")


def rows_of_record(manifest: Manifest, record: ImageRecord, predictions: TableSource) -> NDArray[np.float64]:
    """Return the rows of an image of a manifest, (N, 7): x, width, y, height, first slice, depth, score.

    Raises:
        DatasetError: the table is wrong, or none of its rows is of an image of the manifest.
    """
    keys, values = _read(predictions)
    own = (record.patient_id, record.study_id, record.view_key)
    images = manifest.images
    known = set(zip(images["patient_id"], images["study_id"], images["view_key"], strict=True))
    if keys and not known & set(keys):
        name = "predictions" if isinstance(predictions, pd.DataFrame) else predictions
        raise DatasetError(
            f"{name}: none of its rows is of an image of this manifest (the first is "
            f"{' '.join(keys[0])}, this image is {' '.join(own)}); give the predictions of this data set"
        )
    return values[[key == own for key in keys]]


def rows_of_file(path: Path, predictions: Path, *, has_side: bool) -> NDArray[np.float64]:
    """Return the rows of a file, as ``rows_of_record``; the table's JSON sidecar says which they are.

    Args:
        path: what was predicted on, as a file or folder.
        predictions: table written by ``comoto predict``.
        has_side: whether the caller knows the side of the body.

    Raises:
        DatasetError: table or sidecar are wrong, the sidecar does not know the file, or the file was
            predicted on by a manifest's side of the body and ``has_side`` is false.
    """
    sidecar = predictions.with_suffix(".json")
    if not sidecar.is_file():
        raise DatasetError(
            f"{sidecar}: no such file; 'comoto predict' writes it beside the table, and it says which rows "
            "are of which file; keep the two together"
        )
    content = read_json_object(sidecar, DatasetError, "predict again", (FORMAT,))
    images = [image for image in content.get("images", ()) if isinstance(image, dict)]
    wanted = os.path.realpath(describe_source(path).path)
    own = [image for image in images if os.path.realpath(str(image.get("path"))) == wanted]
    if not own:
        raise DatasetError(
            f"{sidecar}: knows nothing of {path}; give the predictions on this file, or its place of then"
        )
    if own[0].get("image_id") != own[0].get("path") and not has_side:
        raise DatasetError(
            f"{sidecar}: {path} was predicted on under the name {own[0].get('image_id')}, with the side of a "
            "manifest or table; name it by --manifest and --image, or give --laterality"
        )
    names = tuple(str(own[0].get(name)) for name in ("patient_id", "study_id", "view_key"))
    keys, values = _read(predictions)
    return values[[key == names for key in keys]]


def _read(predictions: TableSource) -> tuple[list[Keys], NDArray[np.float64]]:
    table = read_table(predictions, "predictions", ("PatientID", "StudyUID", "View"), _NUMBERS)
    keys = list(zip(table.texts["PatientID"], table.texts["StudyUID"], table.texts["View"], strict=True))
    values = np.stack([table.numbers[name] for name in _NUMBERS], axis=1)
    complete = np.asarray(np.isfinite(values).all(axis=1))
    table.require(complete, "a number is missing", "every cell of a detection is needed")
    return keys, values
