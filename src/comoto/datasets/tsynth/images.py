"""From cases of T-SYNTH or M-SYNTH to the tables of a manifest, with everything that was odd on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comoto.datasets.reading.boxes import clipped
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.tsynth.cases import MOST_NAMED, Case, CaseOptions
from comoto.datasets.tsynth.lesions import Centre, PlacedBox, box_about, picture_shape, read_centres
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import ImageRecord, Laterality, Lesion, Manifest, Modality, View
from comoto.sources.raw_volume import RawLayout, raw_file, read_entries, read_layout


class CaseLesions(ABC):
    """Where a data set keeps what it knows of its lesions.

    Attributes:
        is_mammogram: the order of the coordinates in ``.loc`` files.
    """

    is_mammogram: bool

    @abstractmethod
    def kind(self, layout: RawLayout) -> tuple[str, Modality]:
        """Return a word for the image's id, and what the image is."""

    @abstractmethod
    def mask(self, case: Case) -> Path | None:
        """Return the mask's file, None if the case has none."""

    @abstractmethod
    def boxes_in_mask(self, mask: Path, layout: RawLayout, centres: Sequence[Centre]) -> list[PlacedBox]:
        """Return the boxes of the masses in the mask; ``centres`` are those of the ``.loc`` file."""


def layouts(
    root: Path, cases: Sequence[Case], options: CaseOptions, ledger: Ledger
) -> list[tuple[Case, RawLayout]]:
    """Return how each case's raw file is read; cases that have none, or a damaged one, are left out.

    Raises:
        DatasetError: raw files are missing, and that was not allowed; or no case is left.
    """
    laid_out, missing = [], []
    for case in cases:
        try:
            if not raw_file(case.header, read_entries(case.header)).is_file():
                missing.append(str(case.header.relative_to(root)))
                ledger.drop_of("no raw file beside the header", case.study_id)
                continue
            laid_out.append((case, read_layout(case.header)))
        except DicomError as error:
            ledger.drop(str(error))
    refuse_missing(root, "raw files of the headers", missing, len(cases), options.allow_missing)
    _require_left(root, laid_out, ledger)
    return laid_out


def case_manifest(
    dataset: str,
    root: Path,
    laid_out: Sequence[tuple[Case, RawLayout]],
    lesions: CaseLesions,
    options: CaseOptions,
    ledger: Ledger,
) -> Manifest:
    """Return the manifest of the cases whose lesions are known.

    Raises:
        ConfigError: masks cannot be read without a further package.
        DatasetError: no image is left.
    """
    records = []
    for case, layout in track(laid_out, "look for lesions", len(laid_out)):
        found = _Search(ledger, case, layout, lesions, lesions.mask(case), options.boxes).boxes()
        if found is not None:
            word, modality = lesions.kind(layout)
            image_id = "-".join(filter(None, (dataset, word, case.study_id, case.dose)))
            category = case.word(options.category, "mass")
            of_case = tuple(_lesion(ledger, case, layout, box, category) for box in found)
            records.append(_record(image_id, modality, case, layout, of_case, options.label))
    _require_left(root, records, ledger)
    return Manifest.from_records(dataset, records, ledger.notes, ledger.dropped)


def _require_left(root: Path, images: Sequence[object], ledger: Ledger) -> None:
    if not images:
        raise DatasetError(f"{root}: no image is left ({'; '.join(ledger.dropped[:MOST_NAMED])})")


def _record(
    image_id: str, modality: Modality, case: Case, layout: RawLayout, lesions: tuple[Lesion, ...], label: str
) -> ImageRecord:
    assert case.split is not None  # find_cases left out the others
    return ImageRecord(
        image_id=image_id,
        modality=modality,
        patient_id=case.patient_id,
        study_id=case.study_id,
        view_key="lcc",
        laterality=Laterality.LEFT,
        view=View.CC,
        split=case.split,
        label=case.word(label, "lesion" if lesions else "no lesion"),
        path=case.header,
        num_slices=layout.num_frames,
        lesions=lesions,
    )


@dataclass(frozen=True)
class _Search:
    """Where the lesions of one case are looked for."""

    ledger: Ledger
    case: Case
    layout: RawLayout
    lesions: CaseLesions
    mask: Path | None
    wanted: str

    def boxes(self) -> list[PlacedBox] | None:
        """Return the boxes, none if the case has no lesion; None if it has to be left out."""
        loc = self.case.header.with_suffix(".loc")
        try:
            if not loc.is_file():
                return self._without_loc()
            centres = read_centres(loc, self.layout, is_mammogram=self.lesions.is_mammogram)
            if centres and self.case.number % 2 == 0:
                self._note("a case of even number has a lesion, which the release denies; it is kept")
            return self._with_centres(centres) if centres else []
        except DatasetError as error:
            self.ledger.drop(str(error))
            return None

    def _note(self, what: str) -> None:
        self.ledger.note_of(what, self.case.study_id)

    def _drop(self, why: str) -> None:
        self.ledger.drop_of(why, self.case.study_id)

    def _without_loc(self) -> list[PlacedBox] | None:
        """The release says that odd cases have a lesion, and that those with one have a ``.loc`` file."""
        is_odd = self.case.number % 2 == 1
        readable = self.mask is not None and self.wanted != "loc" and not self.lesions.is_mammogram
        if not readable and is_odd:
            self._drop("an odd case has a lesion, but no file says where")
            return None
        if not readable or self.mask is None:
            return []
        boxes = self.lesions.boxes_in_mask(self.mask, self.layout, [])
        if boxes:
            self._note("the mask shows a lesion, but there is no .loc file; the mask is believed")
        elif is_odd:
            self._note("a case of odd number has no lesion, which the release denies; it is kept")
        return boxes

    def _with_centres(self, centres: Sequence[Centre]) -> list[PlacedBox] | None:
        if self.wanted == "loc":
            return [box_about(centre, self.case.size) for centre in centres]
        boxes = self.lesions.boxes_in_mask(self.mask, self.layout, centres) if self.mask else []
        if boxes:
            if not any(box.holds(centre) for box in boxes for centre in centres):
                self._note("the centre in the .loc file lies outside of the mask's box, which is kept")
            return boxes
        missing = "no mask" if self.mask is None else "the mask shows no lesion where the .loc file says"
        if self.wanted == "mask":
            self._drop(f"boxes=mask, but {missing}")
            return None
        self._note(f"{missing}; the box is a square about the centre in the .loc file")
        return [box_about(centre, self.case.size) for centre in centres]


def _lesion(ledger: Ledger, case: Case, layout: RawLayout, box: PlacedBox, category: str) -> Lesion:
    inside = clipped(box.box_xyxy, *picture_shape(layout)) or box.box_xyxy
    if inside != box.box_xyxy:
        ledger.note_of("a box was clipped to the image", case.study_id)
    return Lesion(inside, box.slice_index, category)
