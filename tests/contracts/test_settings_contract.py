"""Settings stand apart from the code that they are of, and are the same that the code names."""

import pytest

from comoto.components import TABLES, resolve, settings_class
from comoto.config import load_train_config, override
from comoto.distill.settings import teacher_sees


@pytest.mark.parametrize("table", ["detector", "distiller"])
def test_settings_apart_are_those_of_the_component(table: str) -> None:
    for kind in TABLES[table]:
        assert settings_class(table, kind) is resolve(table, kind).Config
        assert settings_class(table, kind)(kind=kind).kind == kind
        if table == "distiller":
            config = override(load_train_config("demo"), [f"distill.kind={kind}"])
            assert teacher_sees(config) == resolve(table, kind).teacher_sees
