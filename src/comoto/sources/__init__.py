"""Images as they lie on disk, whatever their format: header first, then frame by frame."""

from comoto.dicom.source import Source
from comoto.sources.dicom_content import Content
from comoto.sources.open import (
    SourceKind,
    describe_source,
    look_at_file,
    open_source,
    read_source_header,
    source_files,
)
from comoto.sources.survey import survey

__all__ = [
    "Content",
    "Source",
    "SourceKind",
    "describe_source",
    "look_at_file",
    "open_source",
    "read_source_header",
    "source_files",
    "survey",
]
