"""Prediction: frames stream through the detector, slice boxes become volume boxes, files come out."""
