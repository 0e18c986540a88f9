"""The page of ``comoto report``: what one or several models found in the volumes of a manifest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.config import PreprocessConfig
from comoto.errors import ConfigError
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.own_volumes import HitRadius, part_of
from comoto.output_files import output_files
from comoto.progress import say
from comoto.records import Manifest, Modality, Split
from comoto.report.held_out import HeldOut
from comoto.report.inputs import SPLIT_WORDS, examples, split_rows
from comoto.report.page import fill
from comoto.report.results_sections import (
    Material,
    Page,
    froc_section,
    headline_section,
    pictures_section,
    without_picture,
)
from comoto.report.source_images import SourceImages
from comoto.report.training_runs import read_run, runs_section, seen_in_training
from comoto.report.wording import Words, listed
from comoto.versions import versions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportOptions:
    """How a report is made.

    Attributes:
        split: which patients are scored; all of the manifest if None.
        runs: run folders whose training is shown, by title.
        radius: least hit radius.
        draws: how intervals are made; at least one replicate.
        pictures: false decodes no image: no pictures, no random baseline, and sizes in pixels unless the
            radius is in millimetres.
    """

    split: Split | None
    runs: Mapping[str, Path]
    radius: HitRadius
    draws: Resampling
    pictures: bool


def write_results_report(
    out: Path,
    manifest: Manifest,
    predictions: Mapping[str, Path],
    options: ReportOptions,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the page; the same inputs give the same page.

    Args:
        out: the HTML file.
        manifest: with the images of the split alone, or with all.
        predictions: the challenge's submission file of each model by its title, the reference first.
        options: everything else.
        overwrite: replace an existing file.

    Returns:
        ``out``.

    Raises:
        ConfigError: there is no prediction, or no replicate.
        DatasetError: a table is wrong, or none of its rows is of a volume of the manifest.
        CheckpointError: a folder is no run.
        OutputExistsError: ``out`` exists.
    """
    if not predictions:
        raise ConfigError("a report needs predictions; give a table of one model at least")
    if options.draws.replicates < 1:
        raise ConfigError("a report shows intervals; give at least 1 replicate, better 1000")
    page = _page(manifest, predictions, options)
    output_files({out: fill("results.html.j2", page).encode()}, overwrite)
    for warning in page["warnings"]:
        say(f"warning: {warning}")
    return out


def _page(manifest: Manifest, predictions: Mapping[str, Path], options: ReportOptions) -> Page:
    runs = {title: read_run(folder) for title, folder in options.runs.items()}  # a wrong path is told first
    scored = part_of(manifest, options.split)
    held_out = HeldOut(scored, predictions, options.radius, options.draws, in_mm=options.pictures)
    preprocess = next((run.config.preprocess for run in runs.values()), PreprocessConfig())
    images = SourceImages(preprocess, opened=options.pictures)
    material = Material(held_out, images, _words(options.split))
    page = headline_section(material) | froc_section(material)
    page |= {"data_sets": (_volumes(manifest, held_out, images),)}  # mostly the slices of the next section
    page |= pictures_section(material)
    page |= runs_section(runs) | {
        "name": manifest.name,
        "names": listed([model.title for model in held_out.models]),
        "notices": seen_in_training(runs, (record.patient_id for record in held_out.volumes)),
        "tables": [
            {
                "title": model.title,
                "file": predictions[model.title].name,
                "predictions": model.result.num_predictions,
                "volumes": model.result.num_volumes_predicted,
            }
            for model in held_out.models
        ],
        "num_volumes": len(held_out.volumes),
        "versions": versions(),
    }
    if images.unreadable:
        first = next(iter(images.unreadable.values()))
        _log.warning(
            "no picture of %d images, which cannot be read; the first: %s", len(images.unreadable), first
        )
    return page | {"without_picture": without_picture(material)}


def _volumes(manifest: Manifest, held_out: HeldOut, images: SourceImages) -> dict[str, Any]:
    """Count the volumes of the manifest, and show some of those that are scored."""
    volumes = manifest.select(manifest.images["modality"] == Modality.TOMOSYNTHESIS.value)
    return {
        "title": "Volumes",
        "rows": split_rows(volumes),
        "examples": examples(held_out.volumes, images),
    }


def _words(split: Split | None) -> Words:
    if split is None:
        return Words()
    word = SPLIT_WORDS[split]
    return Words(volume=f"{word} volume", patient=f"{word} patient")
