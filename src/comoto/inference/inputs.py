"""What to predict on: images of any format, folders of them, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comoto.errors import DatasetError, DicomError
from comoto.progress import say
from comoto.records import ImageHeader, Laterality, Manifest, Modality, Split
from comoto.sources import Content, SourceKind, describe_source, survey

_WANTED = {
    Modality.TOMOSYNTHESIS: (Content.VOLUME,),
    Modality.MAMMOGRAM: (Content.MAMMOGRAM, Content.SYNTHETIC),
}
_NAMES = {Modality.TOMOSYNTHESIS: "tomosynthesis volume", Modality.MAMMOGRAM: "mammogram"}


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


@dataclass(frozen=True)
class Inputs:
    """What the inputs of a prediction hold.

    Attributes:
        jobs: what to predict on.
        left_out: (path, reason) of what was found in folders and is no image of the wanted kind.
    """

    jobs: list[Job] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def collect_jobs(inputs: Sequence[Path], split: Split | None, modality: Modality) -> Inputs:
    """List the images behind the inputs, each once, in a stable order.

    Args:
        inputs: image files, folders that are searched, or manifest folders. A folder with one single-frame
            DICOM file per slice is one image.
        split: only images of this split; needs manifests.
        modality: which images of a manifest are meant.

    Raises:
        DatasetError: an input is missing or holds nothing to predict on.
        DicomError: a named file is in none of the formats that are read.
    """
    jobs: dict[str, Job] = {}
    left_out: dict[str, str] = {}
    for path in inputs:
        before = len(jobs)
        for job in _expand(path, split, modality, left_out):
            jobs.setdefault(job.image_id, job)
        if len(jobs) == before:
            raise DatasetError(
                f"{path}: nothing to predict on here{f' in split {split.value}' if split else ''}"
            )
    return Inputs(list(jobs.values()), list(left_out.items()))


def keys_of(job: Job, header: ImageHeader, laterality: Laterality) -> tuple[str, str, str]:
    """Return (patient, study, view) for output tables; the view is ``lcc``-like.

    Raises:
        DicomError: the file does not say its view and no manifest does.
    """
    if job.keys is not None:
        return job.keys
    view = (header.view_position or "").lower()
    return header.patient_id, header.study_instance_uid, f"{laterality.value.lower()}{view}"


def _expand(path: Path, split: Split | None, modality: Modality, left_out: dict[str, str]) -> Iterator[Job]:
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
        yield from _search(path, modality, left_out)
    elif path.is_file():
        kind = describe_source(path)
        if kind.content is Content.UNREADABLE:
            raise DicomError(kind.problem)
        yield Job(str(path), path)
    else:
        raise DatasetError(f"{path}: no such file or folder")


def _search(folder: Path, modality: Modality, left_out: dict[str, str]) -> Iterator[Job]:
    """Yield the images of one modality; what is something else is said, and added to ``left_out``.

    Files that cannot be read become jobs all the same: predicting on them fails with the reason, and the
    failure is listed with the results.
    """
    others: dict[Content, list[SourceKind]] = {}
    for kind in survey(folder):
        if kind.content in _WANTED[modality] or _may_be_wanted(kind):
            yield Job(str(kind.path), kind.path)
        else:
            others.setdefault(kind.content, []).append(kind)
            left_out[str(kind.path)] = (
                kind.problem or f"{kind.path}: not a {_NAMES[modality]} but {kind.content.value}"
            )
    for content, kinds in others.items():
        more = f" and {len(kinds) - 1} more" if len(kinds) > 1 else ""
        say(f"left out, not a {_NAMES[modality]} but {content.value}: {kinds[0].path}{more}")


def _may_be_wanted(kind: SourceKind) -> bool:
    """Say whether a file is called an image but cannot be read; pictures in other formats are often there."""
    return kind.content is Content.UNREADABLE and kind.path.suffix.lower() != ".png"
