"""Every image below a folder, each once: a stack of single-frame files is one image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from comoto.errors import DicomError
from comoto.sources.dicom_content import Content, DicomContent, dicom_content, is_dicom
from comoto.sources.folder import FolderContent, State, folder_state, group
from comoto.sources.open import SourceKind, describe_alone, describe_source, describe_stack
from comoto.sources.walk import walk

_DICOM_SUFFIXES = (".dcm", ".dicom", ".dic")
_OTHER_SUFFIXES = (".mhd", ".png")


def survey(root: Path) -> Iterator[SourceKind]:
    """Describe the images in a folder and its sub-folders, in a fixed order.

    DICOM files are known by their mark and not by their name; a file that is called ``.dcm`` and is none
    counts as unreadable. A folder whose single-frame files make one stack, beside which only flat pictures
    lie, is one image under the folder's path. Of several stacks each has the path of its first file. Links
    to folders are followed, each folder is entered once. What cannot be opened is unreadable too: a folder, a
    file, a link to nowhere that has the name of an image.

    Args:
        root: a folder.
    """
    locked: list[OSError] = []
    for folder, names in walk(root, locked.append):
        yield from _locked(locked)
        if not names and folder.suffix.lower() in _DICOM_SUFFIXES and not any(folder.iterdir()):
            yield _unreadable(folder, "an empty folder that is called like a file")
        yield from _survey_folder(folder, names)
    yield from _locked(locked)


def _locked(errors: list[OSError]) -> Iterator[SourceKind]:
    """Yield the folders that could not be listed, and forget them."""
    for error in errors:
        yield _unreadable(Path(error.filename), f"cannot be opened ({error.strerror or error})")
    errors.clear()


def _unreadable(path: Path, reason: str) -> SourceKind:
    return SourceKind(path, Content.UNREADABLE, 0, f"{path}: {reason}")


def _survey_folder(folder: Path, names: list[str]) -> Iterator[SourceKind]:
    state = _state_of(folder)
    found: list[DicomContent] = []
    for path in (folder / name for name in names):
        one = _look_at(path)
        if isinstance(one, DicomContent):
            found.append(one)
        elif one is not None:
            yield one
    if found:
        yield from _survey_dicom(group(folder, found), state)


def _state_of(folder: Path) -> State | None:
    """Return the state of a folder; None where its files can be listed and not looked at."""
    try:
        return folder_state(folder)
    except DicomError:
        return None


def _look_at(path: Path) -> DicomContent | SourceKind | None:
    """Return what a name in a folder is; None for what is no image and is not called like one."""
    suffix = path.suffix.lower()
    try:
        if not path.is_file():
            is_lost = path.is_symlink() and suffix in (*_DICOM_SUFFIXES, *_OTHER_SUFFIXES, "")
            return _unreadable(path, f"a link to nowhere ({path.readlink()})") if is_lost else None
        if is_dicom(path):
            return dicom_content(path)
    except DicomError as error:
        return SourceKind(path, Content.UNREADABLE, 0, str(error))
    except OSError as error:  # names can be listed here, and nothing more
        return _unreadable(path, f"cannot be opened ({error.strerror or error})")
    if suffix in _DICOM_SUFFIXES:
        return _unreadable(path, "not a DICOM file (no 'DICM' after the preamble)")
    return describe_source(path) if suffix in _OTHER_SUFFIXES else None


def _survey_dicom(content: FolderContent, state: State | None) -> Iterator[SourceKind]:
    for stack in content.volumes:
        yield describe_stack(content, stack, state)
    if content.volumes:
        for stack in content.stacks:
            if len(stack.files) == 1:
                yield SourceKind(stack.files[0].path, Content.SLICE, 1)
    elif content.stacks:
        try:
            content.only()
            problem = ""
        except DicomError as error:
            problem = str(error)
        yield SourceKind(content.folder, Content.SLICE, int(len(content.stacks) == 1), problem)
    of_name = {one[0]: (one,) for one in state or ()}
    for one in content.others:
        yield describe_alone(one.path, one, of_name.get(one.path.name))
