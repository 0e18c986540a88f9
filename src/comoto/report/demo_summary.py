"""What ``comoto demo`` says at its end: the results as a table, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from comoto.report.demo_folder import DemoFolder
from comoto.report.demo_sections import held_out_of
from comoto.report.headline import mean_interval
from comoto.report.wording import share, share_interval, signed, signed_interval

_PAGE = "docs/first-day.md"
_STUDENT = "joint-training"  # the default recipe


def demo_summary(folder: Path, report: Path) -> str:
    """Return the results of a finished demo as lines of text.

    Args:
        folder: of the demo.
        report: its page.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
    """
    held_out = held_out_of(DemoFolder(folder))
    students = held_out.models
    told = ["", *(f"{signed(d.value)} ({signed_interval(d.interval)})" for d in held_out.differences())]
    rows = [("student", "mean sensitivity", "95 % interval", f"minus {students[0].title} (paired interval)")]
    for student, difference in zip(students, told, strict=True):
        mean = share(student.result.mean_sensitivity_positive)
        rows.append((student.title, mean, share_interval(mean_interval(student)), difference))
    result, run = students[0].result, shlex.quote(str(folder / "runs" / _STUDENT))
    return f"""
{result.num_volumes_all} simulated test volumes with {result.num_lesions} lesions; each student trained once:

{_table(rows)}

Mean sensitivity: the share of lesions found, averaged over 1, 2, 3 and 4 false positives per volume with a
lesion. The intervals know patients only, not how much one training differs from the next. A hit may lie a
quarter of the stack away from the lesion's slice, so these metrics say nothing about depth.

The report, with pictures: {report.resolve()}
  open it in a browser, on Linux with: xdg-open {shlex.quote(str(report))}

Next, with files of your own ({_PAGE}):
  comoto predict --model {run} --out boxes.csv FOLDER
  comoto draw FILE --predictions boxes.csv --out look.png
This student has seen simulated exams only, so its boxes on real ones show the way, not lesions. Training on
your own exams takes comoto index, comoto prepare and comoto train."""


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
