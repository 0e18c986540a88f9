"""What to predict on: images of any format, folders of them, or a manifest."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comoto.errors import ComotoError, DatasetError, DicomError
from comoto.image_header import ImageHeader
from comoto.inference.known import Known, KnownImages, known_by, known_in
from comoto.progress import say
from comoto.records import Laterality, Manifest, Modality, Split
from comoto.sources import Content, SourceKind, describe_source, look_at_file, source_files, survey
from comoto.wording import first_few

_WANTED = {
    Modality.TOMOSYNTHESIS: (Content.VOLUME,),
    Modality.MAMMOGRAM: (Content.MAMMOGRAM, Content.SYNTHETIC),
}
_NAMES = {Modality.TOMOSYNTHESIS: "tomosynthesis volume", Modality.MAMMOGRAM: "mammogram"}
_OTHER_WAY = {
    Modality.TOMOSYNTHESIS: "mammograms are there: add --mammograms, with a teacher as --model",
    Modality.MAMMOGRAM: "tomosynthesis volumes are there: leave out --mammograms, with a student as --model",
}


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked for.

    Attributes:
        inputs: image files, folders that are searched, or manifest folders. A folder with one single-frame
            DICOM file per slice is one image.
        split: only images of this split; needs manifests.
        modality: which images are meant.
        manifest: a manifest folder that gives image ids and keys to the files that ``inputs`` name.
    """

    inputs: Sequence[Path]
    split: Split | None = None
    modality: Modality = Modality.TOMOSYNTHESIS
    manifest: Path | None = None

    def __str__(self) -> str:
        words = [] if self.split is None else [f"--split {self.split.value}"]
        words += [] if self.manifest is None else [f"--manifest {self.manifest}"]
        return " ".join([*words, *map(str, self.inputs)])


@dataclass(frozen=True)
class Job:
    """One image to predict on.

    Attributes:
        image_id: unique within one prediction file; the path where no manifest names the image.
        laterality: from the manifest; None where only the file is known.
        keys: (patient, study, view) of a manifest's table; None takes them from the header.
        kind: what a look at the file told, so that it is not looked at again as long as it stays the same.
    """

    image_id: str
    path: Path
    laterality: Laterality | None = None
    keys: tuple[str, str, str] | None = None
    kind: SourceKind | None = None

    def identity(self) -> dict[str, Any]:
        """Return plain values that change when another image, or other keys, would be predicted on.

        Content is known by the name, length and times of every file: reading it takes as long as predicting.
        The time of the last change of the file's entry is one of them, which nobody can set on Linux and
        macOS: a tool that copies sets the other one to that of the original.

        Raises:
            DicomError: there is no such file.
            OSError: it cannot be looked at.
        """
        digest = hashlib.sha256()
        for file in source_files(self.path, self.kind):
            stat = file.stat()
            times = f"{stat.st_mtime_ns}\0{stat.st_ctime_ns}"
            digest.update(os.fsencode(file.name) + f"\0{stat.st_size}\0{times}\n".encode())
        return {
            "path": os.path.realpath(self.path),
            "files": digest.hexdigest(),
            "laterality": None if self.laterality is None else self.laterality.value,
            "keys": None if self.keys is None else list(self.keys),
        }


@dataclass
class Inputs:
    """What the inputs of a prediction hold.

    Attributes:
        jobs: image_id -> what to predict on.
        identities: image_id -> see ``Job.identity``.
        left_out: path -> reason of what was found in folders and is no image of the wanted kind.
        failed: path -> error of what was named, or is called an image, and cannot be read.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, ComotoError] = field(default_factory=dict)

    def add(self, job: Job) -> None:
        """Take an image once: one file that is named twice is one job, and a manifest knows more of it.

        Raises:
            DatasetError: two manifests give one image_id to two files.
        """
        try:
            identity = job.identity()
        except DicomError as error:
            self.failed[str(job.path)] = error
            return
        except OSError as error:
            self.failed[str(job.path)] = _unopened(job.path, error)
            return
        other = self.identities.get(job.image_id)
        if other is not None and other["path"] != identity["path"]:
            raise DatasetError(
                f"image_id '{job.image_id}' stands for {other['path']} and for {identity['path']}; predict "
                "on the two manifests one after the other, each with its own --out"
            )
        same = [key for key, one in self.identities.items() if one["path"] == identity["path"]]
        bare = [key for key in same if self.jobs[key].keys is None]
        if job.keys is None and same:
            return
        for key in bare:
            del self.jobs[key], self.identities[key]
        self.jobs[job.image_id], self.identities[job.image_id] = job, identity


def collect_jobs(request: PredictionRequest) -> Inputs:
    """List the images behind the inputs, each once, in a stable order.

    Inputs that are missing, cannot be read, or hold nothing to predict on do not stop the others.

    Raises:
        DatasetError: ``split`` is given without a manifest, the manifest of the request knows none of the
            images, or two manifests contradict each other.
    """
    found = Inputs()
    known = None if request.manifest is None else known_by(request.manifest, request.split)
    for given in request.inputs:
        path = _as_on_disk(given)
        is_manifest = (path / "manifest.json").is_file() if _is_folder(path) else False
        if request.split is not None and not is_manifest and known is None:
            raise DatasetError(f"{path}: --split needs a manifest folder; make one with 'comoto index'")
        jobs: list[Job] = []
        try:
            jobs = list(
                _of_manifest(path, request) if is_manifest else _of_files(path, request, known, found)
            )
        except OSError as error:
            found.failed[str(path)] = _unopened(path, error)
        except ComotoError as error:
            found.failed[str(path)] = error
        for job in jobs:
            found.add(job)
        if not (jobs or any(_is_below(name, path) for name in found.failed)):
            found.failed[str(path)] = _nothing(path, request, found)
    if known is not None:
        known.report(request.split, len(found.jobs))
    return found


def refuse_missing(request: PredictionRequest) -> None:
    """Refuse a request of which ``collect_jobs`` would find nothing because nothing is where it is named.

    Raises:
        DatasetError: none of the inputs is there, or the manifest is not.
    """
    if request.manifest is not None:
        Manifest.load(request.manifest)
    missing = [path for path in map(_as_on_disk, request.inputs) if _is_missing(path)]
    if missing and len(missing) == len(request.inputs):
        first = _no_such(missing[0])
        raise first if len(missing) == 1 else none_of(len(missing), [first])


def none_of(total: int, errors: Sequence[ComotoError]) -> ComotoError:
    """Return the error of a prediction without a single image; that of an only image is itself."""
    if total == 1:
        return errors[0]
    first = f"; the first: {errors[0]}" if errors else ""
    return DatasetError(f"none of {total} images could be predicted on{first}")


def keys_of(job: Job, header: ImageHeader, laterality: Laterality) -> tuple[str, str, str]:
    """Return (patient, study, view) for output tables; the view is ``lcc``-like."""
    if job.keys is not None:
        return job.keys
    view = (header.view_position or "").lower()
    return header.patient_id, header.study_instance_uid, f"{laterality.value.lower()}{view}"


def _of_manifest(folder: Path, request: PredictionRequest) -> Iterator[Job]:
    manifest = Manifest.load(folder)
    for record in (manifest if request.split is None else manifest.split(request.split)).records():
        if record.modality is request.modality:
            yield _job(record.path, look_at_file(record.path), Known.of(record))


def _of_files(
    path: Path, request: PredictionRequest, known: KnownImages | None, found: Inputs
) -> Iterator[Job]:
    """Yield the images of a file or folder; what a manifest or the data set's tables know comes with them."""
    kinds = list(_search(path, request.modality, found) if path.is_dir() else _named(path))
    if known is None:
        near = known_in(path, kinds) if path.is_dir() else {}
        for kind in kinds:
            yield _job(kind.path, kind, near.get(kind.path))
        return
    for kind in kinds:
        one = known.find(kind)
        if one is None and request.split is not None:
            found.left_out[str(kind.path)] = (
                f"{kind.path}: not in split {request.split.value} of {known.where}"
            )
        else:
            yield _job(kind.path, kind, one)


def _job(path: Path, kind: SourceKind | None, known: Known | None) -> Job:
    if known is None:
        return Job(str(path), path, kind=kind)
    return Job(known.image_id or str(path), path, known.laterality, known.keys, kind)


def _named(path: Path) -> Iterator[SourceKind]:
    """Yield a file; what its content is not good for is found by opening it."""
    if not path.exists():
        raise _no_such(path)
    kind = describe_source(path)
    if kind.content is Content.UNREADABLE:
        raise DicomError(kind.problem)
    yield kind


def _search(folder: Path, modality: Modality, found: Inputs) -> Iterator[SourceKind]:
    """Yield the images of one modality; what is something else is said, and noted in ``found``."""
    others: dict[Content, list[SourceKind]] = {}
    for kind in survey(folder):
        if kind.content in _WANTED[modality]:
            yield kind
        elif _is_broken(kind, modality):
            found.failed[str(kind.path)] = DicomError(kind.problem)
        else:
            others.setdefault(kind.content, []).append(kind)
            found.left_out[str(kind.path)] = (
                kind.problem or f"{kind.path}: not a {_NAMES[modality]} but {kind.content.value}"
            )
    for content, kinds in others.items():
        paths = first_few((kind.path for kind in kinds), most=1)
        say(f"left out, not a {_NAMES[modality]} but {content.value}: {paths}")


def _is_broken(kind: SourceKind, modality: Modality) -> bool:
    """Say whether a file is called an image but cannot be read, or slices make no volume.

    Pictures in other formats are often there.
    """
    if kind.content is Content.SLICE and modality is Modality.TOMOSYNTHESIS:
        return bool(kind.problem)
    return kind.content is Content.UNREADABLE and kind.path.suffix.lower() != ".png"


def _nothing(path: Path, request: PredictionRequest, found: Inputs) -> DatasetError:
    """Return the error of an input without an image, with the way out where other images are in it."""
    others = {Modality.TOMOSYNTHESIS: Modality.MAMMOGRAM, Modality.MAMMOGRAM: Modality.TOMOSYNTHESIS}
    words = [content.value for content in _WANTED[others[request.modality]]]
    is_other = any(
        _is_below(name, path) and reason.endswith(tuple(f" but {word}" for word in words))
        for name, reason in found.left_out.items()
    )
    where = "" if request.split is None else f" in split {request.split.value}"
    hint = f"; {_OTHER_WAY[request.modality]}" if is_other else ""
    return DatasetError(f"{path}: nothing to predict on here{where}{hint}")


def _is_below(name: str, folder: Path) -> bool:
    return Path(name) == folder or folder in Path(name).parents


def _is_folder(path: Path) -> bool:
    """Say whether a path is a folder; where that cannot be told, opening it tells why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_missing(path: Path) -> bool:
    """Say whether there is nothing of this name; where that cannot be told, opening it tells why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _no_such(path: Path) -> DatasetError:
    return DatasetError(f"{path}: {'a link to nowhere' if path.is_symlink() else 'no such file or folder'}")


def _unopened(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{error.filename or path}: cannot be opened ({error.strerror or error})")


def _as_on_disk(path: Path) -> Path:
    """Return a path as the disk spells it: an accent is one character or two, and looks alike.

    A path that is not there comes back as it is.
    """
    if os.path.lexists(path) or path.parent == path:
        return path
    folder = _as_on_disk(path.parent)
    wanted = unicodedata.normalize("NFC", path.name)
    try:
        alike = [one for one in folder.iterdir() if unicodedata.normalize("NFC", one.name) == wanted]
    except OSError:
        return path
    return alike[0] if len(alike) == 1 else path
