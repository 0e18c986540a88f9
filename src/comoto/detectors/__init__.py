"""Detectors: one forward gives the features, and the features give losses or detections."""
