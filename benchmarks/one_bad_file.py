"""A few bad files among many: are exactly these named, and are all others prepared?

Writes small mammograms and volumes of three slices, breaks some of them in different ways at known places,
and runs ``comoto index csv`` and ``comoto prepare`` over all of them. Ends with exit code 1 if a bad file is
not named, a good one is, or a good one is missing in the store.

Run: python benchmarks/one_bad_file.py [--files 1000] [--every 83] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from comoto.preprocessing import PreparedStore
from comoto.records import Manifest

ROWS, COLUMNS, SLICES = 96, 64, 3
MAMMOGRAM, VOLUME = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.3"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def healthy(number: int) -> FileDataset:
    """A half disc of tissue whose grey value depends on the number; every third file is a volume."""
    frames = SLICES if number % 3 == 0 else 1
    y, x = np.mgrid[:ROWS, :COLUMNS]
    inside = x**2 + (y - ROWS / 2) ** 2 < (COLUMNS * 0.7) ** 2
    noise = np.random.default_rng(number).integers(0, 20, (frames, ROWS, COLUMNS))
    pixels = np.where(inside, 300 + number % 500 + noise, noise).astype(np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEG_2000
    meta.MediaStorageSOPClassUID = VOLUME if frames > 1 else MAMMOGRAM
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, f"1.2.3.{number + 1}"
    dataset.PatientID, dataset.PatientName, dataset.Modality = f"P{number:04d}", "Nobody", "MG"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = ROWS, COLUMNS, frames
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 10, 9, 0
    if frames > 1:
        dataset.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(frames)]
    streams = [
        imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", bitspersample=10) for frame in pixels
    ]
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].is_undefined_length = True
    return dataset


def write(path: Path, dataset: FileDataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset)


def changed(**tags: object) -> Callable[[Path], None]:
    """Break a file by its header."""

    def apply(path: Path) -> None:
        dataset = healthy(int(path.stem))
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        write(path, dataset)

    return apply


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 55 // 100])


def other_syntax(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(JPEG_2000.encode(), b"1.2.840.10008.1.2.4.94", 1))


def stream_without_size(path: Path) -> None:
    content = path.read_bytes()
    start = content.index(b"\xff\x4f\xff\x51")
    path.write_bytes(content[: start + 2] + b"\0" * 40 + content[start + 42 :])


def stream_of_other_size(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\x4f\xff\x51")
    content[start + 8 : start + 12] = (16000).to_bytes(4, "big")
    path.write_bytes(bytes(content))


def overlong_element(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"PN\x06\0", b"PN\xf0\xff", 1))


BREAKAGES: dict[str, Callable[[Path], None]] = {
    "cut at 55 %": cut,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"this is no image\n" * 100),
    "no pixels": changed(PixelData=None),
    "too many frames stated": changed(NumberOfFrames=40),
    "rows and columns of 65,535": changed(Rows=65535, Columns=65535),
    "rows and columns exchanged": changed(Rows=COLUMNS, Columns=ROWS),
    "colour stated": changed(SamplesPerPixel=3, PhotometricInterpretation="RGB"),
    "transfer syntax not read": other_syntax,
    "JPEG 2000 header overwritten": stream_without_size,
    "JPEG 2000 header of 16,000 columns": stream_of_other_size,
    "name claims 65,520 bytes": overlong_element,
}


def write_files(root: Path, count: int, every: int) -> dict[str, str]:
    """Write the files and the table; return what is bad, by path in the table."""
    names = list(BREAKAGES)
    bad: dict[str, str] = {}
    rows = []
    for number in range(count):
        name = f"{number % 10}/{number:05d}.dcm"
        write(root / name, healthy(number))
        if number % every == every // 2:
            kind = names[len(bad) % len(names)]
            BREAKAGES[kind](root / name)
            bad[name] = kind
        modality = "tomosynthesis" if number % 3 == 0 else "mammogram"
        rows.append((name, f"P{number:04d}", f"S{number:04d}", "CC", "L", modality))
    columns = ["path", "patient_id", "study_id", "view", "laterality", "modality"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "images.csv", index=False)
    return bad


def comoto(*words: object) -> tuple[int, str]:
    line = [sys.executable, "-m", "comoto", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--every", type=int, default=83, help="one bad file in so many")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder) / "hospital", Path(folder)
        bad = write_files(root, given.files, given.every)
        started = time.perf_counter()
        code, said = comoto("index", "csv", root, "--set", "headers=all", "--out", out / "manifest")
        print(f"comoto index csv: exit code {code}")
        dropped = Manifest.load(out / "manifest").dropped if code == 0 else (said,)
        by_index = {name for name in bad if any(name in line for line in dropped)}
        grid = ("--set", "preprocess.rows=64", "--set", "preprocess.columns=32")
        place = ("--manifest", out / "manifest", "--out", out / "store", "--workers", given.workers)
        code, _ = comoto("prepare", *place, *grid)
        broken = json.loads((out / "store" / "broken.json").read_text()) if code else {}
        print(f"comoto prepare: exit code {code}")
        again, said = comoto("prepare", *place, *grid, "--skip-broken")
        prepared = set(PreparedStore(out / "store").image_ids) if again == 0 else set()
        print(f"comoto prepare --skip-broken: exit code {again}\n{said if again else ''}")
        for name, kind in bad.items():
            where = "index" if name in by_index else "prepare" if name in broken else "NOBODY"
            print(f"  {name}: {kind}: named by {where}")
        good = given.files - len(bad)
        named = by_index | set(broken)
        exact = named == set(bad) and len(dropped) == len(by_index) and prepared.isdisjoint(bad)
        passed = exact and len(prepared) == good
        took, cpu = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{given.files} files, {len(bad)} bad: {len(named & set(bad))} of these and "
            f"{len(named - set(bad))} others named, {len(prepared)} of {good} good ones prepared; "
            f"{took:.0f} s, {cpu.ru_utime + cpu.ru_stime:.0f} s of processor time"
        )
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
