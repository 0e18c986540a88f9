"""No name, birth date or accession number leaves a DICOM file: every produced byte is searched.

The exams carry unmistakable values. The whole command line runs over them, also with ``--verbose`` and on
damaged files, and everything that was written or printed is looked through, packed formats unpacked.
"""

import base64
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from demo_parts import finish_demo

from comoto.cli.main import _run
from comoto.config import override
from comoto.records import Manifest
from comoto.report.demo_report import write_report
from comoto.simulation import simulate, sized
from privacy_search import NEEDLES, damage, found_in, give_names, leaks, written_to
from tiny_exams import TINY

SHORT = [*TINY, "schedule.epochs=1", "schedule.steps_per_epoch=2"]
SETTINGS = [word for setting in SHORT for word in ("--set", setting)]
GRID = [word for setting in TINY if setting.startswith("preprocess") for word in ("--set", setting)]


@dataclass(frozen=True)
class Produced:
    """What the command line left behind."""

    folder: Path
    console: str
    codes: dict[str, int]


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
    call("evaluate", "evaluate", "--predictions", demo / "predictions/comoto.csv", "--manifest",
         demo / "manifests/bcs-dbt", "--json", "e.json", "--figure", "froc.svg")  # fmt: skip
    call("report", "report", "--manifest", demo / "manifests/bcs-dbt", "--predictions",
         demo / "predictions/comoto.csv", "--run", demo / "runs/comoto", "--out", "own.html")  # fmt: skip
    write_report(demo)
    broken = exams / "broken"
    broken.mkdir()
    for number, damaged in enumerate(damage(volume.read_bytes())):
        path = broken / f"{number}.dcm"
        path.write_bytes(damaged)
        call(f"broken {number}", "predict", path, "--model", "student", "--out", f"broken{number}.csv")
    table.write_text("path,patient_id,view,laterality\n" + "".join(f"{k}.dcm,P{k},CC,L\n" for k in range(5)))
    call("index broken", "index", "csv", broken, "--tables", table, "--out", out / "broken")
    manifest = Manifest.load(demo / "manifests/bcs-dbt")
    paths = [str(broken / f"{number % 5}.dcm") for number in range(len(manifest))]
    replace(manifest, images=manifest.images.assign(path=paths)).save(out / "manifest")
    call("prepare broken", "prepare", "--manifest", out / "manifest", "--out", out / "none")


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


@pytest.mark.slow
def test_the_commands_did_their_work(produced: Produced) -> None:
    failed = {name for name, code in produced.codes.items() if code != 0}
    assert failed == {*(f"broken {number}" for number in range(5)), "prepare broken"}, produced.console
    assert all(produced.codes[name] == 2 for name in failed)
    kinds = {path.suffix for path in produced.folder.rglob("*") if path.is_file()}
    assert {".npy", ".parquet", ".json", ".csv", ".html", ".png", ".svg", ".safetensors"} <= kinds


@pytest.mark.slow
def test_no_file_carries_a_value(produced: Produced) -> None:
    assert leaks(produced.folder) == []


@pytest.mark.slow
def test_nothing_that_was_printed_carries_a_value(produced: Produced) -> None:
    assert "Traceback" in produced.console  # --verbose shows where an error was raised
    assert found_in(produced.console) == []
