"""What the figures say about depth: how many slices the boxes span, and what a mere guess would score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.evaluation.challenge_tables import SLICE_SHARE, read_predictions
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.report.held_out import HeldOut, Student
from comoto.report.wording import NOT_KNOWN, share

DEPTH_SENTENCE = (
    "Z is the first slice that a box spans, Depth the number of slices; a box is scored at the slice "
    "Z + Depth / 2. The challenge's rule forgives a quarter of the stack on either side of the annotated "
    "slice, so up to half of all slices count as right, and a box that spans most of the stack names its "
    "middle. These figures are no evidence that the depth of a lesion is found."
)


@dataclass(frozen=True)
class DepthRow:
    """What the depth of one student's boxes is worth.

    Attributes:
        title: of the student.
        span: slices that a box on a volume with a lesion spans, as a share of the stack; mean over boxes.
        mean: the student's mean sensitivity.
        in_the_middle: the same with every box put at the middle slice of its volume.
    """

    title: str
    span: str
    mean: str
    in_the_middle: str


def depth_rows(held_out: HeldOut) -> tuple[DepthRow, ...]:
    """Compare each student's depths with the simplest guess there is."""
    return tuple(_row(held_out, student) for student in held_out.students.values())


def _row(held_out: HeldOut, student: Student) -> DepthRow:
    truth, volume = held_out.truth, student.found.volume
    slices = np.full(len(truth.volumes) + 1, np.nan)  # the last entry serves volumes that nobody knows
    slices[truth.lesion_volume] = truth.slice_tolerance / SLICE_SHARE
    of_box = slices[volume]
    known = ~np.isnan(of_box)
    spans = np.maximum(student.table["Depth"].to_numpy(), 1)[known] / of_box[known]
    middle = np.where(known, of_box // 2, student.table["Z"].to_numpy())
    guessed = read_predictions(student.table.assign(Z=middle, Depth=0), truth)
    return DepthRow(
        title=student.title,
        span=f"{100 * float(spans.mean()):.0f} %" if len(spans) else NOT_KNOWN,
        mean=share(student.result.mean_sensitivity_positive),
        in_the_middle=share(mean_sensitivity_positive(guessed, truth)),
    )
