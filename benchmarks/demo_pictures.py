"""Pictures of what a user gets, from the folder of a finished demo.

Run: comoto demo --out demo-output
     python benchmarks/demo_pictures.py demo-output --out docs/pictures --browser chromium
Writes detections.png (the picture of the README: a mammogram and slices with lesions and detections, chosen
by the rules below and not by eye), froc.png, and with --browser report.png (the top of
`comoto report` on two of its students).

The threshold of a detector is the one that its evaluation names for one false positive per volume with a
lesion, or per image. Mammogram and volume show the hit with the median score among the hits; the miss is the
missed lesion whose volume comes first in the tables; the false positive is the surest detection on a volume
without a lesion.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

import comoto
from comoto.config import PreprocessConfig
from comoto.errors import DicomError
from comoto.records import ImageRecord, Manifest, Split
from comoto.report.froc_figure import froc_figure
from comoto.report.source_images import SourceImages

LESION, DETECTION = "#50dc64", "#ff9628"
PALETTE = 128
STUDENTS = {"From scratch": "scratch", "MAF (the recipe)": "joint-training"}
STUDENT, VOLUMES, MAMMOGRAMS = "joint-training", "bcs-dbt", "vindr-mammo"


@dataclass(frozen=True)
class Tile:
    """One picture: an image, a slice of it, and the detections over the threshold that reach the slice."""

    title: str
    record: ImageRecord
    slice_index: int
    detections: list[tuple[float, float, float, float, float]]
    """x1, y1, x2, y2, score."""


class Demo:
    """The files of a finished demo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.volumes = {
            (each.study_id, each.view_key): each
            for each in self._manifest(VOLUMES).split(Split.TEST).records()
        }
        self.mammograms = {
            each.image_id: each for each in self._manifest(MAMMOGRAMS).split(Split.TEST).records()
        }

    def evaluation(self, name: str) -> dict[str, Any]:
        """What ``comoto evaluate`` wrote of a run."""
        return dict(json.loads((self.root / "evaluation" / f"{name}.json").read_text(encoding="utf-8")))

    def predictions(self, name: str) -> pd.DataFrame:
        """The table of a run's predictions."""
        return pd.read_csv(self.root / "predictions" / f"{name}.csv")

    def _manifest(self, name: str) -> Manifest:
        return Manifest.load(self.root / "manifests" / name)


def volume_tiles(demo: Demo) -> list[Tile]:
    """The median hit on three of its slices, a miss, and the surest false alarm, as far as there are any.

    The hit is one whose box spans the annotated slice, if there is such a one; others hit from slices nearby.
    """
    evaluation, rows = demo.evaluation(STUDENT), demo.predictions(STUDENT)
    threshold = evaluation["thresholds"]["sensitivity_at_1_fps_positive"]
    kept = rows[rows["Score"] >= threshold]
    scores = [(each["best_score"] or 0.0, (each["StudyUID"], each["View"])) for each in evaluation["lesions"]]
    hits = sorted(each for each in scores if each[0] >= threshold)
    missed = next((key for score, key in scores if score < threshold), None)
    normal = [key for key, record in demo.volumes.items() if not record.lesions]
    alarms = kept[[key in normal for key in zip(kept["StudyUID"], kept["View"], strict=True)]]

    def tile(title: str, key: tuple[str, str], index: int) -> Tile:
        own = kept[(kept["StudyUID"] == key[0]) & (kept["View"] == key[1])]
        reach = own[(own["Z"] <= index) & (index < own["Z"] + own["Depth"])]
        boxes = [
            (row.X, row.Y, row.X + row.Width, row.Y + row.Height, row.Score) for row in reach.itertuples()
        ]
        return Tile(title, demo.volumes[key], index, boxes)

    def is_shown(key: tuple[str, str]) -> bool:
        lesion = demo.volumes[key].lesions[0]
        x1, y1, x2, y2 = lesion.box_xyxy
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        boxes = tile("", key, int(lesion.slice_index or 0)).detections
        return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom, _ in boxes)

    tiles = []
    hits = [each for each in hits if is_shown(each[1])] or hits
    if hits:
        hit = hits[len(hits) // 2][1]
        central, count = int(demo.volumes[hit].lesions[0].slice_index or 0), demo.volumes[hit].num_slices
        lowest, highest = max(central - count // 4, 0), min(central + count // 4, count - 1)
        tiles.append(tile(f"slice {lowest} of 0-{count - 1}", hit, lowest))
        tiles.append(tile(f"slice {central}: a hit", hit, central))
        tiles.append(tile(f"slice {highest}", hit, highest))
    if missed is not None:
        tiles.append(tile("a miss", missed, int(demo.volumes[missed].lesions[0].slice_index or 0)))
    if len(alarms):
        worst = alarms.loc[alarms["Score"].idxmax()]
        middle = int(worst["Z"] + worst["Depth"] // 2)
        tiles.append(tile("a false positive", (worst["StudyUID"], worst["View"]), middle))
    return tiles


def mammogram_tiles(demo: Demo) -> list[Tile]:
    """The median hit of the teacher, if it has one."""
    evaluation, rows = demo.evaluation("teacher"), demo.predictions("teacher")
    threshold = evaluation["thresholds"]["sensitivity_at_1_fps"]
    hits = sorted(
        (each["best_score"], each["image_id"])
        for each in evaluation["lesions"]
        if (each["best_score"] or 0.0) >= threshold
    )
    if not hits:
        return []
    image_id = hits[len(hits) // 2][1]
    own = rows[(rows["image_id"] == image_id) & (rows["score"] >= threshold)]
    boxes = [(row.x1, row.y1, row.x2, row.y2, row.score) for row in own.itertuples()]
    return [Tile("mammogram", demo.mammograms[image_id], 0, boxes)]


def detections_figure(tiles: Sequence[Tile]) -> Figure:
    """All tiles side by side; lesions green, detections orange with their scores."""
    figure = Figure(figsize=(2.1 * len(tiles), 4.45), dpi=120, facecolor="black")
    FigureCanvasAgg(figure)
    images = SourceImages(PreprocessConfig())
    figure.subplots_adjust(left=0.003, right=0.997, bottom=0.003, top=0.93, wspace=0.02)
    for panel, tile in zip(figure.subplots(1, len(tiles), squeeze=False)[0], tiles, strict=True):
        image = images.slice(tile.record, tile.slice_index)
        if image is None:
            raise DicomError(images.unreadable[tile.record.image_id])
        rows, columns = image.shape
        edges = (0, columns, rows, 0)  # pixel k spans k to k + 1
        panel.imshow(image, cmap="gray", vmin=0, vmax=255, extent=edges, interpolation="bicubic")
        panel.set_title(tile.title, color="white", fontsize=11)
        panel.axis("off")
        for *box, score in tile.detections:
            _box(panel, box, DETECTION, "-")
            text = panel.text(box[0], box[3] + 1, f"{score:.2f}", color=DETECTION, fontsize=10, va="top")
            text.set_path_effects([withStroke(linewidth=2, foreground="black")])
        for lesion in tile.record.lesions:
            here = lesion.slice_index in (None, tile.slice_index)
            _box(panel, lesion.box_xyxy, LESION, "-" if here else ":")
    return figure


def _box(panel: Any, box: Sequence[float], color: str, style: str) -> None:
    x1, y1, x2, y2 = box
    panel.add_patch(
        Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linestyle=style, linewidth=2)
    )


def report(demo: Demo, browser: str, out: Path) -> None:
    """The top of the page that ``comoto report`` writes on the students."""
    with tempfile.TemporaryDirectory() as folder:
        page = comoto.write_report(
            Path(folder) / "report.html",
            demo.root / "manifests" / VOLUMES,
            {title: demo.root / "predictions" / f"{name}.csv" for title, name in STUDENTS.items()},
            split="test",
            min_radius=str(demo.evaluation(STUDENT)["min_radius"]),
            pictures=True,
        )
        screenshot(page, out, browser)


def froc(demo: Demo) -> Figure:
    """The FROC curves of the students, with their bands."""
    how = {
        "manifest": demo.root / "manifests" / VOLUMES,
        "split": "test",
        "bootstrap": 1000,
        "min_radius": demo.evaluation(STUDENT)["min_radius"],
    }
    tables = {title: demo.root / "predictions" / f"{name}.csv" for title, name in STUDENTS.items()}
    return froc_figure([(title, comoto.evaluate(table, **how)) for title, table in tables.items()])


def save_greys(figure: Figure, path: Path) -> None:
    """Save with few greys, and the two colours of the boxes from black to full, which cannot be seen."""
    figure.savefig(path, facecolor=figure.get_facecolor())
    ramps = [np.outer(np.linspace(0, 255, 96), to_rgb("white"))]
    ramps += [np.outer(np.linspace(0, 255, 24), to_rgb(color)) for color in (LESION, DETECTION)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(np.vstack(ramps)).astype(np.uint8).tobytes())
    reduce(path, palette)


def reduce(path: Path, palette: Image.Image | None = None) -> None:
    """Save a picture with few colours, which halves the file."""
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(PALETTE, palette=palette, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def screenshot(page: Path, out: Path, browser: str) -> None:
    """The top of a page, as a browser shows it."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1200,920"]
        subprocess.run(
            [browser, *options, f"--user-data-dir={profile}", f"--screenshot={out}", page.resolve().as_uri()],
            check=True,
            capture_output=True,
        )
    reduce(out)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of a finished demo")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--browser", help="command of Chromium, for the report")
    arguments = parser.parse_args(words)
    arguments.out.mkdir(parents=True, exist_ok=True)
    demo = Demo(arguments.demo)
    figure = detections_figure([*mammogram_tiles(demo), *volume_tiles(demo)])
    save_greys(figure, arguments.out / "detections.png")
    froc(demo).savefig(arguments.out / "froc.png")
    reduce(arguments.out / "froc.png")
    if arguments.browser:
        report(demo, arguments.browser, arguments.out / "report.png")
    print(f"pictures in {arguments.out}")


if __name__ == "__main__":
    main()
