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

from comoto.datasets.reading.options import one_of
from comoto.datasets.tsynth.cases import TOMOSYNTHESIS, Case, CaseOptions, find_cases
from comoto.datasets.tsynth.images import CaseLedger, CaseLesions, case_manifest
from comoto.datasets.tsynth.lesions import Box, Centre, box_in_labels
from comoto.records import Manifest, Modality
from comoto.sources.raw_volume import RawLayout

_LAYOUT = "device_data_VICTREPhantoms_spic_*/<density>/2/<size>/SIM/*.<id>/<id>/reconstruction<id>.mhd"
_IMAGES = ("all", "cview", "volumes")


def read_tsynth(  # noqa: PLR0913 an argument an option of the command line
    root: Path,
    *,
    allow_missing: bool = False,
    images: str = "all",
    density: str | None = None,
    size: str | None = None,
    mass_density: str | None = None,
    label: str = "lesion",
    category: str = "mass",
    boxes: str = "auto",
) -> Manifest:
    """Find the cases on disk and their lesions.

    Args:
        root: any folder above the unpacked ``SIM`` folders, or one of them, if the folders above it have the
            release's names.
        allow_missing: leave out cases whose raw file is not on disk, and say so, instead of refusing.
        images: ``all``, ``cview`` or ``volumes``; the raw file's size tells which of them an image is.
        density: of the breast, such as ``fatty,dense``; all that are there if not given.
        size: radius of the mass in mm, such as ``5.0``.
        mass_density: such as ``1.06``.
        label: ``lesion`` (that, or ``no lesion``), ``density``, ``size``, ``mass-density`` or ``cohort``.
        category: of the lesions: ``mass``, ``density``, ``size``, ``mass-density`` or ``cohort``.
        boxes: ``auto`` takes the mask, or ``.loc`` where a case has none; ``mask`` or ``loc`` only that.

    Returns:
        One image per C-view or volume, in the authors' splits.

    Raises:
        ConfigError: an option has another word; or masks are there and the package h5py is not.
        DatasetError: no case is below ``root``, or raw files are missing.
    """
    options = CaseOptions(density, size, mass_density, label, category, boxes)
    options.check("tsynth")
    wanted = one_of("tsynth", "images", images, _IMAGES)
    root = Path(root).absolute()
    cases, dropped = find_cases(root, TOMOSYNTHESIS, f"T-SYNTH case ({_LAYOUT})")
    ledger = CaseLedger("tsynth", root, allow_missing, list(dropped))
    laid_out = [
        (case, layout)
        for case, layout in ledger.layouts(options.choose("tsynth", cases))
        if wanted in ("all", "volumes" if layout.num_frames > 1 else "cview")
    ]
    return case_manifest(ledger, laid_out, _Lesions(), options)


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

    def boxes_in_mask(self, mask: Path, layout: RawLayout, centres: Sequence[Centre]) -> list[Box]:
        box = box_in_labels(mask, layout)
        return [] if box is None else [box]
