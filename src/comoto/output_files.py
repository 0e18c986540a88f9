"""Output files: never overwritten by accident, never left half-written.

A file or a folder is written beside its place under a hidden name that nobody can foresee,
``.<name>.<random>.part``, and gets its own name when it is complete.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of

PART = ".part"
_MOST_OF_NAME = 40  # letters; with the rest at most 174 bytes in UTF-8, where file systems allow 255


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Check before the work starts that every file may be written.

    Raises:
        OutputExistsError: a path is a folder, or exists and ``overwrite`` is false.
    """
    for path in paths:
        if path.is_dir():
            raise OutputExistsError(f"{path}: is a folder; name a file in it")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists; choose another name, or add --overwrite")


def refuse_inputs_as_outputs(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Check before the work starts that nothing is written over what is read, nor over another output.

    Args:
        outputs: files or folders that will be written; None is passed over.
        inputs: files or folders that will be read; None is passed over.

    Raises:
        OutputExistsError: an output is an input, is a folder that holds one, or is named twice.
    """
    read = {os.path.realpath(path) for path in inputs if path is not None}
    seen: set[str] = set()
    for path in outputs:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in read:
            raise OutputExistsError(f"{path}: is one of the inputs and would be lost; choose another output")
        if place in seen:
            raise OutputExistsError(f"{path}: is named for two outputs; choose another name for one of them")
        if path.is_dir() and any(Path(place) in Path(other).parents for other in read):
            raise OutputExistsError(f"{path}: holds an input, which would be lost; choose another folder")
        seen.add(place)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path to write to; it becomes ``path`` if the block ends well, else nothing is left.

    Folders are made. The yielded name does not keep the suffix, so that a reader of the folder never takes
    an unfinished file for a finished one; tell writers that choose the format by it.

    Raises:
        OutputExistsError: a file stands where a folder is needed.
        OSError: the disk is full, or the folder cannot be written to; ``filename`` is set.
    """
    _make_folder_of(path)
    part = new_part(path)
    try:
        with naming(path):
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def output_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield the path to write to, like ``atomic_write``, for a file that a user names.

    One command writes it at a time, and what a killed one left of it is removed.

    Args:
        path: the file.
        overwrite: let it take the place of a file that has come meanwhile.

    Raises:
        OutputExistsError: another command is writing it; or it exists and ``overwrite`` is false; or a file
            stands where a folder is needed.
        OSError: the disk is full, or the folder cannot be written to; ``filename`` is set.
    """
    _make_folder_of(path)
    place = path.resolve()
    with hold(
        lock_of(place), f"{path}: another command is writing it; wait for its end, or choose another name"
    ):
        sweep_parts_of(path)
        refuse_existing([path], overwrite)
        with atomic_write(path) as part:
            yield part


def output_files(contents: Mapping[Path, bytes], overwrite: bool) -> None:
    """Write files that a user names, each with ``output_file``: all, or none if one cannot be written."""
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(output_file(path, overwrite)).write_bytes(content)


def _make_folder_of(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputExistsError(
            f"{path.parent}: cannot be made, a file of that name is in the way; choose another place"
        ) from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of writing to an open file, such as on a full disk, the file's name, which they lack."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise _named(error, path) from error
        raise


def no_link(path: str, flags: int) -> int:
    """Open a file as the ``opener`` of ``open``: what is appended to must not be a link that was planted.

    Raises:
        OSError: the file is a symbolic link, or cannot be opened.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def new_part(path: Path) -> Path:
    """Make the empty, hidden file in which the content of ``path`` is written.

    It is new and no link, whatever somebody planted in the folder.

    Raises:
        OSError: the folder cannot be written to.
    """
    return _made(path, lambda part: os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)))


@contextmanager
def atomic_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder to write to; it becomes ``folder`` if the block ends well, else nothing is left.

    Folders above are made. A link to a folder stays, and what it leads to is replaced.

    Args:
        folder: of the result.
        overwrite: let the result take the place of what is in ``folder`` then.

    Raises:
        OutputExistsError: another process is writing it, or it is not empty and ``overwrite`` is false.
        OSError: a folder cannot be written to.
    """
    place = folder.resolve()
    busy = f"{folder}: another command is writing it; wait for its end, or choose another folder"
    with hold(lock_of(place), busy):
        part = _made(place, Path.mkdir)
        try:
            with _named_in(folder, part):
                yield part
            if not overwrite and place.exists() and any(place.iterdir()):
                raise OutputExistsError(f"{folder}: is not empty any more; choose another folder")
            with _out_of_the_way(place):
                part.replace(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _named_in(folder: Path, part: Path) -> Iterator[None]:
    """Give errors of writing in ``part``, as on a full disk, the name that the file has in ``folder``."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if path is None or not path.is_relative_to(part):
            raise
        raise _named(error, folder / path.relative_to(part)) from error


@contextmanager
def _out_of_the_way(place: Path) -> Iterator[None]:
    """Give a folder, if there is one, a hidden name while the block runs, and remove it if that ends well."""
    if not place.exists():
        yield
        return
    former = _made(place, Path.mkdir)
    try:
        place.replace(former)  # a killed command leaves it there, under its hidden name
    except OSError:
        former.rmdir()
        raise
    yield
    shutil.rmtree(former)


def refuse_working_folder(folder: Path) -> None:
    """Check before the work starts that ``atomic_folder`` would not take away the folder one stands in.

    Raises:
        OutputExistsError: it is the working folder, or holds it.
    """
    here = Path.cwd().resolve()
    if folder.resolve() in (here, *here.parents):
        raise OutputExistsError(
            f"{folder}: is the working folder or holds it, and is written as a whole; name a folder in it"
        )


def folder_above(path: Path) -> Path:
    """Return the nearest folder above a path that is there.

    Raises:
        OutputExistsError: it is no folder.
    """
    above = path.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise OutputExistsError(f"{above}: is no folder, so nothing can be below it; choose another --out")
    return above


def refuse_folder(folder: Path, what: str, own: Collection[str], overwrite: bool) -> None:
    """Check before the work starts that a folder may be written whole (``atomic_folder``).

    Args:
        folder: new or empty; with ``overwrite`` also one that holds nothing but an earlier result.
        what: that will be in it, such as ``a manifest``.
        own: names of the files and folders of such a result.
        overwrite: an earlier result may be replaced.

    Raises:
        OutputExistsError: the folder holds something else, or cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file; name a folder")
    refuse_working_folder(folder)
    above = folder_above(folder)  # the folder is replaced whole, so what counts is where it lies
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputExistsError(f"{folder}: cannot be made, {above} is read-only; choose another folder")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and not overwrite:
        raise OutputExistsError(f"{folder}: is not empty; choose another folder, or add --overwrite")
    foreign = sorted(names - set(own))
    if foreign:
        raise OutputExistsError(f"{folder}: holds more than {what} ({foreign[0]}); choose another folder")


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    """Make something beside ``path`` under a hidden name that nothing has."""
    while True:
        part = path.with_name(f".{path.name[:_MOST_OF_NAME]}.{secrets.token_hex(4)}{PART}")
        try:
            make(part)
        except FileExistsError:
            continue
        return part


def sweep_parts(folder: Path) -> None:
    """Remove the unfinished files that killed commands left in a folder, former names included.

    Only for one who holds the folder's lock.
    """
    for path in folder.glob(f"*{PART}"):
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)


def sweep_parts_of(path: Path) -> None:
    """Remove the unfinished files that killed commands left of one output file.

    Only for one who holds the file's lock.
    """
    for part in path.parent.glob(f".{escape(path.name[:_MOST_OF_NAME])}.????????{PART}"):
        part.unlink(missing_ok=True)


def _named(error: OSError, path: Path) -> OSError:
    """Return the error with the file's name; some writers (pydicom) wrap the system's error in another."""
    cause = error
    while cause.errno is None and isinstance(cause.__cause__, OSError):
        cause = cause.__cause__
    return OSError(cause.errno or errno.EIO, cause.strerror or str(cause), str(path))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``atomic_write``."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: Mapping[str, Any], one_line: Collection[str] = ()) -> None:
    """Write a JSON object with ``atomic_write``.

    Args:
        path: the file.
        content: its object.
        one_line: keys whose lists of numbers, which are long and many, stand on one line each.
    """
    text = json.dumps(content, indent=1)
    for key in one_line:
        # no text can look like this: its quotes would be escaped
        numbers = rf'(?<="{key}": \[)[^][{{}}"]*(?=\])'
        text = re.sub(numbers, lambda found: " ".join(found[0].split()), text)
    write_text(path, text + "\n")
