"""Seconds per slice and per volume of prediction, and its memory against the number of slices.

Run: python benchmarks/predict.py --model demo-output/runs/comoto VOLUME.dcm [VOLUME.dcm ...]
"""

import argparse
import resource
import time
from pathlib import Path

import torch

from comoto import api
from comoto.dicom.read import DicomImage
from comoto.inference.volume import slice_indices
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to torch")
    parser.add_argument("volumes", type=Path, nargs="+")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = api.load_model(options.model)
    print(f"{model.device}, {model.precision}, {torch.get_num_threads()} threads")
    api.predict_volume(model, options.volumes[0])  # warm-up
    print("volume: slices, wall s of decode + render alone / network alone / whole prediction, peak GiB")
    for path in options.volumes:
        with DicomImage(path) as image:
            plan = plan_image(image, None, Modality.TOMOSYNTHESIS, model.config.preprocess)
            indices = slice_indices(image.header.num_frames, model.config.inference.slice_step)
            started = time.perf_counter()
            rendered = [plan.render(frame) for frame in image.frames(indices)]
            decode = time.perf_counter() - started
        batch = model.config.inference.batch_size
        started = time.perf_counter()
        for k in range(0, len(rendered), batch):
            model.detect(rendered[k : k + batch])
        network = time.perf_counter() - started
        del rendered
        started = time.perf_counter()
        found = api.predict_volume(model, path)
        whole = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{path.name}: {len(indices)} slices, {decode:.2f} / {network:.2f} / {whole:.2f} s, "
            f"{whole / len(indices):.4f} s a slice, {len(found)} detections, {peak:.2f} GiB"
        )


if __name__ == "__main__":
    main()
