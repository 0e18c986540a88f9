"""Damage in a prepared store: an error that names the file, found by --verify, mended by the next run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from comoto.cli.prepare import prepare as command
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.preprocessing import Execution, PreparedStore, prepare, prepare_with
from comoto.preprocessing.planes import DATA_OFFSET
from comoto.preprocessing.verify import verify_store
from comoto.records import Manifest

GRID = PreprocessConfig(rows=64, columns=32)
FILES = {
    "planes": "planes/*/*.npy",
    "their description": "planes/*/*.json",
    "an image": "images/*.json",
    "the index": "manifest/planes.json",
    "the manifest": "manifest/manifest.json",
    "images": "manifest/images.parquet",
    "lesions": "manifest/lesions.parquet",
}


@pytest.fixture
def manifest(tmp_path, write_dicom, breast, make_manifest):
    rows = []
    for seed, name in enumerate(("a", "b")):
        path = write_dicom(tmp_path / f"{name}.dcm", np.stack([breast(seed=seed)] * 4))
        rows.append({"image_id": name, "path": str(path)})
    return make_manifest(rows, [("a", 20, 60, 40, 90, 2)])


@pytest.fixture
def store(tmp_path, manifest):
    return prepare(manifest, tmp_path / "store", GRID, workers=1).folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, position: int, bit: int = 0) -> Path:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
    return path


def use(folder):
    """Read all that a training or a prediction reads."""
    store = PreparedStore(folder)
    return [
        (name, store.info(name).to_json(), store.record(name), store.plane(name, index).tobytes())
        for name in store.image_ids
        for index in range(len(store.slice_indices(name)))
    ]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("what", FILES)
def test_a_flipped_bit_is_named_found_and_mended(tmp_path, manifest, store, what, share):
    whole, used = contents(store), use(store)
    path = sorted(store.glob(FILES[what]))[0]
    flip(path, int(share * path.stat().st_size))
    if what != "an image":  # which nobody but 'comoto prepare' reads
        with pytest.raises(DatasetError, match=f"{path.name}.*(prepare|renders)"):
            use(store)
    assert any(str(path) in sentence for sentence in verify_store(store).damage)
    prepare(manifest, store, GRID, workers=1)
    assert contents(store) == whole
    assert verify_store(store).damage == ()
    assert use(store) == used


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("left", [0, 20, -2])
def test_a_cut_or_missing_file_is_named_found_and_mended(manifest, store, what, left):
    whole = contents(store)
    path = sorted(store.glob(FILES[what]))[0]
    path.write_bytes(path.read_bytes()[:left])
    if what != "an image":
        with pytest.raises(DatasetError, match=path.name):
            use(store)
    assert any(str(path) in sentence for sentence in verify_store(store).damage)
    path.unlink()
    assert verify_store(store).damage
    prepare(manifest, store, GRID, workers=1)
    assert contents(store) == whole


def test_only_the_planes_that_are_used_are_read(store):
    """The first image's last plane is damaged; all others can be used one by one."""
    path = PreparedStore(store).planes_path("a")
    flip(path, path.stat().st_size - 1)
    opened = PreparedStore(store)
    assert all(opened.plane("a", index).any() for index in range(3))
    with pytest.raises(DatasetError, match="plane 3 of 'a' is damaged"):
        opened.plane("a", 3)
    with pytest.raises(DatasetError, match="plane 3 of 'a' is damaged"):
        opened.pixels("a")
    assert opened.pixels("b").any()


def test_a_plane_is_checked_once(store, monkeypatch):
    import comoto.preprocessing.store as module

    checked = []
    original = module.is_plane
    monkeypatch.setattr(module, "is_plane", lambda *given: checked.append(given[1]) or original(*given))
    opened = PreparedStore(store)
    for _ in range(3):
        opened.plane("a", 2)
        opened.relabelled({"a": ()}).plane("a", 2)
    assert checked == [2]
    opened.pixels("a")
    assert checked == [2, 0, 1, 3]


def test_damaged_settings_say_the_way_out_and_it_works(manifest, store):
    whole = contents(store)
    flip(store / "store.json", 60)
    with pytest.raises(DatasetError, match=r"store\.json: is damaged.*delete it and run the same"):
        prepare(manifest, store, GRID, workers=1)
    assert "store.json" in verify_store(store).damage[0]
    (store / "store.json").unlink()
    planes = {path: path.stat().st_mtime_ns for path in store.glob(FILES["planes"])}
    prepare(manifest, store, GRID, workers=1)
    assert contents(store) == whole
    assert {path: path.stat().st_mtime_ns for path in store.glob(FILES["planes"])} == planes


def test_damaged_planes_are_not_taken_from_another_store(tmp_path, manifest, store):
    whole = contents(store)
    flip(PreparedStore(store).planes_path("a"), DATA_OFFSET + 7)
    prepare_with(manifest, tmp_path / "other", GRID, work=Execution(workers=1, reuse=(store,)))
    assert contents(tmp_path / "other") == whole


def test_a_damaged_note_of_an_image_of_a_former_manifest_goes(manifest, store):
    fewer = manifest.select(manifest.images["image_id"] == "a")
    flip(store / "images" / "b.json", 30)
    prepare(fewer, store, GRID, workers=1)
    assert [path.name for path in (store / "images").iterdir()] == ["a.json"]
    assert len(list((store / "planes").rglob("*.npy"))) == 1


def test_planes_under_the_name_of_others_are_damage(store):
    one, other = sorted((store / "planes").rglob("*.json"))
    shutil.copy(one, other)
    shutil.copy(one.with_suffix(".npy"), other.with_suffix(".npy"))
    with pytest.raises(DatasetError, match="describes other planes"):
        use(store)


def test_verify_as_a_command(store):
    def call(*arguments):
        app = typer.Typer()
        app.command()(command)
        return CliRunner().invoke(app, [str(part) for part in arguments])

    before = contents(store)
    sound = call("--out", store, "--verify")
    assert sound.exit_code == 0
    assert "2 images, nothing is damaged" in sound.output
    path = PreparedStore(store).planes_path("b")
    flip(path, DATA_OFFSET + 5)
    damaged = call("--out", store, "--verify")
    assert f"{path}: plane 0 is damaged" in damaged.output
    assert isinstance(damaged.exception, DatasetError)
    assert "1 damaged or missing" in str(damaged.exception)
    assert contents(store).keys() == before.keys()
    with pytest.raises(DatasetError, match=r"no store\.json"):
        verify_store(store / "planes")
    (store / "manifest" / "manifest.json").unlink()
    assert any("not finished" in sentence for sentence in verify_store(store).damage)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b"{"),
        ("manifest.json", b"[]"),
        ("manifest.json", b"\xff\xfe{}"),
        ("manifest.json", b'{"format": "comoto-manifest-1"}'),
        ("manifest.json", b'{"format": "comoto-manifest-9"}'),
        ("images.parquet", b"PAR1"),
        ("lesions.parquet", b""),
    ],
)
def test_a_damaged_manifest_of_any_format_is_one_named_error(tmp_path, manifest, name, content):
    manifest.save(tmp_path / "m")
    about = (tmp_path / "m" / "manifest.json").read_text()
    former = about.replace("comoto-manifest-2", "comoto-manifest-1")
    former = former[: former.index(',\n  "sha256"')] + "\n}\n"
    (tmp_path / "m" / "manifest.json").write_text(former)
    assert Manifest.load(tmp_path / "m").lesions.equals(manifest.lesions)  # without checksums
    (tmp_path / "m" / name).write_bytes(content)
    with pytest.raises(DatasetError, match=r"m(/.*)?: .*'comoto index'"):
        Manifest.load(tmp_path / "m")


def test_tables_of_another_manifest_are_not_taken(tmp_path, manifest):
    manifest.save(tmp_path / "m")
    manifest.select(manifest.images["image_id"] == "b").save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "lesions.parquet", tmp_path / "m" / "lesions.parquet")
    with pytest.raises(DatasetError, match=r"lesions\.parquet: is damaged, or was changed"):
        Manifest.load(tmp_path / "m")
