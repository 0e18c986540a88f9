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

from comoto.datasets.tsynth.cases import MAMMOGRAPHY, Case, CaseOptions, find_cases, pick
from comoto.datasets.tsynth.images import CaseLedger, CaseLesions, case_manifest
from comoto.datasets.tsynth.lesions import Box, Centre, box_in_projection
from comoto.records import Manifest, Modality
from comoto.sources.raw_volume import RawLayout

FULL_DOSES = {"fatty": "2.22e10", "scattered": "2.04e10", "hetero": "1.02e10", "dense": "8.67e09"}
"""Photons of the full dose by density of the breast."""

_LAYOUT = "device_data_VICTREPhantoms_spic_*/<dose>/<density>/2/<size>/SIM/*.<id>/<id>/projection_DM<id>.mhd"


def read_msynth(  # noqa: PLR0913 an argument an option of the command line
    root: Path,
    *,
    allow_missing: bool = False,
    dose: str = "full",
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
            release's names; ``segmentation_masks`` is looked for beside its ``data`` folder.
        allow_missing: leave out cases whose raw file is not on disk, and say so, instead of refusing.
        dose: ``full``, ``all``, or doses as the folders are named, such as ``2.22e10,2.04e10``.
        density: of the breast, such as ``fatty,dense``; all that are there if not given.
        size: radius of the mass in mm, such as ``5.0``.
        mass_density: such as ``1.06``.
        label: ``lesion`` (that, or ``no lesion``), ``density``, ``size``, ``mass-density`` or ``cohort``.
        category: of the lesions: ``mass``, ``density``, ``size``, ``mass-density`` or ``cohort``.
        boxes: ``auto`` takes the mask, or ``.loc`` where a case has none; ``mask`` or ``loc`` only that.

    Returns:
        One mammogram per case and dose, in the authors' splits.

    Raises:
        ConfigError: an option has another word.
        DatasetError: no case is below ``root``, or raw files are missing.
    """
    options = CaseOptions(density, size, mass_density, label, category, boxes)
    options.check("msynth")
    root = Path(root).absolute()
    cases, dropped = find_cases(root, MAMMOGRAPHY, f"M-SYNTH case ({_LAYOUT})")
    ledger = CaseLedger("msynth", root, allow_missing, list(dropped))
    chosen = _of_dose(options.choose("msynth", cases), dose, ledger)
    return case_manifest(ledger, ledger.layouts(chosen), _Lesions(), options)


def _of_dose(cases: list[Case], dose: str, ledger: CaseLedger) -> list[Case]:
    if dose == "all":
        return cases
    if dose != "full":
        return pick("msynth", "dose", dose, cases, lambda case: case.dose)
    chosen = [case for case in cases if case.dose == FULL_DOSES[case.density]]
    if len(chosen) < len(cases):
        ledger.notes.append(
            f"{len(cases) - len(chosen)} images of lower doses are left out, as chosen (dose=full)"
        )
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

    def boxes_in_mask(self, mask: Path, layout: RawLayout, centres: Sequence[Centre]) -> list[Box]:
        found = [box_in_projection(mask, layout, centre) for centre in centres]
        return [box for box in found if box is not None]
