"""Images as they lie on disk, whatever their format: header first, then frame by frame."""

from comoto.sources.open import Source, open_source, read_source_header

__all__ = ["Source", "open_source", "read_source_header"]
