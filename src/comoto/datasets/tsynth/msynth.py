"""M-SYNTH, simulated mammograms of the FDA (arXiv 2310.18494), as a manifest.

It is the mammography half of T-SYNTH (``comoto.datasets.tsynth``): the same breast has the same
``patient_id`` and the same breast with the same mass the same ``study_id`` in both. Every case was imaged
with five doses; by default the full one is read, that is the largest of each density.

The pictures have the chest wall at their left, so they are indexed as left breasts; the phantoms have no
side. The simulation compresses from head to foot: the view is CC.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import DatasetAbout, Words
from comoto.datasets.tsynth.cases import MAMMOGRAPHY, Case, CaseOptions, find_cases, pick
from comoto.datasets.tsynth.images import CaseLesions, case_manifest, layouts
from comoto.datasets.tsynth.lesions import Centre, PlacedBox, box_in_projection
from comoto.records import Manifest, Modality
from comoto.sources.raw_volume import RawLayout

FULL_DOSES = {"fatty": "2.22e10", "scattered": "2.04e10", "hetero": "1.02e10", "dense": "8.67e09"}
"""Photons of the full dose by density of the breast."""

_LAYOUT = "device_data_VICTREPhantoms_spic_*/<dose>/<density>/2/<size>/SIM/*.<id>/<id>/projection_DM<id>.mhd"


class MsynthOptions(CaseOptions):
    """Options of ``read_msynth``."""

    about = DatasetAbout(
        name="msynth",
        title="M-SYNTH, simulated mammograms (FDA)",
        modalities=("synthetic DM",),
        boxes="one mass in every other case",
        access="open: Hugging Face",
        licence="CC0",
        commercial_use="yes",
        citation=(
            "Sizikova E, Saharkhiz N, Sharma D, Lago M, Sahiner B, Delfino JG, Badano A. Knowledge-based in "
            "silico models and dataset for the comparative evaluation of mammography AI for a range of "
            "breast characteristics, lesion conspicuities and doses. Advances in Neural Information "
            "Processing Systems, 2023. arXiv 2310.18494"
        ),
        url="https://huggingface.co/datasets/didsr/msynth",
        notes=(
            "The same 1,200 simulated breasts as T-SYNTH, each with and without masses and at five doses: "
            "index both for paired mammograms and tomosynthesis. Training, validation and test by case, as "
            "T-SYNTH's authors split it. Not clinical evidence."
        ),
    )

    dose: Words = ("full",)
    """``full``, ``all``, or numbers of photons as the folders are named, such as 2.22e10; full is 2.22e10
    (fatty), 2.04e10 (scattered), 1.02e10 (hetero) or 8.67e09 (dense)."""


def read_msynth(root: Path, options: MsynthOptions) -> Manifest:
    """Find the cases on disk and their lesions.

    Args:
        root: any folder above the unpacked ``SIM`` folders, or one of them, if the folders above it have the
            release's names; ``segmentation_masks`` is looked for beside its ``data`` folder.
        options: what is read.

    Returns:
        One mammogram per case and dose, in the authors' splits.

    Raises:
        ConfigError: a chosen word is that of no case.
        DatasetError: no case is below ``root``, or raw files are missing.
    """
    ledger = Ledger()
    cases = find_cases(root, MAMMOGRAPHY, f"M-SYNTH case ({_LAYOUT})", ledger)
    chosen = _of_dose(options.choose("msynth", cases), options.dose, ledger)
    laid_out = layouts(root, chosen, options, ledger)
    return case_manifest("msynth", root, laid_out, _Lesions(), options, ledger)


def _of_dose(cases: list[Case], dose: tuple[str, ...], ledger: Ledger) -> list[Case]:
    if dose == ("all",):
        return cases
    if dose != ("full",):
        return pick("msynth", "dose", dose, cases, lambda case: case.dose)
    chosen = [case for case in cases if case.dose == FULL_DOSES[case.density]]
    if len(chosen) < len(cases):
        ledger.note(f"{len(cases) - len(chosen)} images of lower doses are left out, as chosen (dose=full)")
    return chosen


class _Lesions(CaseLesions):
    """What lies beside a mammogram, and its mask in a tree of its own."""

    is_mammogram = True

    def kind(self, layout: RawLayout) -> tuple[str, Modality]:
        return "dm", Modality.MAMMOGRAM

    def mask(self, case: Case) -> Path | None:
        parts = case.header.parts
        top = next(k for k, part in enumerate(parts) if re.match("device_data_VICTREPhantoms_", part))
        inside = (
            f"segmentation_masks/{case.density}/2/{case.size}/SIM/P2_{case.size}_{case.density}.{case.number}"
            f"/seg/{case.number}/projection_DM{case.number}.raw"
        )
        folders = (Path(*parts[:top]), Path(*parts[: max(1, top - 1)]))
        return next((path for path in (folder / inside for folder in folders) if path.is_file()), None)

    def boxes_in_mask(self, mask: Path, layout: RawLayout, centres: Sequence[Centre]) -> list[PlacedBox]:
        found = [box_in_projection(mask, layout, centre) for centre in centres]
        return [box for box in found if box is not None]
