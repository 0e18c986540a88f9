"""Fit a focus head to a run that is trained already, into a copy of its folder.

For runs whose state is gone, as in studies; others need no script: ``comoto train student --resume --set
focus.fit=true``. The volumes are those of the patients that the run's record names.

Run: python benchmarks/fit_focus.py study/students/x/run --store prepared/volumes --out runs/with-head
"""

import argparse
import shutil
from pathlib import Path

import torch

from comoto.config import FocusConfig
from comoto.detectors.checkpoint import save_focus
from comoto.inference.model import load_model
from comoto.output_files import refuse_existing
from comoto.preprocessing.store import PreparedStore
from comoto.progress import enable_progress
from comoto.records import Split
from comoto.training.focus import fit_focus
from comoto.training.record import read_patients


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder of a student")
    parser.add_argument("--store", type=Path, required=True, help="prepared volumes that it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="the copy with the head")
    parser.add_argument("--level", default=FocusConfig().level)
    parser.add_argument("--ridge", type=float, default=FocusConfig().ridge)
    parser.add_argument("--spread", type=float, default=FocusConfig().spread)
    parser.add_argument("--jitter", type=int, default=FocusConfig().jitter)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    enable_progress()
    refuse_existing([options.out], overwrite=False)
    settings = FocusConfig(
        fit=True, level=options.level, ridge=options.ridge, spread=options.spread, jitter=options.jitter
    )
    store = PreparedStore(options.store)
    patients = read_patients(options.run)["tomosynthesis/train"]
    images = store.manifest.split(Split.TRAIN).images
    trained = images["image_id"][images["patient_id"].isin(patients)].tolist()
    model, _ = load_model(options.run, role="student")
    head = fit_focus(model, store, trained, settings)
    if head is None:
        raise SystemExit("no head: too few lesions")
    shutil.copytree(options.run, options.out)
    save_focus(options.out, head, settings)


if __name__ == "__main__":
    main()
