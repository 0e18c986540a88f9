"""Two metrics of the same detections as readable lines."""

from __future__ import annotations


def side_by_side(own: dict[str, float], published: dict[str, float]) -> list[str]:
    """Return one line for each metric that both have: the right metric, the published one, the difference."""
    lines = [
        "",
        "the same detections by the published code's metric (its defects: comoto.evaluation.published)",
        f"  {'':<32} {'this':>8} {'published':>10} {'difference':>11}",
    ]
    for name, value in published.items():
        if name in own:
            lines.append(f"  {name:<32} {own[name]:>8.4f} {value:>10.4f} {value - own[name]:>+11.4f}")
    return lines
