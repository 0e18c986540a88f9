"""How long ``comoto.evaluation`` takes, on made-up tables of the challenge's size.

Example: OMP_NUM_THREADS=1 python benchmarks/evaluate.py --predictions 10000 --volumes 500 --replicates 1000
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.evaluation import evaluate


def make_tables(
    num_predictions: int, num_volumes: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Four volumes a patient, a box in every fourth volume, predictions everywhere and near the boxes."""
    generator = np.random.default_rng(seed)
    number = np.arange(num_volumes)
    labels = pd.DataFrame(
        {
            "PatientID": [f"P{each // 4}" for each in number],
            "StudyUID": [f"S{each // 4}" for each in number],
            "View": np.array(["lcc", "lmlo", "rcc", "rmlo"])[number % 4],
        }
    )
    boxes = labels.iloc[::4].assign(VolumeSlices=60)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--volumes", type=int, default=500)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables = make_tables(options.predictions, options.volumes, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.csv" for name in ("predictions", "labels", "boxes")]
        for path, table in zip(paths, tables, strict=True):
            table.to_csv(path, index=False)
        seconds = {}
        for name, replicates in (("metric", 0), ("metric and bootstrap", options.replicates)):
            started = time.process_time()
            result = evaluate(*paths, bootstrap=replicates, seed=options.seed)
            seconds[name] = round(time.process_time() - started, 3)
    report = {
        "num_predictions": len(tables[0]),
        "num_volumes": options.volumes,
        "num_lesions": result.num_lesions,
        "replicates": options.replicates,
        "cpu_seconds": seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "mean_sensitivity_positive": result.mean_sensitivity_positive,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
