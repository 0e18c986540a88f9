"""T-SYNTH, simulated tomosynthesis of the FDA (arXiv 2507.04038), as a manifest.

The release holds a C-view of every case, which is one picture like a mammogram and is indexed as one, and
full volumes of a few cases. Its mammograms are M-SYNTH (``msynth.py``): the same breast has the same
``patient_id`` and the same breast with the same mass the same ``study_id`` in both.

The pictures have the chest wall at their left, so they are indexed as left breasts; the phantoms have no
side. The simulation compresses from head to foot: the view is CC.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import DatasetAbout
from comoto.datasets.tsynth.cases import TOMOSYNTHESIS, Case, CaseOptions, find_cases
from comoto.datasets.tsynth.images import CaseLesions, case_manifest, layouts
from comoto.datasets.tsynth.lesions import Centre, PlacedBox, box_in_labels
from comoto.records import Manifest, Modality
from comoto.sources.raw_volume import RawLayout

_LAYOUT = "device_data_VICTREPhantoms_spic_*/<density>/2/<size>/SIM/*.<id>/<id>/reconstruction<id>.mhd"


class TsynthOptions(CaseOptions):
    """Options of ``read_tsynth``."""

    about = DatasetAbout(
        name="tsynth",
        title="T-SYNTH, simulated tomosynthesis (FDA)",
        modalities=("synthetic C-view", "synthetic DBT"),
        boxes="one mass in every other case",
        access="open: Hugging Face; all volumes: precisionFDA account",
        licence="CC0",
        commercial_use="yes",
        citation=(
            "Wiedeman C, Sarmakeeva A, Sizikova E, Filienko D, Lago M, Delfino JG, Badano A. T-SYNTH: A "
            "Knowledge-Based Dataset of Synthetic Breast Images. MICCAI Open Data, 2025. arXiv 2507.04038, "
            "doi.org/10.59275/j.melba.2025-g444"
        ),
        url="https://huggingface.co/datasets/didsr/tsynth",
        notes=(
            "9,000 cases of 1,200 simulated breasts; C-views of all, volumes of a few. The mammograms are "
            "M-SYNTH. The authors' training, validation and test cases. The masks are HDF5 files, which need "
            "the package h5py. Not clinical evidence."
        ),
    )

    images: Literal["all", "cview", "volumes"] = "all"
    """C-views, volumes or both; the raw file's size tells which of them an image is."""


def read_tsynth(root: Path, options: TsynthOptions) -> Manifest:
    """Find the cases on disk and their lesions.

    Args:
        root: any folder above the unpacked ``SIM`` folders, or one of them, if the folders above it have the
            release's names.
        options: what is read.

    Returns:
        One image per C-view or volume, in the authors' splits.

    Raises:
        ConfigError: a chosen word is that of no case; or masks are there and the package h5py is not.
        DatasetError: no case is below ``root``, or raw files are missing.
    """
    ledger = Ledger()
    cases = find_cases(root, TOMOSYNTHESIS, f"T-SYNTH case ({_LAYOUT})", ledger)
    laid_out = [
        (case, layout)
        for case, layout in layouts(root, options.choose("tsynth", cases), options, ledger)
        if options.images in ("all", "volumes" if layout.num_frames > 1 else "cview")
    ]
    return case_manifest("tsynth", root, laid_out, _Lesions(), options, ledger)


class _Lesions(CaseLesions):
    """What lies beside a C-view or volume."""

    is_mammogram = False

    def kind(self, layout: RawLayout) -> tuple[str, Modality]:
        if layout.num_frames > 1:
            return "volume", Modality.TOMOSYNTHESIS
        return "cview", Modality.MAMMOGRAM

    def mask(self, case: Case) -> Path | None:
        path = case.header.with_name(f"reconstruction_mask{case.number}.h5")
        return path if path.is_file() else None

    def boxes_in_mask(self, mask: Path, layout: RawLayout, centres: Sequence[Centre]) -> list[PlacedBox]:
        box = box_in_labels(mask, layout)
        return [] if box is None else [box]
