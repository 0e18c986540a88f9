"""What this machine does in a second, and which part of the work holds the others up."""

from comoto.doctor.examine import Examination, examine

__all__ = ["Examination", "examine"]
