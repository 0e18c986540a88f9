"""Count the rooms of ``comoto.datasets`` and ``comoto.splits`` and the imports between them.

A room is a module, or a package with all that is in it; a floor is a step of the longest chain of imports.
Run: python benchmarks/rooms.py
"""

from __future__ import annotations

from pathlib import Path

import grimp

import comoto

TOP = ("comoto.datasets", "comoto.splits")


def room(module: str) -> str:
    """Return the room that a module is in: a part of ``datasets``, ``splits`` as a whole, or a package."""
    depth = 3 if module.startswith("comoto.datasets.") else 2
    return ".".join(module.split(".")[:depth])


def floors(arrows: set[tuple[str, str]]) -> int:
    """Return the number of rooms in the longest chain."""
    below: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in below:
            below[name] = 1 + max((depth(end) for start, end in arrows if start == name), default=0)
        return below[name]

    return max(depth(start) for start, _ in arrows)


def main() -> None:
    """Count and print."""
    graph = grimp.build_graph("comoto")
    links = {
        (room(start), room(end))
        for start in graph.modules
        for end in graph.find_modules_directly_imported_by(start)
    }
    rooms = {room(module) for module in graph.modules if module.startswith(TOP)}
    inside = {(start, end) for start, end in links if start != end and {start, end} <= rooms}
    others = sorted(f"{start} -> {end}" for start, end in links if end in rooms and start not in rooms)
    files = [
        path
        for name in ("datasets", "splits")
        for path in (Path(comoto.__file__).parent / name).rglob("*.py")
    ]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    print(f"{len(rooms)} rooms, {len(inside)} arrows between them, {floors(inside)} floors, {lines} lines")
    print(f"{len(others)} arrows from other packages:", *others, sep="\n  ")


if __name__ == "__main__":
    main()
