"""What the Imaging Data Commons holds: one row per series, from the index that a PyPI package carries.

``idc-index-data`` (it comes with ``idc-index``) is a table of every public series with its size and licence,
so everything but the images themselves is known without a network.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from comoto.errors import ConfigError, DatasetError

_REMEDY = "install it with: pip install idc-index"
_COLUMNS = {
    "SeriesInstanceUID": "series_uid",
    "StudyInstanceUID": "study_uid",
    "PatientID": "patient_id",
    "SOPClassUID": "sop_class",
    "instanceCount": "num_files",
    "series_size_MB": "num_bytes",
    "license_short_name": "licence",
    "series_aws_url": "url",
}
_FILE = "idc_index.parquet"


def index_path() -> Path:
    """Return the index that is installed.

    Raises:
        ConfigError: the package is not installed, or carries no index.
    """
    found = importlib.util.find_spec("idc_index_data")
    if found is None or found.origin is None:
        raise ConfigError(f"comoto download needs the package idc-index; {_REMEDY}")
    path = Path(found.origin).with_name(_FILE)
    if not path.is_file():
        raise ConfigError(f"{path}: the package idc-index-data carries no index; {_REMEDY}")
    return path


def read_index(collection: str, path: Path | None = None) -> pd.DataFrame:
    """Return the series of one collection.

    Args:
        collection: such as ``breast_cancer_screening_dbt``.
        path: an index in Parquet; the installed one if not given.

    Returns:
        The columns ``series_uid``, ``study_uid``, ``patient_id``, ``sop_class``, ``num_files``, ``num_bytes``
        (whole bytes), ``licence`` and ``url``, sorted by ``series_uid``.

    Raises:
        ConfigError: as ``index_path``.
        DatasetError: the index is none, or does not know the collection.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    source = path or index_path()
    try:
        table = read_table(source, columns=list(_COLUMNS), filters=[("collection_id", "=", collection)])
    except (ArrowException, OSError) as error:
        raise DatasetError(
            f"{source}: not an index of the Imaging Data Commons ({error}); {_REMEDY}"
        ) from error
    if not table.num_rows:
        raise DatasetError(f"{source}: no collection {collection}; install another version of idc-index-data")
    frame: pd.DataFrame = table.to_pandas().rename(columns=_COLUMNS)
    frame["num_bytes"] = (frame["num_bytes"] * 1e6).round().astype("int64")
    return frame[list(_COLUMNS.values())].sort_values("series_uid", ignore_index=True)
