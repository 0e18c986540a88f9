"""Damage each kind of file that the package writes and reads again, and count what becomes of it.

Each trial flips one bit of a healthy file, or cuts it (every fifth), decided by ``--seed`` and the trial's
number alone, and reads what the package reads of it. The content must come out as it was, or be refused with
one error of the package that names the file. Everything else is a finding: other content without a word,
another exception, an error without the file's name. The exit code is then 1.

A kind is a row of ``KINDS``: how to make a healthy folder, which of its files are damaged, and how they are
read, as values that can be compared.

Run: python fuzz/damage.py --count 200 [--kind "planes" --kind ...]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from exams import write_exams
from kept_files import RUN, read_checkpoint, read_study, small_checkpoint, small_study
from predicting import (
    continued_prediction,
    exported_student,
    interrupted_prediction,
    loaded_student,
)
from run_folders import read_run, small_run

from comoto.errors import ComotoError

GOOD = ("same", "refused")
CUT_EVERY = 5


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        make: writes the folder that holds such files.
        files: pattern of the files to damage, relative to the folder.
        read: takes from the folder all that the package takes from these files.
    """

    make: Callable[[Path], Any]
    files: str
    read: Callable[[Path], Any]


def small_exams(folder: Path) -> None:
    """Write two simulated volumes and their manifest."""
    write_exams(folder, "tiny", patients=2, lesion_share=1.0)


def small_store(folder: Path) -> None:
    """Write a prepared store of two volumes."""
    from comoto.config import PreprocessConfig
    from comoto.preprocessing import prepare
    from comoto.records import Manifest

    small_exams(folder)
    grid = PreprocessConfig(rows=64, columns=32)
    prepare(Manifest.load(folder / "manifest"), folder / "store", grid, workers=1)


def read_manifest(folder: Path) -> Any:
    """Return all of a manifest."""
    from comoto.records import Manifest

    manifest = Manifest.load(folder / "manifest")
    return manifest.name, list(map(repr, manifest.records())), manifest.notes, manifest.dropped


def read_store(folder: Path) -> Any:
    """Return all that training and prediction take from a store."""
    from comoto.preprocessing import PreparedStore

    store = PreparedStore(folder / "store")
    planes = [
        (name, store.plane(name, number).tobytes())
        for name in store.image_ids
        for number in range(len(store.slice_indices(name)))
    ]
    infos = [(repr(store.record(name)), store.info(name).to_json()) for name in store.image_ids]
    return store.config, store.options, infos, planes


def read_notes(folder: Path) -> Any:
    """Return what a preparation knows about the images of a store that is there."""
    from comoto.preprocessing.store_folder import read_note_file

    return [read_note_file(path) for path in sorted((folder / "store" / "images").iterdir())]


def small_prediction(folder: Path) -> None:
    """Write two volumes and the journal of a prediction that was interrupted after the first."""
    small_exams(folder)
    interrupted_prediction(folder)


KINDS = {
    "manifest: manifest.json": Kind(small_exams, "manifest/manifest.json", read_manifest),
    "manifest: images": Kind(small_exams, "manifest/images.parquet", read_manifest),
    "manifest: lesions": Kind(small_exams, "manifest/lesions.parquet", read_manifest),
    "store: settings": Kind(small_store, "store/store.json", read_store),
    "store: manifest": Kind(small_store, "store/manifest/[!s]*", read_store),
    "store: notes on images": Kind(small_store, "store/images/*.json", read_notes),
    "store: descriptions of planes": Kind(small_store, "store/planes/*/*.json", read_store),
    "store: planes": Kind(small_store, "store/planes/*/*.npy", read_store),
    "run: state": Kind(small_run, "run/state.pt", read_run),
    "run: run.json": Kind(small_run, "run/run.json", read_run),
    "run: settings": Kind(small_run, "run/config.yaml", read_run),
    "run: patients": Kind(small_run, "run/split.json", read_run),
    "run: log": Kind(small_run, "run/log.csv", read_run),
    "run: proposals": Kind(small_run, "run/proposals/*.json", read_run),
    "checkpoint: checkpoint.json": Kind(small_checkpoint, "run/checkpoint.json", read_checkpoint),
    "checkpoint: weights": Kind(small_checkpoint, "run/model.safetensors", read_checkpoint),
    "study: complete runs": Kind(small_study, "study/students/**/done.json", read_study),
    "study: order of a worker": Kind(small_study, f"study/{RUN}/spec.json", read_study),
    "study: predictions": Kind(small_study, "study/students/**/predictions.csv", read_study),
    "study: test volumes": Kind(small_study, "study/*.csv", read_study),
    "study: checksums": Kind(small_study, "study/test.json", read_study),
    "prediction: journal": Kind(small_prediction, "predictions.csv.journal", continued_prediction),
    "exported model": Kind(exported_student, "student.onnx", loaded_student),
}


def damaged(data: bytes, generator: np.random.Generator, cut: bool) -> bytes:
    """Return the content with one flipped bit, or without its end."""
    position = int(generator.integers(len(data)))
    if cut:
        return data[:position]
    bit = 1 << int(generator.integers(8))
    return data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :]


def outcome(kind: Kind, folder: Path, path: Path, expected: Any) -> str:
    """Read a folder that holds a damaged file and say what became of it."""
    try:
        found = kind.read(folder)
    except ComotoError as error:
        return "refused" if path.name in str(error) else f"the error does not name the file: {error}"
    except Exception as error:  # noqa: BLE001 -- this is what is looked for
        return f"{type(error).__name__}: {error}"
    return "same" if found == expected else "other content without a word"


def trial(kind: Kind, folder: Path, expected: Any, generator: np.random.Generator, cut: bool) -> str:
    """Damage one file of a folder, read, and put the file back."""
    paths = sorted(folder.glob(kind.files))
    path = paths[int(generator.integers(len(paths)))]
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, generator, cut))
    try:
        return outcome(kind, folder, path, expected)
    finally:
        path.write_bytes(whole)


def main() -> int:
    """Damage, read, count and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="trials of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="all if not given")
    arguments = parser.parse_args()
    findings = 0
    with tempfile.TemporaryDirectory() as name:

        @cache
        def made(make: Callable[[Path], Any]) -> Path:
            folder = Path(name) / make.__name__
            make(folder)
            return folder

        print(f"| kind | {' | '.join(GOOD)} | findings |\n|---|---:|---:|---:|")
        for title in arguments.kind or KINDS:
            kind = KINDS[title]
            folder = Path(name) / "damaged"
            shutil.copytree(made(kind.make), folder)
            expected, counts = kind.read(folder), Counter[str]()
            for number in range(arguments.count):
                generator = np.random.default_rng([arguments.seed, number, len(title)])
                cut = number % CUT_EVERY == CUT_EVERY - 1
                found = trial(kind, folder, expected, generator, cut)
                counts[found if found in GOOD else "finding"] += 1
                if found not in GOOD:
                    print(f"  trial {number} of '{title}': {found[:300]}", flush=True)
            findings += counts["finding"]
            print(f"| {title} | {counts['same']} | {counts['refused']} | {counts['finding']} |", flush=True)
            shutil.rmtree(folder)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
