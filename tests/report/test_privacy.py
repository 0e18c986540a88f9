"""No name, birth date or accession number leaves a DICOM file: every produced byte is searched.

The exams carry unmistakable values. The whole command line runs over them, also with ``--verbose`` and on
damaged files, and everything that was written or printed is looked through, packed formats unpacked.
"""

import base64
import io
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from demo_parts import finish_demo

from comoto.cli.main import _run
from comoto.config import override
from comoto.report.demo_report import write_report
from comoto.simulation import simulate, sized
from tiny_exams import TINY

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
SHORT = [*TINY, "schedule.epochs=1", "schedule.steps_per_epoch=2"]
SETTINGS = [word for setting in SHORT for word in ("--set", setting)]
GRID = [word for setting in TINY if setting.startswith("preprocess") for word in ("--set", setting)]


@dataclass(frozen=True)
class Produced:
    """What the command line left behind."""

    folder: Path
    console: str
    codes: dict[str, int]


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


@pytest.fixture(scope="module")
def exams_with_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    wanted = [
        "mammography.training_patients=8",
        "mammography.test_patients=2",
        "mammography.lesion_share=0.75",
        "tomosynthesis.train_patients=5",
        "tomosynthesis.validation_patients=2",
        "tomosynthesis.test_patients=2",
        "tomosynthesis.lesion_share=0.8",
    ]
    paths = simulate(folder, override(sized("tiny"), wanted), workers=1)
    give_names(paths.bcs_dbt)
    give_names(paths.vindr_mammo)
    return folder


@pytest.fixture(scope="module")
def produced(exams_with_names: Path, tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """Run every command of the way from files to reports; then everything again on damaged files."""
    out = tmp_path_factory.mktemp("produced")
    codes: dict[str, int] = {}

    def call(name: str, *words: object) -> None:
        sys.stderr.write(f"$ {name}\n")
        codes[name] = _run(["-v", *map(str, words)])

    with written_to(tmp_path_factory.mktemp("console") / "log", out) as log:
        run_everything(exams_with_names, out, call)
    return Produced(out, log.read_text(errors="replace"), codes)


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


def run_everything(exams: Path, out: Path, call: Callable[..., None]) -> None:
    """Call every command of the way, on whole files and on damaged ones."""
    dbt, mammograms = exams / "bcs-dbt", exams / "vindr-mammo"
    volume, mammogram = sorted(dbt.rglob("*.dcm"))[0], sorted(mammograms.rglob("*.dicom"))[0]
    demo = out / "demo"
    for name, root in (("bcs-dbt", dbt), ("vindr-mammo", mammograms)):
        call(f"index {name}", "index", name, root, "--out", demo / "manifests" / name)
        call(f"prepare {name}", "prepare", "--manifest", demo / "manifests" / name,
             "--out", demo / "prepared" / name, "--preset", "demo", *GRID)  # fmt: skip
        call(f"inspect {name}", "inspect", demo / "prepared" / name, "--out", f"{name}.html", "--cases", 4)
    table = out / "images.csv"
    table.write_text(f"path,patient_id,view,laterality\n{mammogram.relative_to(mammograms)},P1,CC,L\n")
    call("index csv", "index", "csv", mammograms, "--tables", table, "--out", out / "csv")
    call("draw a file", "draw", volume, "--out", "file.png")
    image = pd.read_parquet(demo / "manifests/bcs-dbt/images.parquet")["image_id"][0]
    call(
        "draw an image", "draw", "--manifest", demo / "manifests/bcs-dbt", "--image", image, "--out", "a.png"
    )
    stores = "--mammograms", demo / "prepared/vindr-mammo", "--preset", "demo", *SETTINGS
    call("train teacher", "train", "teacher", *stores, "--out", "teacher")
    call("train student", "train", "student", "--tomosynthesis", demo / "prepared/bcs-dbt", *stores,
         "--teacher", out / "teacher", "--set", "distill.kind=lesion_points", "--out", "student")  # fmt: skip
    call("predict files", "predict", volume, "--model", "student", "--out", "bare.csv", "--slice-step", 8)
    call("predict mammograms", "predict", demo / "manifests/vindr-mammo", "--model", "teacher",
         "--mammograms", "--out", "mammograms.csv")  # fmt: skip
    call("doctor", "doctor", demo / "prepared/vindr-mammo", "--model", "teacher", "--dicom", volume)
    finish_demo(demo, SHORT, min_hit_radius=5.3, fraction=0.5, bootstrap=20)
    call("evaluate", "evaluate", "--predictions", demo / "predictions/comoto.csv", "--labels",
         demo / "evaluation/labels.csv", "--boxes", demo / "evaluation/boxes.csv", "--json", "e.json",
         "--figure", "froc.svg")  # fmt: skip
    write_report(demo)
    broken = exams / "broken"
    broken.mkdir()
    for number, damaged in enumerate(damage(volume.read_bytes())):
        path = broken / f"{number}.dcm"
        path.write_bytes(damaged)
        call(f"broken {number}", "predict", path, "--model", "student", "--out", f"broken{number}.csv")
    table.write_text("path,patient_id,view,laterality\n" + "".join(f"{k}.dcm,P{k},CC,L\n" for k in range(5)))
    call("index broken", "index", "csv", broken, "--tables", table, "--out", out / "broken")
    images = pd.read_parquet(demo / "manifests/bcs-dbt/images.parquet")
    images["path"] = [str(broken / f"{number % 5}.dcm") for number in range(len(images))]
    (out / "manifest").mkdir()
    images.to_parquet(out / "manifest/images.parquet")
    for name in ("lesions.parquet", "manifest.json"):
        (out / "manifest" / name).write_bytes((demo / "manifests/bcs-dbt" / name).read_bytes())
    call("prepare broken", "prepare", "--manifest", out / "manifest", "--out", out / "none")


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


def test_the_search_finds_what_it_looks_for(exams_with_names: Path, tmp_path: Path) -> None:
    """The inputs hold every value, and a value hidden in any produced format would be found."""
    everything = "\n".join(path.read_bytes().decode("latin1") for path in exams_with_names.rglob("*.dcm"))
    assert set(found_in(everything)) == set(NEEDLES) - {"1901-02-03", "03.02.1901"}
    frame = pd.DataFrame({"a": ["Zzyquaint"] * 50})
    frame.to_parquet(tmp_path / "a.parquet", compression="gzip")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", "ACC7788QX" * 20)
    hidden = base64.b64encode(b"<svg>petronella</svg>").decode()
    (tmp_path / "a.html").write_text(f'<img src="data:image/svg+xml;base64,{hidden}">')
    (tmp_path / "a.npy").write_bytes("19010203".encode("utf-16-le"))
    (tmp_path / "Jjtechnician.txt").write_text("")
    assert {line.split(":")[0] for line in leaks(tmp_path)} == {
        "a.parquet", "a.zip", "a.html", "a.npy", "Jjtechnician.txt",
    }  # fmt: skip


def test_the_commands_did_their_work(produced: Produced) -> None:
    failed = {name for name, code in produced.codes.items() if code != 0}
    assert failed == {*(f"broken {number}" for number in range(5)), "prepare broken"}, produced.console
    assert all(produced.codes[name] == 2 for name in failed)
    kinds = {path.suffix for path in produced.folder.rglob("*") if path.is_file()}
    assert {".npy", ".parquet", ".json", ".csv", ".html", ".png", ".svg", ".safetensors"} <= kinds


def test_no_file_carries_a_value(produced: Produced) -> None:
    assert leaks(produced.folder) == []


def test_nothing_that_was_printed_carries_a_value(produced: Produced) -> None:
    assert "Traceback" in produced.console  # --verbose shows where an error was raised
    assert found_in(produced.console) == []
