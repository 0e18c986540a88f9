"""The page that ``comoto demo`` ends with: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comoto.output_files import write_text
from comoto.progress import progress_bar
from comoto.report.demo_sections import SECTIONS, read_material
from comoto.report.page import fill

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a finished demo folder; a former one is replaced.

    Everything is read from the folder: pictures from the DICOM files, metrics from the predictions and the
    evaluations. The same folder gives the same page.

    Args:
        folder: what ``comoto demo`` made; comoto.report.demo_folder lists what lies in it.

    Returns:
        The path of the page.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
        DicomError: an image cannot be read.
    """
    path = folder / REPORT
    with progress_bar("write the report", len(SECTIONS) + 1) as advance:
        material = read_material(folder)
        page: dict[str, Any] = {}
        advance(1)
        for section in SECTIONS:
            page |= section(material)
            advance(1)
        write_text(path, fill("demo.html.j2", page))
    return path
