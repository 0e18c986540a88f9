"""A frozen teacher on projected volumes: fused with a student's boxes, and agreement with them as a label.

The teacher of each student looks at every volume of a split as one picture (``projected_store.py``): mean,
soft maximum or maximum over its slices, as it is or made to look like mammograms. Its boxes have no depth.

*Fused*: a student's box that meets a teacher's box (IoU at least 0.2 in the plane) gains by the best of them;
what no student's box meets enters, or does not. A rule has three parameters: the form of the sum, the weight
of the teacher, and whether its own boxes enter. The rule ``FIXED`` was set down before any result was seen;
"cross-fitted" chooses among all rules and the student alone for each run on half of the patients and judges
on the other half, both ways round, over many halvings, as ``keep_teacher.py`` chooses shares. Beside them
stand the teacher alone, on projections and on slices, the best of all rules on all patients, which is too
good, and as a control the same fusion with the teacher's boxes on slices: a gain that these give as well is
one of asking twice.

*Agreement*: the student's boxes that a teacher's box meets, by the product of both scores. Of the best of
them, as many as a quarter, a third and half of the volumes, how many hit a lesion?

Predictions are kept in --out under the names that ``keep_teacher.py`` gives them; projections beside them.

Run: python benchmarks/projection_teacher.py --out FOLDER --store STUDY/../prepared/volumes \
         --mammograms STUDY/../prepared/mammograms --split validation --min-radius 21.25 \
         --group joint-10:0.25=RUN,RUN --group joint-10:0.25-focus=RUN,RUN --group fine-tuned-10:0=RUN,RUN
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from comoto.config import AggregationConfig
from comoto.detections import prediction_table
from comoto.detectors.about import read_about
from comoto.evaluation.bootstrap import percentile_interval
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    challenge_tables,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import IN_PLANE, MILLIMETRES, DepthRules, depth_variants
from comoto.evaluation.hierarchical import drawn_patients, run_sensitivities
from comoto.geometry.boxes import iou_matrix
from comoto.inference.model import load_model
from comoto.inference.prepared import predict_store
from comoto.output_files import atomic_write
from comoto.preprocessing.appearance.sample import Sampling, read_appearance
from comoto.preprocessing.store import PreparedStore
from comoto.records import IntArray, Modality, Split
from comoto.tables import BoolArray, Float64Array
from keep_teacher import CHALLENGE, HALVINGS, Way, halved, nested, predicted, row, signed
from projected_store import LOOKS, PROJECTIONS, ProjectedStore, look_of

LEAST_IOU = 0.2
LEAST_SCORE = 0.001
"""What the student is taken to say where it has no box: the least score that a volume's box can have."""
ENTRY = 0.5
"""Weight of a teacher's box that no student's box meets, in a sum of scores."""
SLICES = "slices"
SHARES = {"quarter": 1 / 4, "third": 1 / 3, "half": 1 / 2}
KEY = ["StudyUID", "View"]


@dataclass(frozen=True)
class Rule:
    """How two scores become one.

    Attributes:
        form: ``sum``: s + w t. ``odds``: the log odds of s, and w times how far the log odds of t lie above
            those of the teacher's least box; w is then the slope that Platt scaling has.
        weight: w.
        enters: whether boxes of the teacher that no student's box meets are kept.
    """

    form: str
    weight: float
    enters: bool

    def __call__(self, student: Float64Array, teacher: Float64Array, least: float) -> Float64Array:
        """Return fused scores (N,); a teacher's score of 0 means that it has no box there."""
        if self.form == "sum":
            return student + self.weight * teacher
        gain = log_odds(np.maximum(teacher, least)) - log_odds(np.array(least))
        return np.asarray(1 / (1 + np.exp(-(log_odds(student) + self.weight * gain))))

    def alone(self, teacher: Float64Array, least: float) -> Float64Array:
        """Return the scores (M,) with which boxes of the teacher enter."""
        if self.form == "sum":
            return ENTRY * self.weight * teacher
        return self(np.full(len(teacher), LEAST_SCORE), teacher, least)

    @property
    def name(self) -> str:
        """What lines call it."""
        return f"{self.form} {self.weight:g}{', enters' if self.enters else ''}"


FIXED = Rule("odds", 0.5, enters=False)
RULES = [Rule(*each) for each in product(("sum", "odds"), (0.25, 0.5, 1.0, 2.0), (False, True))]


@dataclass(frozen=True)
class Meeting:
    """A student's boxes (N,) and those of a teacher (M,), as tables, and which of them meet.

    Attributes:
        best: (N,) the highest score of the teacher's boxes that a box meets, 0 for none.
        free: (M,) which of the teacher's boxes no student's box meets.
    """

    student: pd.DataFrame
    teacher: pd.DataFrame
    best: Float64Array
    free: BoolArray

    def fused(self, rule: Rule) -> pd.DataFrame:
        """Return the table of both."""
        scores = self.teacher["Score"].to_numpy()
        least = float(scores.min())
        own = self.student.assign(Score=rule(self.student["Score"].to_numpy(), self.best, least))
        if not rule.enters:
            return own
        entering = self.teacher[self.free].assign(Score=rule.alone(scores[self.free], least))
        return pd.concat([own, entering], ignore_index=True)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    store = PreparedStore(options.store)
    truth = read_truth(*challenge_tables(store.manifest.split(Split(options.split))), options.min_radius)
    lines = []
    for name, way, runs in options.group:
        students = [pd.read_csv(predicted(run, way, store, options)) for run in runs]
        teachers = [teacher_tables(run, store, options) for run in runs]
        for line in (
            *fusion_lines(f"{name}, {way.name}", students, teachers, truth, options),
            *agreement_lines(f"{name}, {way.name}", students, teachers, truth),
        ):
            lines.append(line)
            print(line, flush=True)
    with atomic_write(options.out / "projection.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions, projections and the table")
    parser.add_argument("--store", type=Path, required=True, help="prepared volumes")
    parser.add_argument("--mammograms", type=Path, required=True, help="prepared mammograms")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument(
        "--group",
        action="append",
        required=True,
        help="NAME:SHARE=RUN,RUN, runs of students and the share of the teacher in them; SHARE-focus: with a "
        "focus head",
    )
    parser.add_argument("--kinds", nargs="+", choices=PROJECTIONS, default=list(PROJECTIONS))
    parser.add_argument("--looks", nargs="+", choices=LOOKS, default=list(LOOKS))
    parser.add_argument("--patients", type=int, default=40, help="looks are fitted on so many of each store")
    parser.add_argument("--draws", type=int, default=200, help="of patients, for cross-fitted intervals")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--batches", type=int, default=50, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.group = [way_of(one) for one in options.group]
    return options


def way_of(text: str) -> tuple[str, Way, list[Path]]:
    """Read "NAME:SHARE=RUN,RUN", where SHARE may end in "-focus"."""
    title, _, runs = text.partition("=")
    name, _, share = title.partition(":")
    way = Way(float(share.removesuffix("-focus")), "averaged", share.endswith("-focus"))
    return name, way, [Path(run) for run in runs.split(",")]


def teacher_tables(run: Path, store: PreparedStore, options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Return the boxes of a student's teacher by what it looked at: each projection, and the slices."""
    teacher = read_about(run)[0].teacher
    if teacher is None:
        raise SystemExit(f"{run}: does not say which teacher it started from")
    tables = {}
    for kind in options.kinds:
        paths = {
            look: options.out / f"{read_about(teacher)[2][:12]}-{kind}-{look}.csv" for look in options.looks
        }
        if not all(path.is_file() for path in paths.values()):
            predict_projections(teacher, kind, paths, options)
        tables |= {f"{kind}, {look}": pd.read_csv(path) for look, path in paths.items()}
    return tables | {SLICES: pd.read_csv(predicted(run, Way(1.0, "averaged"), store, options))}


def predict_projections(
    teacher: Path, kind: str, paths: dict[str, Path], options: argparse.Namespace
) -> None:
    """Write what a teacher finds on projections of a kind, with every look."""
    model, _ = load_model(teacher)
    # Suppression as strict as the detector's own leaves all of its boxes as they are.
    alone = AggregationConfig(kind="nms_3d", iou=model.config.detector.nms_iou)
    config = model.config.inference.model_copy(update={"aggregation": alone})
    sampling, kept = Sampling(options.patients), options.out / "projections"
    projected = ProjectedStore(options.store, kind, kept)
    seen = read_appearance(projected, Modality.TOMOSYNTHESIS, sampling)
    mammograms = read_appearance(PreparedStore(options.mammograms), Modality.MAMMOGRAM, sampling)
    manifest = projected.manifest.split(Split(options.split))
    for look, path in paths.items():
        looking = ProjectedStore(options.store, kind, kept, look_of(look, seen, mammograms))
        with atomic_write(path) as part:
            prediction_table(predict_store(model, looking, manifest, config)).to_csv(part, index=False)


def meet(student: pd.DataFrame, teacher: pd.DataFrame) -> Meeting:
    """Find which boxes of two tables meet in the plane of the same volume."""
    best, free = np.zeros(len(student)), np.ones(len(teacher), dtype=bool)
    scores = teacher["Score"].to_numpy()
    others = teacher.groupby(KEY).indices
    for key, rows in student.groupby(KEY).indices.items():
        columns = others.get(key, np.empty(0, dtype=np.int64))
        if len(columns):
            meets = iou_matrix(corners(student, rows), corners(teacher, columns)) >= LEAST_IOU
            best[rows] = (meets * scores[columns]).max(axis=1)
            free[columns] = ~meets.any(axis=0)
    return Meeting(student, teacher, best, free)


def corners(table: pd.DataFrame, rows: IntArray) -> Float64Array:
    """Return boxes (len(rows), 4) as x1, y1, x2, y2."""
    x, width, y, height = table[["X", "Width", "Y", "Height"]].to_numpy(dtype=np.float64)[rows].T
    return np.column_stack([x, y, x + width, y + height])


def log_odds(scores: Float64Array) -> Float64Array:
    return np.asarray(np.log(scores) - np.log1p(-scores))


TITLE = (
    "| runs, boxes | challenge | minus the student | within 10 mm | minus the student | median depth error, "
    "slices | x and y alone |\n|---|---|---|---|---|---|---|"
)


def fusion_lines(
    name: str,
    students: Sequence[pd.DataFrame],
    teachers: Sequence[dict[str, pd.DataFrame]],
    truth: ChallengeTruth,
    options: argparse.Namespace,
) -> Iterator[str]:
    """Yield the table of what fusing gives."""
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), options.slice_mm))
    own = judged(students, truth, rules)
    all_fused = {}
    yield TITLE
    yield line(name, own, own, truth)
    for source in teachers[0]:
        tables = [teacher[source] for teacher in teachers]
        meetings = [meet(*both) for both in zip(students, tables, strict=True)]
        yield line(f"teacher on {source}", judged(tables, truth, rules), own, truth)
        fused = {rule: judged([one.fused(rule) for one in meetings], truth, rules) for rule in RULES}
        yield line(f"fused with {source}, {FIXED.name}", fused[FIXED], own, truth)
        ways = {"the student": own} | {rule.name: found for rule, found in fused.items()}
        yield best_of(f"fused with {source}", ways, own, truth)
        yield cross_fitted(f"fused with {source}", ways, truth, options.draws)
        if source != SLICES:
            all_fused |= {f"{source}, {rule.name}": found for rule, found in fused.items()}
    ways = {"the student": own} | all_fused
    yield cross_fitted("fused with any projection", ways, truth, options.draws)


Judged = dict[str, list[ChallengePredictions]]
"""Runs, matched by each rule."""


def judged(tables: Sequence[pd.DataFrame], truth: ChallengeTruth, rules: DepthRules) -> Judged:
    found = [read_predictions(table, truth) for table in tables]
    variants = [depth_variants(one, truth, rules) for one in found]
    return {CHALLENGE: found} | {name: [one[name] for one in variants] for name in (MILLIMETRES, IN_PLANE)}


def line(title: str, found: Judged, own: Judged, truth: ChallengeTruth) -> str:
    """Return a line of the table: ``keep_teacher``'s, and the place in the plane alone."""
    in_plane = run_sensitivities(nested(found[IN_PLANE]), truth).mean()
    return f"{row(title, {'found': found, 'own': own}, 'found', 'own', truth)} {in_plane:.3f} |"


def best_of(name: str, ways: dict[str, Judged], own: Judged, truth: ChallengeTruth) -> str:
    """Return the line of the way that is best by the challenge's metric, mean over runs, on all patients."""
    values = {way: run_sensitivities(nested(found[CHALLENGE]), truth).mean() for way, found in ways.items()}
    best = max(values, key=lambda way: float(values[way]))
    return line(f"{name}, best of all: {best}", ways[best], own, truth)


def cross_fitted(name: str, ways: dict[str, Judged], truth: ChallengeTruth, draws: int) -> str:
    """Return what choosing a way on half of the patients gives on the other half, by both figures."""
    cells = [f"{name}, cross-fitted"]
    for figure in (CHALLENGE, MILLIMETRES):
        variants = [nested(found[figure]) for found in ways.values()]
        everybody = np.ones((HALVINGS, len(truth.patients) + 1), dtype=np.int64)
        gains, chosen = halved(variants, truth, everybody)
        times = np.bincount(chosen.ravel(), minlength=len(ways)) / chosen.size
        often = [f"{list(ways)[at]} {times[at]:.0%}" for at in np.argsort(-times, kind="stable")[:2]]
        interval = percentile_interval(halved(variants, truth, drawn_patients(truth, draws, 0))[0])
        cells += [", ".join(often), signed(float(gains.mean()), interval.low, interval.high)]
    return f"| {' | '.join(cells)} | | |"


def agreement_lines(
    name: str,
    students: Sequence[pd.DataFrame],
    teachers: Sequence[dict[str, pd.DataFrame]],
    truth: ChallengeTruth,
) -> Iterator[str]:
    """Yield how precise the best boxes are, for each way to choose them."""
    numbers = {share: round(value * len(truth.volumes)) for share, value in SHARES.items()}
    titles = [f"{share}: {number} boxes" for share, number in numbers.items()]
    yield ""
    yield f"| {name}: boxes by | at most one a volume | {' | '.join(titles)} |"
    yield "|---|---|" + "---|" * len(titles)
    for title, scored in candidates(students, teachers).items():
        for single in (True, False):
            cells = [title, "yes" if single else "no"]
            for number in numbers.values():
                found = [precision(table, number, single, truth) for table in scored]
                by_rule, in_plane = (
                    ", ".join(f"{each:.2f}" for each in part) for part in zip(*found, strict=True)
                )
                cells.append(f"{by_rule} (x, y {in_plane})")
            yield f"| {' | '.join(cells)} |"
    yield ""


def candidates(
    students: Sequence[pd.DataFrame], teachers: Sequence[dict[str, pd.DataFrame]]
) -> dict[str, list[pd.DataFrame]]:
    """Return, for every way to choose boxes, a table for each run; Score is what they are chosen by."""
    found = {"the student": list(students)}
    for source in teachers[0]:
        tables = [teacher[source] for teacher in teachers]
        found[f"the teacher on {source}"] = tables
        found[f"the student and {source}"] = agreeing(students, tables)
    for source in teachers[0]:
        if source != SLICES:
            on_slices = [teacher[SLICES] for teacher in teachers]
            found[f"the teacher on slices and {source}"] = agreeing(
                on_slices, [teacher[source] for teacher in teachers]
            )
    return found


def agreeing(firsts: Sequence[pd.DataFrame], seconds: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the boxes of the first that the second's meet, with the product of both scores."""
    tables = []
    for first, second in zip(firsts, seconds, strict=True):
        met = meet(first, second)
        tables.append(first.assign(Score=first["Score"] * met.best)[met.best > 0])
    return tables


def precision(table: pd.DataFrame, number: int, single: bool, truth: ChallengeTruth) -> tuple[float, float]:
    """Return the share of the best boxes that hit a lesion, by the challenge's rule and by x and y alone."""
    best = table.sort_values("Score", ascending=False, kind="stable")
    if single:
        best = best.drop_duplicates(KEY)
    found = read_predictions(best.head(number), truth)
    return float((found.hit_lesion >= 0).mean()), float((found.depth.in_plane >= 0).mean())


if __name__ == "__main__":
    main()
