"""From DICOM files to the network's grid: plans, the prepared store, and training batches.

``comoto.preprocessing.sampling`` needs torch and is imported by its full name.
"""

from comoto.preprocessing.plan import Plan, pad, plan_image
from comoto.preprocessing.prepare import prepare, prepare_with
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.workers import Execution

__all__ = [
    "Execution",
    "Plan",
    "PrepareOptions",
    "PreparedStore",
    "pad",
    "plan_image",
    "prepare",
    "prepare_with",
]
