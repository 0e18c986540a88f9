"""Errors a user can act on: each message names the file, the row and the way out."""


class ComotoError(Exception):
    """Base of every error caused by input; the command line prints it and exits with code 2."""


class ConfigError(ComotoError):
    """A configuration file, preset or ``--set`` override is wrong."""


class ForeignCodeError(ConfigError):
    """A file names code outside this package that was not allowed; the file itself may be sound."""


class DatasetError(ComotoError):
    """A table or folder of a data set is missing, malformed or contradicts itself."""


class DicomError(ComotoError):
    """A file is not DICOM, is damaged, or is not the kind of object that was expected."""


class CheckpointError(ComotoError):
    """A checkpoint is missing, damaged or belongs to another architecture."""


class OutputExistsError(ComotoError):
    """The output path exists and was not written by an earlier run of the same command."""
