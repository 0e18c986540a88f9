"""Count the lines of ``src`` per room in two commits: all, code, docstrings.

Code is what is neither blank, nor a comment, nor a docstring. A room is a package or module below ``comoto``.
Run: python benchmarks/lines.py BEFORE [AFTER]
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter

KINDS = ("all", "code", "docstrings")


def git(*words: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def counted(text: str) -> Counter[str]:
    """Count the lines of one module by kind."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for part in body if isinstance(body, list) else ():
            if (
                isinstance(part, ast.Expr)
                and isinstance(part.value, ast.Constant)
                and isinstance(part.value.value, str)
            ):
                docstrings.update(range(part.lineno, (part.end_lineno or part.lineno) + 1))
    lines = text.splitlines()
    code = sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in docstrings
        for number, line in enumerate(lines, 1)
    )
    return Counter({"all": len(lines), "code": code, "docstrings": len(docstrings)})


def rooms(commit: str) -> dict[str, Counter[str]]:
    """Count the lines of each room in a commit."""
    found: dict[str, Counter[str]] = {}
    for path in git("ls-tree", "-r", "--name-only", commit, "src/comoto").splitlines():
        if path.endswith(".py"):
            room = path.split("/")[2].removesuffix(".py")
            found[room] = found.get(room, Counter()) + counted(git("show", f"{commit}:{path}"))
    return found


def main(words: list[str]) -> None:
    """Print the table."""
    commits = [words[0], words[1] if len(words) > 1 else "HEAD"]
    before, after = (rooms(commit) for commit in commits)
    print(f"| room | {' | '.join(f'{kind} before | after' for kind in KINDS)} |")
    print(f"|---{'|---' * 2 * len(KINDS)}|")
    for room in [*sorted({*before, *after}), "sum"]:
        cells = []
        for kind in KINDS:
            for counts in (before, after):
                one = (
                    sum(each[kind] for each in counts.values())
                    if room == "sum"
                    else counts.get(room, {}).get(kind)
                )
                cells.append("" if one is None else f"{one:,}")
        print(f"| {room} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
