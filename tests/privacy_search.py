"""Unmistakable names, birth dates and numbers, and the search for them in every byte that was produced."""

import base64
import io
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pydicom
import pytest

TAGS = {
    "PatientName": "Zzyquaint^Petronella",
    "OtherPatientNames": "Zzyquaint^Ottoline",
    "PatientBirthDate": "19010203",
    "PatientBirthName": "Wqxmaiden",
    "PatientMotherBirthName": "Wqxmother",
    "PatientAddress": "Vvkroad 17",
    "PatientTelephoneNumbers": "0771-998811",
    "AccessionNumber": "ACC7788QX",
    "ReferringPhysicianName": "Xylohphon^Doctor",
    "PerformingPhysicianName": "Xylohphon^Reader",
    "OperatorsName": "Jjtechnician",
    "InstitutionName": "Kkqhospital",
    "PatientComments": "Mmzcomment",
}
NEEDLES = (
    "zzyquaint", "petronella", "ottoline", "19010203", "1901-02-03", "03.02.1901", "wqxmaiden", "wqxmother",
    "vvkroad", "0771-998811", "acc7788qx", "xylohphon", "jjtechnician", "kkqhospital", "mmzcomment",
)  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """Yield everything that can be read in a file: as bytes, as UTF-16, and unpacked."""
    yield from readable(path.read_bytes())
    if path.suffix == ".parquet":
        yield pd.read_parquet(path).to_csv()


def readable(data: bytes, depth: int = 3) -> Iterator[str]:
    yield data.decode("latin1")
    yield data.decode("utf-16-le", "ignore")
    if not depth:
        return
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name
                yield from readable(archive.read(name), depth - 1)
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]{16,})", data):
        yield from readable(base64.b64decode(packed), depth - 1)
    for found in re.finditer(rb"(?:zTXt|iTXt)", data):  # packed text in a PNG
        start = data.find(b"\x78", found.start(), found.start() + 100)
        if start >= 0:
            yield zlib.decompressobj().decompress(data[start:], 10**6).decode("latin1")


def found_in(text: str) -> list[str]:
    lowered = text.lower()
    return [needle for needle in NEEDLES if needle in lowered]


def leaks(folder: Path) -> list[str]:
    """Name every file in which a needle is, or whose name is one."""
    return [
        f"{path.relative_to(folder)}: {needle}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for text in (str(path.relative_to(folder)), *texts(path))
        for needle in found_in(text)
    ]


def give_names(root: Path) -> None:
    """Write the tags into every image."""
    for path in root.rglob("*.dc*m*"):
        dataset = pydicom.dcmread(path)
        for keyword, value in TAGS.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


@contextmanager
def written_to(log: Path, folder: Path) -> Iterator[Path]:
    """Work in a folder, with both outputs of this process and of its workers in a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    before, kept = Path.cwd(), [os.dup(1), os.dup(2)]
    with log.open("wb") as file, pytest.MonkeyPatch.context() as patch:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        streams = [open(number, "w", buffering=1, closefd=False) for number in (1, 2)]  # noqa: SIM115
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        os.chdir(folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                yield log
        finally:
            os.chdir(before)
            for number, old in zip((1, 2), kept, strict=True):
                streams[number - 1].flush()
                os.dup2(old, number)
                os.close(old)


def damage(whole: bytes) -> list[bytes]:
    """Return damaged copies: cut, names of impossible length or characters, a name where a number belongs."""
    name = whole.index(b"Zzyquaint^Petronella")
    rows = whole.index(b"\x28\x00\x10\x00US")
    return [
        whole[: len(whole) // 2],
        whole[: name + 9],
        whole[: name - 2] + b"\xff\x7f" + whole[name:],
        whole[: name - 2] + b"\x03\x00" + whole[name:],
        whole[:rows] + b"\x28\x00\x10\x00PN\x0a\x00Zzyquaint^" + whole[rows + 10 :],
    ]
