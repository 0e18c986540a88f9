"""Make the three tables of the golden case; official.json is what the challenge's evaluator printed for them.

Run from the repository root: python tests/golden/challenge/make_tables.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
VIEWS = ("lcc", "lmlo", "rcc", "rmlo")


def main() -> None:
    generator = np.random.default_rng(11)
    keys = [(f"P{each:02d}", f"S{each:02d}", view) for each in range(8) for view in VIEWS]
    labels = pd.DataFrame(keys, columns=["PatientID", "StudyUID", "View"])
    boxes, predictions = [], []
    for key in keys[:12]:
        slices = int(generator.integers(40, 70))
        for _ in range(int(generator.integers(1, 4))):
            x, y, width, height = (
                int(value) for value in generator.integers((0, 0, 60, 60), (900, 1200, 420, 420))
            )
            middle = int(generator.integers(5, slices - 5))
            boxes.append((*key, middle, x, y, width, height, slices))
            for _ in range(int(generator.integers(0, 4))):
                dx, dy, dz = (int(value) for value in generator.integers((-110, -110, -16), (111, 111, 17)))
                score = round(float(generator.normal(0.0)), 2)
                predictions.append((*key, x + dx, width, y + dy, height, middle + dz, -1, score))
    for key in keys:
        for _ in range(int(generator.poisson(6))):
            x, y, z = (int(value) for value in generator.integers((0, 0, 0), (1300, 1600, 60)))
            predictions.append((*key, x, 90, y, 110, z, 6, round(float(generator.normal()), 2)))
    box_columns = ["Slice", "X", "Y", "Width", "Height", "VolumeSlices"]
    columns = ["X", "Width", "Y", "Height", "Z", "Depth", "Score"]
    labels.to_csv(FOLDER / "labels.csv", index=False)
    pd.DataFrame(boxes, columns=[*labels.columns, *box_columns]).to_csv(FOLDER / "boxes.csv", index=False)
    pd.DataFrame(predictions, columns=[*labels.columns, *columns]).to_csv(
        FOLDER / "predictions.csv", index=False
    )


if __name__ == "__main__":
    main()
