"""Tables from a name in a configuration to the class that it stands for.

Adding a distiller, detector or data set is one new file and one line here. A name with a colon
(``my_lab.losses:MyDistiller``) is taken as it is, so outside code needs no line at all.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from comoto.errors import ConfigError

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
}
DATASETS = {
    "bcs-dbt": "comoto.datasets.bcs_dbt:read_bcs_dbt",
    "cbis-ddsm": "comoto.datasets.cbis_ddsm:read_cbis_ddsm",
    "cmmd": "comoto.datasets.cmmd:read_cmmd",
    "csv": "comoto.datasets.table_csv:read_table_csv",
    "inbreast": "comoto.datasets.inbreast:read_inbreast",
    "msynth": "comoto.datasets.msynth:read_msynth",
    "omidb": "comoto.datasets.omidb:read_omidb",
    "omidb-selection": "comoto.datasets.omidb_selection:read_omidb_selection",
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
TABLES = {"detector": DETECTORS, "distiller": DISTILLERS, "data set": DATASETS, "aggregator": AGGREGATORS}


def resolve(table: str, name: str) -> Any:
    """Import and return what ``name`` stands for.

    Args:
        table: ``"detector"``, ``"distiller"``, ``"data set"`` or ``"aggregator"``.
        name: a name of that table, or ``"module:attribute"`` of outside code.

    Raises:
        ConfigError: the name is unknown, or outside code cannot be imported or is no whole component.
    """
    target = TABLES[table].get(name, name)
    if ":" not in target:
        raise ConfigError(f"unknown {table} '{name}'; {suggest(name, TABLES[table])}")
    module_name, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        away = isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]
        way_out = f"; name the folder that holds {error.name} in PYTHONPATH" if away else ""
        raise ConfigError(f"{table} '{name}' cannot be imported: {error}{way_out}") from error
    if name not in TABLES[table]:
        _check_outside(table, name, found)
    return found


def _check_outside(table: str, name: str, found: Any) -> None:
    """Refuse outside code that is no class of a component, or an unfinished one."""
    if table in ("detector", "distiller") and not hasattr(found, "Config"):
        raise ConfigError(f"{table} '{name}' has no Config; name the {table}'s class")
    unfinished = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    if unfinished:
        raise ConfigError(f"{table} '{name}' does not define {unfinished}")


def suggest(name: str, known: Any) -> str:
    """Say which known name is nearest to a misspelt one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
