"""Small tables for the tests of the challenge's metric."""

import pandas as pd

POSITIVE = [f"sensitivity_at_{fps}_fps_positive" for fps in (1, 2, 3, 4)]
ALL = "sensitivity_at_2_fps_all"
MEAN = "mean_sensitivity_positive"
BOX_COLUMNS = ["PatientID", "StudyUID", "View", "Slice", "X", "Y", "Width", "Height", "VolumeSlices"]
PREDICTION_COLUMNS = ["PatientID", "StudyUID", "View", "X", "Width", "Y", "Height", "Z", "Depth", "Score"]


def volume(number=1, view="lcc"):
    return {"PatientID": f"P{number}", "StudyUID": f"S{number}", "View": view}


def labels(*volumes):
    return pd.DataFrame([*volumes], columns=["PatientID", "StudyUID", "View"])


def box(where, x=1000, y=1000, slice_index=20, size=(100, 100), slices=49):
    """A box by its centre."""
    width, height = size
    return {
        **where,
        "Slice": slice_index,
        "X": x - width / 2,
        "Y": y - height / 2,
        "Width": width,
        "Height": height,
        "VolumeSlices": slices,
    }


def boxes(*rows):
    return pd.DataFrame([*rows], columns=BOX_COLUMNS)


def prediction(where, score, x=1000, y=1000, z=20, depth=0, size=(60, 40)):
    """A prediction by its centre in the plane and its first slice."""
    width, height = size
    return {
        **where,
        "X": x - width / 2,
        "Width": width,
        "Y": y - height / 2,
        "Height": height,
        "Z": z,
        "Depth": depth,
        "Score": score,
    }


def false_positive(where, score):
    return prediction(where, score, x=30, y=30)


def predictions(*rows):
    return pd.DataFrame([*rows], columns=PREDICTION_COLUMNS)
