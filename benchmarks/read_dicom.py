"""Reading a tomosynthesis volume: time and memory, side by side with the common way and the bare decoder.

The common way decompresses the whole file and then takes the slice: ``dcmread``, ``decompress``,
``pixel_array[k]``. The bare decoder is the function of imagecodecs alone, on bytes that are in memory. Both
run in the same session as the package, in turns, because other work on the machine changes seconds but hardly
ratios. pydicom reads JPEG Lossless only with pylibjpeg-libjpeg (GPL) or python-gdcm, which this project does
not depend on; where neither is installed, the line says so.

The files are made on the fly in a temporary folder and deleted one after the other (at most 300 MB each).
Run: python benchmarks/read_dicom.py [--frames 60] [--parts slice stream memory isolated reduced stack]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

ROWS, COLUMNS = 2457, 1890
TURN = 6
"""Frames of a turn: short, so that what else the machine does meets both ways alike."""
DIFFERENT = 10
"""Frames that differ; a longer file repeats them."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PARTS = ("slice", "stream", "memory", "isolated", "reduced", "stack")
STACK = 100
"""Files of a stack, one slice each."""


def tissue(index: int) -> np.ndarray:
    """Smooth tissue with noise inside a half disc, 10 bits, about half air."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    inside = (x / 1250) ** 2 + ((y - ROWS / 2) / 1150) ** 2 < 1
    noise = np.random.default_rng(index).normal(0, 12, x.shape)
    values = 450 + 120 * np.sin(x / 90 + index / 7) * np.cos(y / 130) + noise
    return np.where(inside, np.clip(values, 0, 1023), 0).astype(np.uint16)


def write(folder: Path, codec: str, frames: int) -> Path:
    """Write a volume frame by frame: no more than the compressed file is in memory."""
    from dicom_files import encapsulated, encode, write_dicom

    parts = [encode(tissue(index), codec, 16) for index in range(min(frames, DIFFERENT))]
    parts = [parts[index % DIFFERENT] for index in range(frames)]
    shape = np.broadcast_to(np.zeros((1, ROWS, COLUMNS), dtype=np.uint16), (frames, ROWS, COLUMNS))
    data = b"".join(parts) if codec == "raw" else encapsulated(parts)
    return write_dicom(folder / f"{codec}.dcm", shape, codec, pixel_data=data)


def in_new_process(task: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, so that memory is that of the task."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, arguments)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(task: Callable[[], Any]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def exhaust(frames: Iterable[Any]) -> None:
    """Take frames and keep none."""
    for _ in frames:
        pass


# one slice


def ours_one(path: Path) -> None:
    from comoto.dicom.read import DicomImage

    with DicomImage(path) as image:
        image.frame(image.num_frames // 2)


def common_one(path: Path) -> None:
    from pydicom import dcmread

    warnings.simplefilter("ignore")
    dataset = dcmread(path)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    _ = dataset.pixel_array[int(dataset.NumberOfFrames) // 2]


def measure_slice(task: Callable[[Path], None], path: Path, repeats: int) -> tuple[float, float] | str:
    """Return the median of seconds, and the peak MiB; imports are done before."""
    logging.disable(logging.WARNING)
    import imagecodecs  # noqa: F401
    import pydicom.pixels  # noqa: F401

    import comoto.dicom.read  # noqa: F401

    try:
        return float(np.median([timed(lambda: task(path)) for _ in range(repeats)])), peak_mib()
    except RuntimeError as error:
        return str(error).splitlines()[0][:90]


def slices(path: Path, codec: str) -> None:
    ours = in_new_process(measure_slice, ours_one, path, 5)
    common = in_new_process(measure_slice, common_one, path, 1)
    print(f"{codec:<8} one slice: {ours[0] * 1e3:.0f} ms, {ours[1]:.0f} MiB", end="")
    if isinstance(common, str):
        print(f"; the common way cannot: {common}", flush=True)
    else:
        print(
            f"; common way {common[0]:.1f} s, {common[1]:.0f} MiB; {common[0] / ours[0]:.0f} times faster",
            flush=True,
        )


# all slices


def measure_stream(path: Path, rounds: int) -> dict[str, float]:
    """Return seconds a frame of the bare decoder and of ours, in turns, on one core and on all of them.

    Where other programs take the cores away, time on the clock is chance; the processor's time is not.
    """
    logging.disable(logging.WARNING)
    from comoto.dicom import decode
    from comoto.dicom.read import DicomImage
    from comoto.sources.parallel import frames_in_parallel

    image = DicomImage(path)
    count = min(image.num_frames, TURN)
    stored = [image._stored(index) for index in range(count)]
    bare = decode._DECODERS[image.header.syntax.codec]

    def bare_on_all() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            exhaust(pool.map(bare, stored))

    ways: dict[str, Callable[[], Any]] = {
        "bare 1": lambda: exhaust(map(bare, stored)),
        "ours 1": lambda: exhaust(image.frames(range(count))),
        "bare all": bare_on_all,
        "ours all": lambda: exhaust(frames_in_parallel(image, range(count), threads=CORES)),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    worked: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            times[name].append(timed(way) / count)
            worked[name].append((time.process_time() - started) / count)
    result = {name: float(np.median(found[1:])) for name, found in times.items()}
    for cores in ("1", "all"):
        for kind, found in (("clock", times), ("work", worked)):
            pairs = zip(found[f"ours {cores}"][1:], found[f"bare {cores}"][1:], strict=True)
            result[f"least {cores}"] = min(found[f"ours {cores}"][1:]) / min(found[f"bare {cores}"][1:])
            result[f"{kind} {cores}"] = float(np.median([ours / theirs for ours, theirs in pairs]))
    return result


def streams(path: Path, codec: str, rounds: int) -> None:
    if codec == "raw":
        return
    found = in_new_process(measure_stream, path, rounds)
    for cores, name in (("1", "1 core"), ("all", f"{CORES} cores")):
        print(
            f"{codec:<8} streamed on {name}: {found[f'ours {cores}'] * 1e3:.0f} ms a frame, bare decoder "
            f"{found[f'bare {cores}'] * 1e3:.0f} ms; ratio {found[f'clock {cores}']:.3f} by the clock, "
            f"{found[f'work {cores}']:.3f} by processor time, {found[f'least {cores}']:.3f} in turns that "
            "were disturbed least",
            flush=True,
        )


# memory


def measure_memory(path: Path, threads: int) -> tuple[float, float]:
    """Return the peak MiB of streaming, and what the imports took before it."""
    logging.disable(logging.WARNING)
    from comoto.sources import open_source
    from comoto.sources.parallel import frames_in_parallel

    before = peak_mib()
    with open_source(path) as image:
        for _ in frames_in_parallel(image, threads=threads):
            pass
    return peak_mib(), before


def memory(folder: Path, codec: str) -> None:
    for frames in (20, 60, 125):
        path = in_new_process(write, folder, codec, frames)
        for threads in (1, CORES):
            peak, before = in_new_process(measure_memory, path, threads)
            print(
                f"{codec:<8} {frames:>3} frames streamed on {threads}: peak {peak:.0f} MiB, "
                f"{peak - before:.0f} over the interpreter and its imports",
                flush=True,
            )
        path.unlink()


# a worker process


def measure_isolated(path: Path, rounds: int) -> dict[str, float]:
    logging.disable(logging.WARNING)
    from comoto.sources import open_source
    from comoto.sources.isolated import open_isolated

    start = timed(lambda: open_isolated(path).close())
    here, there = [], []
    with open_source(path) as direct, open_isolated(path) as isolated:
        for index in [0, *(turn % direct.num_frames for turn in range(rounds))]:
            here.append(timed(lambda index=index: direct.frame(index)))
            there.append(timed(lambda index=index: isolated.frame(index)))
    extra = float(np.median(np.subtract(there, here)[1:]))
    return {"start": start, "here": float(np.median(here[1:])), "extra": extra}


def isolated(path: Path, codec: str, rounds: int) -> None:
    found = in_new_process(measure_isolated, path, rounds)
    print(
        f"{codec:<8} in a worker: {found['extra'] * 1e3:.1f} ms more than {found['here'] * 1e3:.0f} ms a "
        f"frame ({100 * found['extra'] / found['here']:.1f} %); the first file waits {found['start']:.1f} s",
        flush=True,
    )


# fewer pixels


def measure_reduced(path: Path, rounds: int) -> dict[int, float]:
    logging.disable(logging.WARNING)
    from comoto.dicom.read import DicomImage

    with DicomImage(path) as image:
        times: dict[int, list[float]] = {level: [] for level in range(3)}
        for index in [0, *(turn % image.num_frames for turn in range(rounds))]:
            for level, found in times.items():
                found.append(timed(lambda index=index, level=level: image.frame(index, level)))
    return {level: float(np.median(found[1:])) for level, found in times.items()}


def reduced(path: Path, codec: str, rounds: int) -> None:
    if codec not in ("j2k", "htj2k"):
        return
    found = in_new_process(measure_reduced, path, rounds)
    print(
        f"{codec:<8} a frame: full {found[0] * 1e3:.0f} ms, half {found[1] * 1e3:.0f} ms "
        f"({found[0] / found[1]:.1f} times faster), quarter {found[2] * 1e3:.0f} ms "
        f"({found[0] / found[2]:.1f} times faster)",
        flush=True,
    )


# a stack of single-frame files


def open_ours(folder: Path) -> None:
    from comoto.sources import open_source

    with open_source(folder):
        pass


def survey_ours(folder: Path) -> None:
    from comoto.sources.survey import survey

    list(survey(folder))


def headers_of_all(folder: Path) -> None:
    """Read every header, as whoever sorts a folder by hand does."""
    from pydicom import dcmread

    sorted(
        (dcmread(path, stop_before_pixels=True) for path in folder.iterdir()),
        key=lambda each: each.InstanceNumber,
    )


def stack(folder: Path, rounds: int) -> None:
    """Print processor seconds for one stack, in turns; its pixels are small, only headers are read."""
    from sources.stack_files import write_stack

    write_stack(folder, np.zeros((STACK, 64, 64), dtype=np.uint16))
    ways = {"open_source": open_ours, "survey": survey_ours, "pydicom, headers sorted": headers_of_all}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way(folder)
            spent[name].append(time.process_time() - started)
    told = ", ".join(f"{name} {1e3 * float(np.median(each)):.0f} ms" for name, each in spent.items())
    print(f"stack of {STACK} files: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way")
    parser.add_argument("--codecs", nargs="+", default=["j2k", "ljpeg", "jpegls", "htj2k", "rle", "raw"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    print(f"{arguments.frames} frames of {ROWS} x {COLUMNS}, {CORES} cores")
    if "stack" in arguments.parts:
        with tempfile.TemporaryDirectory() as name:
            stack(Path(name), arguments.rounds)
    for codec in arguments.codecs if set(arguments.parts) - {"stack"} else ():
        with tempfile.TemporaryDirectory() as folder:
            path = in_new_process(write, Path(folder), codec, arguments.frames)
            print(f"{codec:<8} {path.stat().st_size / 1e6:.0f} MB")
            if "slice" in arguments.parts:
                slices(path, codec)
            if "stream" in arguments.parts and codec not in ("raw", "rle"):
                streams(path, codec, arguments.rounds)
            if "isolated" in arguments.parts:
                isolated(path, codec, arguments.rounds)
            if "reduced" in arguments.parts:
                reduced(path, codec, arguments.rounds)
            path.unlink()
            if "memory" in arguments.parts and codec in ("j2k", "ljpeg"):
                memory(Path(folder), codec)


if __name__ == "__main__":
    main()
