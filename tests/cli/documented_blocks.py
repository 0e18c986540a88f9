"""Every block of commands in the pages, and a small world in which its commands run as they stand.

Paths that a block takes for granted (``manifests/...``, ``prepared/...``, ``runs/...``, ``/data/...``) are
the tiny simulated exams and what the shared fixtures made of them; presets of all names are a tiny one.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pydicom
import yaml
from documented_commands import ROOT

from comoto import api
from comoto.config import PRESETS, load_train_config, override
from comoto.records import Manifest, Split
from tiny_exams import Exams

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = ("comoto", "make", "pip", "python", "bash")
OUTPUTS = ("--out", "--json", "--figure", "--operating-point-out", "--export-rjafroc")
IMAGE_ID = re.compile(r"DBT-P\d+_DBT-S\d+_\w+")


@dataclass(frozen=True)
class Block:
    """One block of a page, as lines of words; ``number`` counts the fenced blocks of the page."""

    page: str
    number: int
    lines: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.page}#{self.number}"


def documented_blocks() -> list[Block]:
    """Fenced blocks that hold commands, of whatever language; output of a console is left out."""
    found = []
    for page in PAGES:
        texts = re.findall(r"^```([^\n]*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        for number, (language, text) in enumerate(texts):
            if language not in ("sh", "console", ""):
                continue
            joined = text.replace("\\\n", " ").splitlines()
            if language == "console":
                joined = [line[2:] for line in joined if line.startswith("$ ")]
            commands = [line for line in joined if line.partition(" ")[0] in COMMANDS]
            lines = tuple(tuple(shlex.split(line, comments=True)) for line in commands)
            if lines:
                found.append(Block(str(page.relative_to(ROOT)), number, lines))
    return found


@dataclass(frozen=True)
class Things:
    """What documented commands take for granted.

    Attributes:
        exams: simulated, indexed and prepared.
        teacher, student: run folders.
        hospital: volumes that say how large a pixel is, with two tables of their own.
        hospital_manifest: made of them.
        predictions, found: of the student and of the teacher, on the test images.
    """

    exams: Exams
    teacher: Path
    student: Path
    hospital: Path
    hospital_manifest: Path
    predictions: Path
    found: Path


def make_things(folder: Path, exams: Exams, teacher: Path, student: Path) -> Things:
    """Make what the shared fixtures do not have."""
    hospital = folder / "hospital"
    hospital.mkdir()
    write_hospital(hospital, Manifest.load(exams.manifests / "bcs-dbt"))
    api.index("csv", hospital).save(folder / "manifest")
    predictions, found = folder / "predictions.csv", folder / "found.csv"
    api.predict(student, [exams.manifests / "bcs-dbt"], predictions, split="test")
    api.predict(teacher, [exams.manifests / "vindr-mammo"], found, split="test", mammograms=True)
    return Things(exams, teacher, student, hospital, folder / "manifest", predictions, found)


def write_hospital(folder: Path, manifest: Manifest) -> None:
    """Write the volumes of a manifest with a Pixel Spacing, and the two tables of ``comoto index csv``."""
    names = {}
    for row in manifest.images.itertuples():
        dataset = pydicom.dcmread(row.path)
        dataset.PixelSpacing = [1.6, 1.6]  # of exams of 128 rows
        names[row.image_id] = f"{row.image_id}.dcm"
        dataset.save_as(folder / names[row.image_id])
    columns = ["patient_id", "study_id", "view", "laterality", "view_key", "split"]
    images = manifest.images.assign(path=manifest.images["image_id"].map(names))
    images[["path", *columns]].to_csv(folder / "images.csv", index=False)
    lesions = manifest.lesions.assign(path=manifest.lesions["image_id"].map(names))
    lesions[["path", "x1", "y1", "x2", "y2", "slice_index"]].to_csv(folder / "lesions.csv", index=False)


class World:
    """A folder in which documented commands find what they name.

    Args:
        folder: empty; the working folder of the commands.
        things: what the commands may take for granted.
    """

    def __init__(self, folder: Path, things: Things) -> None:
        self.folder, self._things, self._exams = folder, things, things.exams
        self._made: set[str] = set()
        volumes = Manifest.load(self._exams.manifests / "bcs-dbt")
        self._volume = Path(volumes.images["path"].iloc[0])
        self._image = volumes.split(Split.TEST).lesions["image_id"].iloc[0]

    def words(self, line: tuple[str, ...]) -> list[str]:
        """Return the words after ``comoto``, with paths of this world; lay what they name in place."""
        words = [self._mapped(word) for word in line[1:]]
        pairs = list(pairwise(["", *words]))
        goes_on = {"--resume", "--verify"} & set(words)
        for before, word in pairs:
            if before not in OUTPUTS or goes_on:
                self._lay(word.rpartition("=")[2], before)
        self._made |= {word for before, word in pairs if before in OUTPUTS}
        return self._small(words)

    def _mapped(self, word: str) -> str:
        for there, here in (("vindr-mammo", self._exams.vindr_mammo), ("", self._exams.bcs_dbt)):
            if word.startswith(f"/data/{there}"):
                table = re.fullmatch(r"/data/[\w-]+/(.+\.csv)", word)
                return str(here / table.group(1) if table else here)
        return IMAGE_ID.sub(self._image, word).replace("P001/left_tomo.dcm", self._volume.name)

    def _small(self, words: list[str]) -> list[str]:
        """One worker process, the hit radius of tiny pixels, and five epochs in place of forty."""
        words = [word.replace("schedule.epochs=40", "schedule.epochs=5") for word in words]
        if "--workers" in words:
            words[words.index("--workers") + 1] = "1"
        scores = words[0] in ("evaluate", "report")
        if scores and "--min-radius" not in words and "--mammogram-predictions" not in words:
            words += ["--min-radius", "5.3"]
        return words

    def _lay(self, name: str, before: str) -> None:
        """Put in place what a word names, unless it was made here: a link, or a copy of what goes on."""
        path = self.folder / name
        if any(name == made or name.startswith(f"{made}/") for made in self._made) or path.exists():
            return
        source = self._table(before, name) or self._source(name)
        if source is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if before == "--out":
                shutil.copytree(source, path)
            else:
                path.symlink_to(source, target_is_directory=source.is_dir())

    def _table(self, before: str, name: str) -> Path | None:
        if before in ("--labels", "--boxes"):
            (table,) = self._exams.bcs_dbt.glob(f"*{before[2:]}-test-*.csv")
            return table
        further = before.endswith(".csv") and name.endswith(".csv")
        if further or before in ("--predictions", "--mammogram-predictions"):
            return self._things.found if before == "--mammogram-predictions" else self._things.predictions
        return self._things.hospital if name == "hospital" else None

    def _source(self, name: str) -> Path | None:
        if name == "manifests/hospital":
            return self._things.hospital_manifest
        if name == "downloads/bcs-dbt":
            return self._exams.bcs_dbt
        kind = "vindr-mammo" if re.search("mammo|masses|msynth", name) else "bcs-dbt"
        if name.startswith("manifests/"):
            return self._exams.manifests / kind
        if name.startswith("prepared/"):
            return self._exams.stores / kind
        if re.match(r"(demo-output/)?runs/", name):
            return self._things.teacher if "teacher" in name else self._things.student
        if name == "volume.dcm":
            return self._volume
        return self._volume.parent if name.rstrip("/") == "folder" else None


def tiny_presets(folder: Path, tiny: tuple[str, ...]) -> None:
    """Write presets of all names: the demo's, tiny, one step long, with mammograms in the batches."""
    settings = [*tiny, "schedule.epochs=1", "schedule.steps_per_epoch=1", "joint.size=4"]
    for name in PRESETS:
        sections = {}
        for role in ("teacher", "student"):
            config = override(load_train_config("demo", role=role), settings)
            sections[role] = config.model_dump(mode="json")
        for key in ("joint", "distill", "init", "teacher", "self_training"):
            sections["teacher"].pop(key, None)
        sections["recipe"] = {key: sections["student"].pop(key) for key in ("average", "focus")}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
