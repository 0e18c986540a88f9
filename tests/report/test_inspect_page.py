"""The page of random prepared cases."""

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from comoto.cli.main import app
from comoto.errors import OutputExistsError
from comoto.preprocessing import PreparedStore
from comoto.report.inspect_page import choose as choose_records
from comoto.report.inspect_page import write_inspect_page
from tiny_exams import Exams


def choose(store: PreparedStore, cases: int, seed: int) -> list[str]:
    return choose_records([store.record(name) for name in store.image_ids], cases, seed)


def lesions(store: PreparedStore, names: list[str]) -> list[bool]:
    return [bool(store.record(name).lesions) for name in names]


def test_half_of_the_cases_show_lesions_and_one_kind_fills_up_for_the_other(exams: Exams) -> None:
    store = PreparedStore(exams.stores / "bcs-dbt")
    positive = sum(lesions(store, list(store.image_ids)))
    negative = len(store) - positive
    assert min(positive, negative) >= 3
    assert lesions(store, choose(store, 6, 0)) == [True] * 3 + [False] * 3
    assert lesions(store, choose(store, 1, 0)) == [True]
    everything = choose(store, 1000, 0)
    assert sorted(everything) == sorted(store.image_ids)
    assert lesions(store, everything) == [True] * positive + [False] * negative
    assert choose(store, 6, 0) == choose(store, 6, 0) != choose(store, 6, 1)


@pytest.mark.parametrize("name", ["bcs-dbt", "vindr-mammo"])
def test_the_page_shows_planes_and_boxes_of_the_store(exams: Exams, tmp_path: Path, name: str) -> None:
    store = PreparedStore(exams.stores / name)
    chosen = choose(store, 4, 3)
    page = write_inspect_page(store, tmp_path / "page.html", 4, 3).read_text(encoding="utf-8")
    assert page == write_inspect_page(store, tmp_path / "again.html", 4, 3).read_text(encoding="utf-8")
    assert [title for title in store.image_ids if f"<h3>{title}: " in page] == [
        title for title in store.image_ids if title in chosen
    ]
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # nothing is fetched from anywhere

    first = chosen[0]
    boxes, slices = store.lesions_on_grid(first)
    own = page.split(f"<h3>{first}: ")[1].split("<h3>")[0]
    plane = int(np.abs(store.slice_indices(first) - min(slices)).argmin())
    height, width = store.plan(first).grid_shape
    picture = re.search(r'<image href="data:image/jpeg;base64,([^"]+)"', own)
    assert picture is not None
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(picture.group(1)))), dtype=np.float64)
    assert shown.shape == (height, width)
    assert np.abs(shown - store.plane(first, plane)).mean() < 6  # JPEG

    # 400 view units are the whole height: the first box of the first picture, worked out by hand
    x1, y1, x2, y2 = (float(value) * 400 / height for value in boxes[0])
    rect = re.search(
        r'<rect class="lesion" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/>', own
    )
    assert rect is not None
    assert [float(value) for value in rect.groups()] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.06)
    assert "from the file" in own or "from percentiles" in own


def test_notes_of_the_plan_stand_at_the_case(exams: Exams, tmp_path: Path) -> None:
    store = PreparedStore(exams.stores / "bcs-dbt")
    turned = [name for name in store.image_ids if store.plan(name).orient.steps]
    assert turned  # the exams were simulated with some volumes stored the other way round
    page = write_inspect_page(store, tmp_path / "page.html", len(store), 0).read_text(encoding="utf-8")
    for name in turned:
        own = page.split(f"<h3>{name}: ")[1].split("<h3>")[0]
        assert '<p class="notice">turned by 180 degrees' in own


def test_the_command_does_not_overwrite(exams: Exams, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    arguments = ["inspect", str(exams.stores / "vindr-mammo"), "--out", str(out), "--cases", "2"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert out.read_text(encoding="utf-8").count("<h3>") == 2
    assert isinstance(CliRunner().invoke(app, arguments).exception, OutputExistsError)


def test_a_manifest_is_shown_without_a_store(exams: Exams, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    arguments = ["inspect", str(exams.manifests / "bcs-dbt"), "--out", str(out), "--cases", "2"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert page.count("<h3>") == 2
    assert page.count('<rect class="lesion"') > 1
    assert list(tmp_path.iterdir()) == [out]
