"""Filling a template: every page is one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def fill(template: str, page: Mapping[str, Any]) -> str:
    """Fill a template of this room; every text is escaped, and a name that is not in ``page`` is an error."""
    environment = Environment(
        loader=PackageLoader("comoto.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page)
