"""What a study keeps and reads again: that a run is complete, its predictions, the test tables.

Each is vouched for by a checksum: ``done.json`` holds those of the predictions, ``test.json`` those of the
tables. Studies of former versions have none; they are read, and what is not checked is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from comoto.checksums import content_sha256, file_sha256, read_json_object, write_sealed_json
from comoto.errors import ConfigError, DatasetError
from comoto.output_files import write_text

STUDY = "study.yaml"
"""The study's settings as they were last run; people may change them, which is said."""
DONE, FAILED = "done.json", "failed.json"
PREDICTIONS = "predictions.csv"
LABELS, BOXES, TEST = "labels.csv", "boxes.csv", "test.json"
"""The test volumes and their lesions, in the study's folder, and the checksums of both."""

_DONE_FORMAT, _FORMER_DONE = "comoto-study-run-2", ("comoto-study-run-1", None)
_FAILED_FORMAT = "comoto-study-failure-2"
_TEST_FORMAT = "comoto-study-test-1"


def predictions_name(rule: str = "") -> str:
    """Return the name of the file with the detections under a rule; "" is the run's own."""
    return f"predictions-{rule}.csv" if rule else PREDICTIONS


def write_done(folder: Path, content: Mapping[str, Any], tables: Mapping[str, str], test_sha256: str) -> None:
    """Write down that a run is complete.

    Args:
        folder: of the run.
        content: what is told of it.
        tables: SHA-256 of each table of predictions, by its name.
        test_sha256: what ``tables_checksum`` returns of the volumes that were predicted; "" without any.
    """
    about = {"format": _DONE_FORMAT, **content, "tables": dict(tables), "test_sha256": test_sha256}
    write_sealed_json(folder / DONE, about)


def add_tables(folder: Path, tables: Mapping[str, str]) -> None:
    """Write down the checksums of tables that a complete run made later."""
    done = read_done(folder)
    if done is None:
        raise ConfigError(f"{folder}: the run is not complete")
    unchecked = done.get("unchecked", [])
    if done.get("format") in _FORMER_DONE:
        unchecked = sorted(path.name for path in folder.glob("predictions*.csv") if path.name not in tables)
    known = {**done.get("tables", {}), **tables}
    write_sealed_json(
        folder / DONE, {**done, "format": _DONE_FORMAT, "tables": known, "unchecked": unchecked}
    )


def read_done(folder: Path) -> dict[str, Any] | None:
    """Return what ``write_done`` wrote; None of a run that is not complete.

    Raises:
        ConfigError: the file is damaged.
    """
    return _read(folder / DONE, f"remove the folder {folder} to run it again", _FORMER_DONE)


def write_failed(folder: Path, content: Mapping[str, Any]) -> None:
    """Write down how the last try failed."""
    write_sealed_json(folder / FAILED, {"format": _FAILED_FORMAT, **content})


def read_failed(folder: Path) -> dict[str, Any] | None:
    """Return what ``write_failed`` wrote; None if the last try did not fail.

    Raises:
        ConfigError: the file is damaged.
    """
    return _read(folder / FAILED, "remove it; 'comoto study run' tries the run again", (None,))


def lacking(folder: Path, rules: Iterable[str]) -> list[str]:
    """Return the rules under which a complete run has no predictions, or none that it finished."""
    done = read_done(folder) or {}
    former = done.get("format") in _FORMER_DONE
    noted = {*done.get("tables", {}), *done.get("unchecked", ())}
    names = {rule: predictions_name(rule) for rule in rules}
    return [
        rule for rule, name in names.items() if not (folder / name).is_file() or not (former or name in noted)
    ]


def check_predictions(folder: Path, rule: str) -> bool:
    """Check a complete run's predictions.

    Returns:
        Whether there is a checksum; runs of former versions have none.

    Raises:
        DatasetError: the table is not the one that the run wrote.
    """
    name = predictions_name(rule)
    stated = ((read_done(folder) or {}).get("tables") or {}).get(name)
    if stated is not None and file_sha256(folder / name) != stated:
        raise DatasetError(
            f"{folder / name}: is damaged, or was changed since the run wrote it (checksum); remove it, and "
            "'comoto study run' predicts again"
        )
    return stated is not None


def tables_checksum(tables: Mapping[str, str]) -> str:
    """Return one checksum for the texts of ``LABELS`` and ``BOXES``."""
    return content_sha256(dict(tables))


def keep_test_tables(study: Path, tables: Mapping[str, str]) -> None:
    """Write the tables of the test volumes into the study's folder, where its settings are already.

    Args:
        study: its folder.
        tables: texts of ``LABELS`` and ``BOXES``, by name.
    """
    for name, text in tables.items():
        write_text(study / name, text)
    sums = {name: file_sha256(study / name) for name in tables}
    content = {"tables": sums, "test_sha256": tables_checksum(tables), "study": file_sha256(study / STUDY)}
    write_sealed_json(study / TEST, {"format": _TEST_FORMAT, **content})


def check_test_tables(study: Path) -> str | None:
    """Check the tables of the test volumes.

    Returns:
        What ``tables_checksum`` returned of them; None in a study of a former version.

    Raises:
        ConfigError: ``test.json`` is damaged.
        DatasetError: a table is not the one that was written.
    """
    again = "'comoto study run' writes it again"
    content = _read(study / TEST, again, ())
    if content is None:
        return None
    for name, stated in content["tables"].items():
        path = study / name
        if path.is_file() and file_sha256(path) != stated:
            raise DatasetError(f"{path}: is damaged, or was changed since it was written (checksum); {again}")
    return str(content["test_sha256"])


def is_changed(study: Path) -> bool:
    """Whether somebody, or damage, changed a study's kept settings since the study was last run."""
    content = _read(study / TEST, "'comoto study run' writes it again", ())
    return content is not None and content["study"] != file_sha256(study / STUDY)


def _read(path: Path, way_out: str, unsealed: tuple[str | None, ...]) -> dict[str, Any] | None:
    try:
        return read_json_object(path, ConfigError, way_out, unsealed)
    except FileNotFoundError:
        return None
