"""From DICOM files to the network's grid: plans, the prepared store, and training batches.

``comoto.preprocessing.sampling`` needs torch and is imported by its full name.
"""

from comoto.preprocessing.plan import Plan, pad, plan_image
from comoto.preprocessing.prepare import prepare, prepare_with
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.spread import Work
from comoto.preprocessing.store import PreparedStore

__all__ = ["Plan", "PrepareOptions", "PreparedStore", "Work", "pad", "plan_image", "prepare", "prepare_with"]
