"""The challenge's metric: pandas row by row against ``challenge_metric``; then the patient bootstrap."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cases.harness import Options, Row, Side, in_turns, judged
from cases.metric_by_rows import metric_by_rows
from comoto.evaluation.challenge import challenge_metric, evaluate

ABOUT = "challenge metric"
SIZES = ((10_000, 500), (50_000, 1721))
REPLICATES = 2000
LEAST_RATIO, MOST_SECONDS, TOLERANCE = 1000, 10.0, 1e-12

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def run(options: Options) -> list[Row]:
    rows = []
    for number, volumes in ((300, 40),) if options.quick else SIZES:
        tables = make_tables(number, volumes)
        rows += [metric(tables, number, volumes, options), bootstrap(tables, number, volumes, options)]
    return rows


def make_tables(num_predictions: int, num_volumes: int) -> Tables:
    """Four volumes a patient, a box in every fourth, predictions everywhere and some near the boxes."""
    generator = np.random.default_rng(0)
    number = np.arange(num_volumes)
    labels = pd.DataFrame(
        {
            "PatientID": [f"DBT-P{each // 4:05}" for each in number],
            "StudyUID": [f"DBT-S{each // 4:05}" for each in number],
            "View": np.array(["lcc", "lmlo", "rcc", "rmlo"])[number % 4],
        }
    )
    boxes = labels.iloc[::4].assign(VolumeSlices=60).reset_index(drop=True)
    for column, low, high in (("Slice", 5, 55), ("X", 0, 1500), ("Y", 0, 2000), ("Width", 60, 400)):
        boxes[column] = generator.integers(low, high, size=len(boxes))
    boxes["Height"] = boxes["Width"]
    predictions = labels.iloc[generator.integers(0, num_volumes, size=num_predictions)].reset_index(drop=True)
    columns = (("X", 0, 1500), ("Width", 60, 400), ("Y", 0, 2000), ("Height", 60, 400), ("Z", 0, 60))
    for column, low, high in columns:
        predictions[column] = generator.integers(low, high, size=num_predictions)
    predictions["Depth"] = 0
    predictions["Score"] = generator.random(num_predictions)
    found = boxes[generator.random(len(boxes)) < 0.8].rename(columns={"Slice": "Z"})
    near = found.drop(columns="VolumeSlices").assign(Depth=0, Score=0.5 + generator.random(len(found)) / 2)
    return pd.concat([predictions.iloc[len(near) :], near], ignore_index=True), labels, boxes


def metric(tables: Tables, number: int, volumes: int, options: Options) -> Row:
    sides = {
        "common": Side(lambda: metric_by_rows(*tables), most=1 if number > 10_000 else 3),
        "ours": Side(lambda: challenge_metric(*tables), most=31),
    }
    in_turns(sides, options.minutes)
    theirs, ours = sides["common"].result, sides["ours"].result
    largest = max(abs(theirs[name] - ours[name]) for name in theirs)
    row = Row(
        f"{number:,} rows, {volumes:,} volumes, against pandas row by row",
        f"equal to 1e-12, {LEAST_RATIO:,}x",
        None,
        "equal to the last digit" if largest == 0 else f"largest difference {largest:.1e}",
        sides["common"].times,
        sides["ours"].times,
        same=set(theirs) == set(ours) and largest <= TOLERANCE,
    )
    return judged(row, (row.ratio or 0) >= LEAST_RATIO)


def bootstrap(tables: Tables, number: int, volumes: int, options: Options) -> Row:
    replicates = 20 if options.quick else REPLICATES
    side = Side(lambda: evaluate(*tables, bootstrap=replicates), most=3)
    in_turns({"ours": side}, options.minutes)
    row = Row(
        f"the same with {replicates:,} patient bootstraps",
        f"under {MOST_SECONDS:.0f} s",
        None,
        ours=side.times,
        figure=f"{1e3 * side.times.cpu / replicates:.2f} ms a replicate",
    )
    return judged(row, side.times.cpu < MOST_SECONDS)
