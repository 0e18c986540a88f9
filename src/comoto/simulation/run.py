"""``simulate``: plan the cohort, make every image in worker processes, write the tables last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np

from comoto.backends import joblib_backend
from comoto.checksums import read_json_object, write_sealed_json
from comoto.defaults import WORKERS
from comoto.errors import DatasetError, OutputExistsError
from comoto.locks import hold
from comoto.output_files import PART
from comoto.progress import say, track
from comoto.records import Laterality
from comoto.simulation.anatomy import draw_view
from comoto.simulation.cohort import (
    MammogramCase,
    TomosynthesisCase,
    pixel_rng,
    plan_mammography,
    plan_tomosynthesis,
)
from comoto.simulation.config import SimulateConfig
from comoto.simulation.dicom_mammogram import write_mammogram
from comoto.simulation.dicom_tomosynthesis import TomosynthesisHeader, encode_frame, write_tomosynthesis
from comoto.simulation.exams import (
    BoxXyxy,
    TomosynthesisVolume,
    expose_mammogram,
    expose_tomosynthesis,
)
from comoto.simulation.phantom import Phantom, grow_phantom
from comoto.simulation.tables import (
    Finding,
    classic_path,
    descriptive_path,
    write_bcs_dbt_tables,
    write_vindr_tables,
)

Case = TomosynthesisCase | MammogramCase
_FORMAT = "comoto-simulated-2"
_FORMER_FORMAT = "comoto-simulated-1"
_LOCK = ".lock"
_ABOUT = "simulate.json"
_PROGRESS = ".progress"


@dataclass(frozen=True)
class SimulatedPaths:
    """Where the two data sets lie."""

    bcs_dbt: Path
    vindr_mammo: Path


def simulate(out: Path, config: SimulateConfig, workers: int = WORKERS) -> SimulatedPaths:
    """Simulate a tomosynthesis and a mammography data set in the formats of the real ones.

    The bytes depend on ``config`` alone. A run that was interrupted continues where it stopped; the tables
    appear when all images are there.

    Args:
        out: folder to write to; it gets ``bcs-dbt/``, ``vindr-mammo/`` and ``simulate.json``.
        config: everything else.
        workers: processes.

    Raises:
        OutputExistsError: ``out`` holds something else, or a data set of another configuration, or another
            simulation is working there.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out}: is a file; name a folder")
    with hold(out / _LOCK, f"{out}: another 'comoto simulate' is working there; name another folder"):
        return _simulate(out, config, workers)


def _simulate(out: Path, config: SimulateConfig, workers: int) -> SimulatedPaths:
    paths = SimulatedPaths(out / "bcs-dbt", out / "vindr-mammo")
    if _begin(out, config):
        _tidy(out)
        say(f"{out}: already complete")
        return paths
    tomosynthesis, mammography = plan_tomosynthesis(config), plan_mammography(config)
    cases: list[Case] = [*tomosynthesis, *mammography]
    jobs = (joblib.delayed(_make)(case, config, out.absolute()) for case in cases)
    with joblib_backend("loky", workers, None):
        run = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    done = run(jobs)
    found: dict[type, dict[tuple[int, int], list[Finding]]] = {TomosynthesisCase: {}, MammogramCase: {}}
    for case_type, key, findings in track(done, "simulate images", len(cases)):
        found[case_type][key] = findings
    write_bcs_dbt_tables(paths.bcs_dbt, tomosynthesis, found[TomosynthesisCase])
    shape = (config.grid.rows, config.grid.columns)
    write_vindr_tables(paths.vindr_mammo, mammography, found[MammogramCase], shape)
    _describe(out, config, complete=True)
    _tidy(out)
    return paths


def _tidy(out: Path) -> None:
    """Remove what only an unfinished simulation needs, and what killed ones left half-written."""
    shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    for part in out.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _begin(out: Path, config: SimulateConfig) -> bool:
    """Claim ``out``; return whether it already holds the whole data set."""
    about = out / _ABOUT
    if about.is_file():
        content = read_json_object(about, DatasetError, "simulate into a new folder", (_FORMER_FORMAT,))
        known = content.get("format") in (_FORMAT, _FORMER_FORMAT)
        if not known or content.get("config") != config.model_dump(mode="json"):
            raise OutputExistsError(
                f"{out}: holds a simulated data set of another configuration ({about}); "
                "choose another folder or delete this one"
            )
        return bool(content["complete"])
    if any(path.name != _LOCK for path in out.iterdir()):
        raise OutputExistsError(f"{out}: exists and is not a simulated data set; choose another folder")
    _describe(out, config, complete=False)
    return False


def _describe(out: Path, config: SimulateConfig, *, complete: bool) -> None:
    content = {"format": _FORMAT, "complete": complete, "config": config.model_dump(mode="json")}
    write_sealed_json(out / _ABOUT, content)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _make(case: Case, config: SimulateConfig, out: Path) -> tuple[type, tuple[int, int], list[Finding]]:
    """Make one image unless an earlier run has; return its findings."""
    kind = "tomosynthesis" if isinstance(case, TomosynthesisCase) else "mammogram"
    note = out / _PROGRESS / f"{kind}-{case.key[0]}-{case.key[1]}.json"
    findings: list[Finding]
    if note.is_file():
        with suppress(DatasetError):  # damaged, or of a former version: the image is made again
            findings = read_json_object(note, DatasetError, "")["findings"]
            return type(case), case.key, findings
    with _one_opencv_thread():
        if isinstance(case, TomosynthesisCase):
            findings = _make_tomosynthesis(case, config, out / "bcs-dbt")
        else:
            findings = _make_mammogram(case, config, out / "vindr-mammo")
    write_sealed_json(note, {"findings": findings}, indent=None)
    return type(case), case.key, findings


def _phantom(case: Case, config: SimulateConfig, rng: np.random.Generator) -> Phantom:
    view = draw_view(case.breast, case.view, config.grid.rows * config.grid.pixel_mm, rng)
    return grow_phantom(case.breast, view, case.masses, config.grid, rng)


def _make_mammogram(case: MammogramCase, config: SimulateConfig, root: Path) -> list[Finding]:
    rng = pixel_rng(config, case)
    mammogram = expose_mammogram(_phantom(case, config, rng), config.mammography, rng)
    mirrored = case.laterality is Laterality.RIGHT
    pixels = np.ascontiguousarray(mammogram.pixels[:, ::-1]) if mirrored else mammogram.pixels
    path = root / "images" / case.study_id / f"{case.image_id}.dicom"
    write_mammogram(path, case, config, mammogram.window, pixels)
    return [_finding(box, config.grid.columns if mirrored else None) for box in mammogram.boxes_xyxy]


def _make_tomosynthesis(case: TomosynthesisCase, config: SimulateConfig, root: Path) -> list[Finding]:
    rng = pixel_rng(config, case)
    phantom = _phantom(case, config, rng)
    volume = expose_tomosynthesis(phantom, config.tomosynthesis, rng)
    thickness = phantom.view.thickness
    del phantom
    classic = config.tomosynthesis.layout == "classic"
    name = classic_path(case) if classic else descriptive_path(case, on_disk=True)
    mirrored = case.laterality is Laterality.RIGHT
    header = _header(case, config, volume, thickness)
    write_tomosynthesis(root / name, header, _streams(case, volume, config.traps.precision_bits))
    width = config.grid.columns if mirrored else None
    return [
        {**_finding(box, width), "slice": index, "num_slices": len(volume.slice_heights)}
        for box, index in zip(volume.boxes_xyxy, volume.slice_indices, strict=True)
    ]


def _streams(case: TomosynthesisCase, volume: TomosynthesisVolume, precision: int) -> Iterator[bytes]:
    """Yield the encoded frames in stored orientation."""
    for frame in volume.frames():
        stored = frame[:, ::-1] if case.laterality is Laterality.RIGHT else frame
        stored = stored[::-1, ::-1] if case.rotated else stored
        yield encode_frame(np.ascontiguousarray(stored), precision)


def _header(
    case: TomosynthesisCase, config: SimulateConfig, volume: TomosynthesisVolume, thickness_mm: float
) -> TomosynthesisHeader:
    left_always = config.traps.laterality_always_left
    return TomosynthesisHeader(
        patient_id=case.patient_id,
        study_instance_uid=case.study_uid,
        series_instance_uid=case.series_uid,
        sop_instance_uid=case.instance_uid,
        study_description=case.study_description,
        series_number=case.series_number,
        view=case.view,
        laterality=case.laterality,
        rows=config.grid.rows,
        columns=config.grid.columns,
        num_frames=len(volume.slice_heights),
        pixel_mm=config.grid.pixel_mm,
        slice_mm=config.grid.slice_mm,
        thickness_mm=thickness_mm,
        window=volume.stored.window,
        frame_laterality=Laterality.LEFT if left_always else case.laterality,
        angle_deg=config.tomosynthesis.angle_deg,
        num_views=config.tomosynthesis.num_views,
        with_pixel_spacing=config.traps.pixel_spacing,
    )


def _finding(box: BoxXyxy, mirror_width: int | None) -> Finding:
    x1, y1, x2, y2 = box
    if mirror_width is not None:
        x1, x2 = mirror_width - x2, mirror_width - x1
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
