"""What to predict on: DICOM files, folders of them, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comoto.errors import DatasetError, DicomError
from comoto.records import ImageHeader, Laterality, Manifest, Modality, Split

_DICOM_MAGIC_OFFSET = 128
_SUFFIXES = (".dcm", ".dicom", ".dic")


@dataclass(frozen=True)
class Job:
    """One image to predict on.

    Attributes:
        image_id: unique within one prediction file; the path where no manifest names the image.
        laterality: from the manifest; None where only the file is known.
        keys: (patient, study, view) of a manifest's table; None takes them from the header.
    """

    image_id: str
    path: Path
    laterality: Laterality | None = None
    keys: tuple[str, str, str] | None = None


def collect_jobs(inputs: Sequence[Path], split: Split | None, modality: Modality) -> list[Job]:
    """List the images behind the inputs, each once, in a stable order.

    Args:
        inputs: DICOM files, folders that are searched, or manifest folders.
        split: only images of this split; needs manifests.
        modality: which images of a manifest are meant.

    Raises:
        DatasetError: an input is missing or holds nothing to predict on.
        DicomError: a named file is not DICOM.
    """
    jobs: dict[str, Job] = {}
    for path in inputs:
        before = len(jobs)
        for job in _expand(path, split, modality):
            jobs.setdefault(job.image_id, job)
        if len(jobs) == before:
            raise DatasetError(
                f"{path}: nothing to predict on here{f' in split {split.value}' if split else ''}"
            )
    return list(jobs.values())


def keys_of(job: Job, header: ImageHeader, laterality: Laterality) -> tuple[str, str, str]:
    """Return (patient, study, view) for output tables; the view is ``lcc``-like.

    Raises:
        DicomError: the file does not say its view and no manifest does.
    """
    if job.keys is not None:
        return job.keys
    view = (header.view_position or "").lower()
    return header.patient_id, header.study_instance_uid, f"{laterality.value.lower()}{view}"


def _expand(path: Path, split: Split | None, modality: Modality) -> Iterator[Job]:
    if (path / "manifest.json").is_file():
        manifest = Manifest.load(path)
        for record in (manifest if split is None else manifest.split(split)).records():
            if record.modality is modality:
                keys = (record.patient_id, record.study_id, record.view_key)
                yield Job(record.image_id, record.path, record.laterality, keys)
        return
    if split is not None:
        raise DatasetError(f"{path}: --split needs a manifest folder; make one with 'comoto index'")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and (file.suffix.lower() in _SUFFIXES or (not file.suffix and _is_dicom(file))):
                yield Job(str(file), file)
    elif path.is_file():
        if not _is_dicom(path):
            raise DicomError(f"{path}: not a DICOM file (no DICM mark at byte 128)")
        yield Job(str(path), path)
    else:
        raise DatasetError(f"{path}: no such file or folder")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DICOM_MAGIC_OFFSET)
        return file.read(4) == b"DICM"
