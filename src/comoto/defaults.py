"""Values that settings, calls and commands share: each stands here once."""

from typing import Literal

PRESETS = ("demo", "small", "full", "paper")
PRESET = "small"
"""The one that is taken where none is named."""
WORKERS = 2
"""Images, or runs of a study, at a time."""
VALIDATION_SHARE = 0.15
"""Of the training patients, where a set names no validation split."""
TEST_SHARE = 0.15
"""Of the patients, where a set names no split at all."""
SLICE_STEP = 4
"""Every how many slices away from lesions, where not all are prepared."""
SLICE_REACH = 0.1
"""Share of a volume's slices that are near a lesion."""
APPEARANCE_PATIENTS = 200
"""Training patients of a store at whose appearance is looked, at most."""
How = Literal["spectrum", "histogram", "clahe", "random_filter"]
"""``comoto appearance match``: one filter and the histogram; the others are controls."""
HIT_RADIUS = 100.0
"""Source pixels within which a centre is always near enough: the DBTex challenge's rule."""
CONSTANT_DEPTH = 0.40
"""Share of the stack within a quarter of which 90.6 % of the 224 training boxes of BCS-DBT lie."""
HIT_IOU = 0.1
"""Overlap from which on a box hits a lesion on a mammogram."""
REPLICATES = 1000
"""Of a bootstrap that is not asked for by number."""
