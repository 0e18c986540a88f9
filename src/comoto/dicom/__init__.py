"""Reading DICOM images frame by frame, with every check before the decoder runs."""
