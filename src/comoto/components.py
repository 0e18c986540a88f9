"""Tables from a name in a configuration to the class that it stands for.

Adding a distiller, detector or data set is one new file and one line here. A name with a colon
(``my_lab.losses:MyDistiller``) is taken as it is, so outside code needs no line at all; but it is imported
only if its module was allowed: by the user who typed the name, or by ``allow_code``. A name that stands in a
file (a checkpoint, a study, a preset) allows nothing, so files of a stranger can be opened.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from comoto.errors import ConfigError, ForeignCodeError

DETECTORS = {
    "faster_rcnn": "comoto.detectors.faster_rcnn:FasterRcnnDetector",
    "fcos": "comoto.detectors.fcos:FcosDetector",
    "retinanet": "comoto.detectors.retinanet:RetinaNetDetector",
}
DISTILLERS = {
    "none": "comoto.distill.none:NoDistiller",
    "image_level": "comoto.distill.image_level:ImageLevelDistiller",
    "lesion_points": "comoto.distill.lesion_points:LesionPointsDistiller",
    "lesion_regions": "comoto.distill.lesion_regions:LesionRegionsDistiller",
    "lesion_matching": "comoto.distill.lesion_matching:LesionMatchingDistiller",
    "unidistill": "comoto.distill.unidistill:UniDistiller",
    "prototypes": "comoto.distill.prototypes:PrototypeDistiller",
    "pkd": "comoto.distill.pkd:PkdDistiller",
    "cross_kd": "comoto.distill.cross_kd:CrossKdDistiller",
    "responses": "comoto.distill.responses:ResponsesDistiller",
}
DATASETS = {
    "bcs-dbt": "comoto.datasets.bcs_dbt:read_bcs_dbt",
    "cbis-ddsm": "comoto.datasets.cbis_ddsm:read_cbis_ddsm",
    "cdd-cesm": "comoto.datasets.cdd_cesm:read_cdd_cesm",
    "cmmd": "comoto.datasets.cmmd:read_cmmd",
    "csv": "comoto.datasets.own_tables:read_table_csv",
    "inbreast": "comoto.datasets.inbreast:read_inbreast",
    "msynth": "comoto.datasets.tsynth.msynth:read_msynth",
    "omidb": "comoto.datasets.omidb:read_omidb",
    "omidb-selection": "comoto.datasets.omidb.selection:read_omidb_selection",
    "tsynth": "comoto.datasets.tsynth:read_tsynth",
    "victre": "comoto.datasets.victre:read_victre",
    "vindr-mammo": "comoto.datasets.vindr_mammo:read_vindr_mammo",
}
AGGREGATORS = {
    "local_maximum": "comoto.inference.aggregate.local_maximum:LocalMaximum",
    "nms_3d": "comoto.inference.aggregate.nms_3d:Nms3d",
    "box_fusion": "comoto.inference.aggregate.box_fusion:BoxFusion",
    "tracks": "comoto.inference.aggregate.tracks:Tracks",
}
SETTINGS = {"detector": "comoto.detectors.settings", "distiller": "comoto.distill.settings"}
"""Homes of the settings of our own components, which need no torch: a typo is told before it is imported."""
ALIASES = {
    "distiller": {"lskd": "lesion_points", "lwf": "responses"},
    "aggregator": {"weighted_box_fusion": "box_fusion"},
}
"""What the literature calls some of them: understood, and written as the name it stands for."""
TABLES = {"detector": DETECTORS, "distiller": DISTILLERS, "data set": DATASETS, "aggregator": AGGREGATORS}


_allowed: set[str] = set()
"""Modules of outside code that may be imported, with what lies in them."""


def allow_code(*modules: str) -> None:
    """Let names in files import these modules, and what lies in them, until the process ends.

    Args:
        modules: such as ``my_lab``, which allows ``my_lab.losses`` too.

    Raises:
        ConfigError: this is no name of a module.

    Examples:
        >>> import comoto
        >>> comoto.allow_code("my_lab")  # such as kind: my_lab.losses:MyDistiller
    """
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"--allow-code {short(name)}: this is no name of a module, such as my_lab")
    _allowed.update(modules)


def allowed_code() -> tuple[str, ...]:
    """Return the modules that are allowed, for a process that is to do the same."""
    return tuple(sorted(_allowed))


@contextmanager
def own_permissions() -> Iterator[None]:
    """Begin the block with nothing allowed; what is allowed inside is allowed there only."""
    before = set(_allowed)
    _allowed.clear()
    try:
        yield
    finally:
        _allowed.clear()
        _allowed.update(before)


def allow_typed(content: Any) -> None:
    """Allow the outside code that settings name, because the user has typed them.

    Args:
        content: settings, nested or not; the values of ``kind`` count.
    """
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key == "kind" and isinstance(value, str) and ":" in value:
                allow_code(value.partition(":")[0])
            allow_typed(value)


def known_name(table: str, name: str) -> str:
    """Return the name that an alias stands for, any other as it is.

    >>> known_name("distiller", "lskd")
    'lesion_points'
    """
    return ALIASES.get(table, {}).get(name, name)


def check_name(table: str, name: str) -> None:
    """Check that a name may be resolved; nothing is imported.

    Args:
        table: as for ``resolve``.
        name: likewise.

    Raises:
        ConfigError: the name is unknown.
        ForeignCodeError: it is of outside code that was not allowed.
    """
    if name in TABLES[table]:
        return
    module, colon, _ = name.partition(":")
    if not colon:
        raise ConfigError(
            f"unknown {table} '{short(name)}'; {suggest(name, [*TABLES[table], *ALIASES.get(table, ())])}"
        )
    parts = module.split(".")
    if not any(".".join(parts[:length]) in _allowed for length in range(1, len(parts) + 1)):
        raise ForeignCodeError(
            f"{table} '{short(name)}' is code outside comoto, named in a file; if you know it and trust it, "
            f"add --allow-code {short(parts[0])} (Python: comoto.allow_code)"
        )


def resolve(table: str, name: str) -> Any:
    """Import and return what ``name`` stands for.

    Args:
        table: ``"detector"``, ``"distiller"``, ``"data set"`` or ``"aggregator"``.
        name: a name of that table, or ``"module:attribute"`` of outside code.

    Raises:
        ConfigError: the name is unknown, or outside code was not allowed, cannot be imported or is no whole
            component.
    """
    check_name(table, name)
    module_name, _, attribute = TABLES[table].get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        away = isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]
        way_out = f"; name the folder that holds {error.name} in PYTHONPATH" if away else ""
        raise ConfigError(f"{table} '{name}' cannot be imported: {error}{way_out}") from error
    if name not in TABLES[table]:
        _check_outside(table, name, found)
    return found


def settings_class(table: str, name: str) -> Any:
    """Return the ``Config`` of a component; the code of one of our own is not imported for it.

    Args:
        table: ``"detector"`` or ``"distiller"``.
        name: as for ``resolve``.

    Raises:
        ConfigError: as ``resolve``.
    """
    if name in TABLES[table]:
        return importlib.import_module(SETTINGS[table]).SETTINGS[name]
    return resolve(table, name).Config


def _check_outside(table: str, name: str, found: Any) -> None:
    """Refuse outside code that is no class of a component, or an unfinished one."""
    if table in ("detector", "distiller") and not hasattr(found, "Config"):
        raise ConfigError(f"{table} '{name}' has no Config; name the {table}'s class")
    if not (callable(found) if table == "data set" else isinstance(found, type)):
        raise ConfigError(f"{table} '{name}' is no {'function' if table == 'data set' else 'class'}")
    unfinished = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    if unfinished:
        raise ConfigError(f"{table} '{name}' does not define {unfinished}")


def short(value: object, most: int = 80) -> str:
    """Return a value as text for a message, which it must not fill."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def suggest(name: str, known: Any) -> str:
    """Say which known name is nearest to a misspelt one."""
    names = sorted(known)
    folded = {each.casefold(): each for each in reversed(names)}
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [
        folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    ]
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
