"""No name, birth date or accession number of a release passes through, of headers and of tables alike.

Tiny releases with the layout of the real ones carry unmistakable values in every DICOM file, in additional
columns and keys of their tables and JSON files, and where a reader looks for something else. Each is indexed,
prepared, inspected and predicted on with ``-v``; every byte that was written or printed is searched.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from releases_cbis_ddsm import CbisTree, Finding
from releases_cbis_ddsm import everyday as films
from releases_cmmd import CmmdTree, outline
from releases_inbreast import InbreastTree
from releases_inbreast import everyday as mammograms
from releases_omidb import OmidbTree, mark
from releases_victre import VictreTree

from comoto.cli.main import _run
from comoto.config import load_train_config
from comoto.detectors.checkpoint import About, build_detector, save_checkpoint
from comoto.records import Manifest
from privacy_search import NEEDLES, TAGS, damage, found_in, give_names, leaks, texts, written_to
from tiny_exams import TINY

NAME, BORN, ACCESSION = "Zzyquaint^Petronella", "19010203", "ACC7788QX"
GRID = [word for setting in TINY if setting.startswith("preprocess") for word in ("--set", setting)]
VOLUMES = ("victre",)
OPTIONS = {"cmmd": ("--set", "images=all")}


def cmmd(root: Path) -> None:
    tree = CmmdTree(root).write()
    head, *rows = tree.csv.read_text(encoding="utf-8").splitlines()
    lines = [f"{head},PatientName,BirthDate,Accession", *(f"{row},{NAME},{BORN},{ACCESSION}" for row in rows)]
    tree.csv.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    mass = outline("mass", (3.5, 10.25), (9.0, 8.0), (6.0, 20.9))
    tree.annotate("D1-0002", "L", [mass | {"reader": NAME, "PatientBirthDate": BORN}])


def cmmd_wrong(root: Path) -> None:
    cmmd(root)
    tree = CmmdTree(root)
    tree.annotate("D2-0007", "R", [outline("mass", (NAME, 1.0), (2.0, BORN))])  # type: ignore[arg-type]


class NamedFilms(CbisTree):
    """The tables begin with columns that nobody asked for."""

    def write_tables(self) -> None:
        super().write_tables()
        for path in self.root.glob("*.csv"):
            head = path.read_text().replace("patient_id,", "patient_name,birth_date,accession,patient_id,", 1)
            path.write_bytes(head.encode())

    def _row(self, finding: Finding) -> str:
        return f"{NAME},{BORN},{ACCESSION},{super()._row(finding)}"


def cbis_ddsm(root: Path) -> None:
    NamedFilms(root, films()).write()


def cbis_ddsm_wrong(root: Path) -> None:
    cbis_ddsm(root)
    tree = CbisTree(root, films())
    tree.edit("mass", "test", ",RIGHT,MLO,1,", f",RIGHT,MLO,{NAME},")


def inbreast(root: Path) -> None:
    tree = InbreastTree(root, mammograms()).write()
    text = tree.table.read_text(encoding="utf-8")
    tree.table.write_text(text.replace("removed;removed;", f"{NAME};{BORN};"), encoding="utf-8")
    for path in (tree.release / "AllXML").iterdir():
        tree.edit(path, "<key>NumberOfROIs", f"<key>Name</key>\n<string>{NAME}</string>\n<key>NumberOfROIs")


def inbreast_wrong(root: Path) -> None:
    inbreast(root)
    tree = InbreastTree(root, mammograms())
    tree.edit(tree.xml("53582556"), "<string>(38.500000, 50.000000)", f"<string>({NAME}, {BORN})")


def omidb(root: Path) -> None:
    _omidb(root, mark("20", "30", "10", "12", Mass="on", PatientName=NAME))


def omidb_wrong(root: Path) -> None:
    _omidb(root, mark("20", NAME, "10", BORN, Mass="on"))


def _omidb(root: Path, marked: dict[str, object]) -> None:
    tree = OmidbTree(root)
    person = {"Forename": "Petronella", "Surname": "Zzyquaint", "DateOfBirth": "1901-02-03"}
    episode = {
        "EpisodeType": "R",
        "SCREENING": {"L": {"DateTaken": "2012-03-04", "AccessionNumber": ACCESSION}},
        "SURGERY": {"L": {"1": {"DatePerformed": "20120501", "Surgeon": "Xylohphon"}}, "left_opinion": "OM"},
        "LESION": {"L": {"1": {"LesionDescription": "MA", "Comment": "Mmzcomment"}}},
    }
    client = tree.client("demd2", e1=episode | person)
    tree.imagedb[client] |= person
    study = tree.study(client)
    tags = {"t00100010": NAME, "t00100030": BORN, "t00080050": ACCESSION, "t00104000": "Mmzcomment"}
    tree.image(client, study, "CC", "L", [marked], **tags)
    tree.image(client, study, "MLO", "L", **tags)
    other = tree.client("optm10", e1={"EpisodeType": "F", "SCREENING": {"L": {"DateTaken": "20100102"}}})
    tree.image(other, tree.study(other, date="20100102"), "CC", "L", "Normal", **tags)
    tree.write()


def victre(root: Path) -> None:
    tree = VictreTree(root)
    tree.volume("111", "Signal present Zzyquaint", "Dense breast type Mmzcomment 19010203")
    tree.volume("112", "Signal absent", "Fatty Mmzcomment")
    tree.mammogram("113", "Zzyquaint", "Petronella")


def victre_wrong(root: Path) -> None:
    victre(root)
    shared = root / "victre" / "shared"
    tree = VictreTree(root)
    for patient in ("114", "115"):
        tree.volume(patient, "Petronella", "19010203", folder=shared)
        for path in shared.glob("0*.dcm"):
            path.rename(path.with_name(patient + path.name))


WRITERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "cmmd": (cmmd, cmmd_wrong),
    "cbis-ddsm": (cbis_ddsm, cbis_ddsm_wrong),
    "inbreast": (inbreast, inbreast_wrong),
    "omidb": (omidb, omidb_wrong),
    "victre": (victre, victre_wrong),
}


@dataclass(frozen=True)
class Left:
    """What the command line left behind of one release."""

    name: str
    releases: Path
    folder: Path
    broken: Path
    console: str
    codes: dict[str, int]


def write_names(root: Path) -> None:
    """Put the tags into every file, but leave what VICTRE writes into Patient Comments beside the value."""
    comments = {path: str(pydicom.dcmread(path).get("PatientComments", "")) for path in root.rglob("*.dcm")}
    give_names(root)
    for path, words in comments.items():
        dataset = pydicom.dcmread(path)
        dataset.PatientComments = f"{words} {TAGS['PatientComments']}".strip()
        dataset.save_as(path)


def explicit(path: Path) -> bytes:
    """Return a file as explicit little endian, which ``damage`` knows its way about in."""
    dataset, buffer = pydicom.dcmread(path), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a detector that has learnt nothing; it finds boxes all the same."""
    run = tmp_path_factory.mktemp("untrained")
    config = load_train_config("demo", TINY)
    save_checkpoint(run, build_detector(config), config, About("teacher", 1, {}))
    return run


@pytest.fixture(scope="module", params=WRITERS)
def left(request: pytest.FixtureRequest, untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Left:
    name: str = request.param
    releases, out = tmp_path_factory.mktemp("releases"), tmp_path_factory.mktemp("produced")
    codes: dict[str, int] = {}
    what = "--other-modality" if name in VOLUMES else "--mammograms"  # the model is a teacher

    def call(step: str, *words: object) -> None:
        sys.stderr.write(f"$ {step}\n")
        codes[step] = _run(["-v", *map(str, words)])

    for kind, write in zip(("whole", "wrong"), WRITERS[name], strict=True):
        write(releases / kind)
        write_names(releases / kind)
    with written_to(tmp_path_factory.mktemp("console") / "log", out) as log:
        for kind in ("whole", "wrong"):
            manifest, store = out / kind / "manifest", out / kind / "store"
            call(f"{kind} index", "index", name, releases / kind, *OPTIONS.get(name, ()), "--out", manifest)
            if kind == "wrong" and not manifest.is_dir():
                continue
            call(f"{kind} prepare", "prepare", "--manifest", manifest, "--preset", "demo", *GRID,
                 "--out", store)  # fmt: skip
            call(f"{kind} inspect", "inspect", store, "--out", out / kind / "page.html")
            call(f"{kind} predict", "predict", manifest, "--model", untrained, what,
                 "--out", out / kind / "predictions.csv")  # fmt: skip
        call("strict", "index", name, releases / "wrong", "--strict", "--out", out / "strict")
        broken = sorted((releases / "whole").rglob("*.dcm"))[-1]
        for number, damaged in enumerate(damage(explicit(broken))):
            broken.write_bytes(damaged)
            place, options = out / "broken" / str(number), OPTIONS.get(name, ())
            call(f"broken {number}", "index", name, releases / "whole", *options, "--out", place)
            call(f"broken prepare {number}", "prepare", "--manifest", place, "--preset", "demo", *GRID,
                 "--skip-broken", "--out", out / "broken" / f"store{number}")  # fmt: skip
            call(f"broken predict {number}", "predict", broken, "--model", untrained, what,
                 "--out", out / "broken" / f"{number}.csv")  # fmt: skip
    return Left(name, releases, out, broken, log.read_text(errors="replace"), codes)


@pytest.mark.slow
def test_the_inputs_carry_the_values(left: Left) -> None:
    for kind in ("whole", "wrong"):
        files = [path for path in (left.releases / kind).rglob("*") if path.is_file()]
        found = {needle for path in files for text in texts(path) for needle in found_in(text)}
        assert found >= set(NEEDLES) - {"1901-02-03", "03.02.1901"}
        tables = [path for path in files if path.suffix != ".dcm"]
        assert not tables or any(found_in(text) for path in tables for text in texts(path))


@pytest.mark.slow
def test_the_commands_did_their_work(left: Left) -> None:
    whole = {step: code for step, code in left.codes.items() if step.startswith("whole")}
    assert set(whole.values()) == {0}, left.console
    assert left.codes["strict"] == 2, left.console
    damaged = [step for step in left.codes if step.startswith("broken predict")]
    assert [left.codes[step] for step in damaged] == [2] * 5, left.console
    assert left.console.count(f"{left.broken}: ") > 5
    assert Manifest.load(left.folder / "whole" / "manifest").name == left.name  # splits join sets by it
    for name in ("manifest/images.parquet", "manifest/summary.txt", "store/store.json", "page.html",
                 "predictions.csv", "predictions.json"):  # fmt: skip
        assert (left.folder / "whole" / name).is_file(), name


@pytest.mark.slow
def test_no_file_carries_a_value(left: Left) -> None:
    assert leaks(left.folder) == []


@pytest.mark.slow
def test_nothing_that_was_printed_carries_a_value(left: Left) -> None:
    assert "Traceback" in left.console  # --verbose shows where an error was raised
    assert found_in(left.console) == []
