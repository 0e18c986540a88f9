"""The same pixels are rendered once and stored once, whoever asks for them and wherever the files lie."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from comoto.config import PreprocessConfig
from comoto.errors import DatasetError, OutputExistsError
from comoto.locks import hold
from comoto.preprocessing import Execution, PreparedStore, PrepareOptions, prepare, prepare_with
from comoto.preprocessing.fingerprint import fingerprint, stamp
from comoto.preprocessing.planes import DATA_OFFSET, npy_header
from comoto.preprocessing.verify import verify_store
from comoto.records import Manifest, save_manifest

GRID = PreprocessConfig(rows=128, columns=64)


@pytest.fixture
def rendered(monkeypatch):
    """Names of the planes that were really rendered, in this process."""
    import comoto.preprocessing.render as module

    names = []
    original = module.write_planes

    def counted(store, key, info, planes):
        names.append(key)
        original(store, key, info, planes)

    monkeypatch.setattr(module, "write_planes", counted)
    return names


@pytest.fixture
def volume(tmp_path, write_dicom, breast):
    frames = np.stack([breast(seed=k) for k in range(6)])
    return write_dicom(tmp_path / "files" / "a.dcm", frames, window=(450, 500))


def files(store):
    return sorted((store.folder / "planes").rglob("*.npy"))


def test_two_image_ids_of_one_file_share_their_planes(tmp_path, volume, make_manifest, rendered):
    copy = shutil.copy(volume, tmp_path / "files" / "copy of a.dcm")
    rows = [{"image_id": "one", "path": str(volume)}, {"image_id": "two", "path": str(copy)}]
    lesions = [("one", 20, 60, 40, 90, 3)]
    store = prepare(make_manifest(rows, lesions), tmp_path / "store", GRID, workers=1)
    assert len(rendered) == len(files(store)) == 1
    assert store.planes_path("one") == store.planes_path("two")
    assert [len(store.lesions_on_grid(name)[0]) for name in ("one", "two")] == [1, 0]


def test_the_other_side_of_the_body_is_another_picture(tmp_path, volume, make_manifest, rendered):
    rows = [{"image_id": side, "path": str(volume), "laterality": side} for side in "LR"]
    store = prepare(make_manifest(rows), tmp_path / "store", GRID, workers=1)
    assert len(set(rendered)) == len(files(store)) == 2


def test_sampled_slices_around_other_lesions_are_other_planes(tmp_path, volume, make_manifest, rendered):
    rows = [{"image_id": name, "path": str(volume)} for name in "abc"]
    lesions = [("a", 20, 60, 40, 90, 0), ("b", 20, 60, 40, 90, 5), ("c", 1, 60, 40, 90, 5)]
    options = PrepareOptions(slices="sampled", step=4, reach=0)
    store = prepare(make_manifest(rows, lesions), tmp_path / "store", GRID, options, workers=1)
    assert [store.slice_indices(name).tolist() for name in "abc"] == [[0, 2], [2, 5], [2, 5]]
    assert len(rendered) == 2
    assert store.planes_path("b") == store.planes_path("c")


def test_moved_files_are_known_again(tmp_path, volume, make_manifest, rendered):
    store = prepare(
        make_manifest([{"image_id": "a", "path": str(volume)}]), tmp_path / "store", GRID, workers=1
    )
    written = store.planes_path("a").stat().st_mtime_ns
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(volume, tmp_path / "elsewhere" / "renamed.dcm")
    os.utime(moved, (1, 1))
    again = prepare(
        make_manifest([{"image_id": "a", "path": str(moved)}]), tmp_path / "store", GRID, workers=1
    )
    assert len(rendered) == 1
    assert again.planes_path("a").stat().st_mtime_ns == written
    assert again.record("a").path == moved


def test_another_store_gives_its_planes(tmp_path, volume, make_manifest, rendered):
    one = prepare(make_manifest([{"image_id": "a", "path": str(volume)}]), tmp_path / "one", GRID, workers=1)
    other_set = make_manifest([{"image_id": "z", "path": str(volume)}], name="subset")
    two = prepare_with(other_set, tmp_path / "two", GRID, work=Execution(workers=1, reuse=(one.folder,)))
    assert len(rendered) == 1
    assert two.planes_path("z").samefile(one.planes_path("a"))  # one file with two names
    assert np.array_equal(two.pixels("z"), one.pixels("a"))
    shutil.rmtree(one.folder)
    assert PreparedStore(two.folder).pixels("z").any()
    other_grid = GRID.model_copy(update={"rows": 256})
    prepare_with(other_set, tmp_path / "three", other_grid, work=Execution(workers=1, reuse=(two.folder,)))
    assert len(rendered) == 2


def test_a_store_to_reuse_must_be_one(tmp_path, volume, make_manifest):
    manifest = make_manifest([{"image_id": "a", "path": str(volume)}])
    with pytest.raises(DatasetError, match=r"no store\.json"):
        prepare_with(manifest, tmp_path / "out", GRID, work=Execution(reuse=(tmp_path,)))
    assert not (tmp_path / "out").exists()


def test_planes_of_a_changed_file_go(tmp_path, volume, make_manifest, write_dicom, breast):
    manifest = make_manifest([{"image_id": "a", "path": str(volume)}])
    old = prepare(manifest, tmp_path / "store", GRID, workers=1).planes_path("a")
    write_dicom(volume, np.stack([breast(seed=k + 9) for k in range(6)]))
    new = prepare(manifest, tmp_path / "store", GRID, workers=1)
    assert files(new) == [new.planes_path("a")] != [old]


def test_fingerprints_look_at_content_only(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").write_bytes(b"x" * 100)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert stamp(tmp_path / "a") != stamp(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"x" * 99 + b"y")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


@pytest.mark.parametrize("position", [0, 65535, 1_500_000, 2_999_999])
def test_every_byte_of_a_large_file_counts(tmp_path, position):
    content = bytearray(3_000_000)
    (tmp_path / "a").write_bytes(content)
    content[position] = 1
    (tmp_path / "b").write_bytes(content)
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def raw_volume(path, frames):
    """Write a MetaImage volume, whose bytes alone say what it shows."""
    frames = np.ascontiguousarray(frames, dtype="<u2")
    path.with_suffix(".raw").write_bytes(frames.tobytes())
    planes, rows, columns = frames.shape
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = {columns} {rows} {planes}\nElementType = MET_USHORT\n"
        f"ElementSpacing = 0.1 0.1 1\nElementDataFile = {path.with_suffix('.raw').name}\n"
    )
    return path


@pytest.fixture
def pair(tmp_path, breast):
    """A volume of 2 MB without and one with a lesion; where the former samples lay they are the same."""
    without = np.stack([breast((320, 200), seed=k) for k in range(16)])
    with_lesion = without.copy()
    with_lesion[5, 220:240, 20:40] = 1000
    changed = np.flatnonzero(without.ravel() != with_lesion.ravel()) * 2
    size, block = without.size * 2, 65536
    sampled = [(size - block) * number // 15 for number in range(16)]
    assert not any(start <= byte < start + block for start in sampled for byte in changed)
    return raw_volume(tmp_path / "absent.mhd", without), raw_volume(tmp_path / "present.mhd", with_lesion)


def test_a_pair_with_one_background_keeps_its_lesion(tmp_path, pair, make_manifest):
    rows = [{"image_id": path.stem, "path": str(path)} for path in pair]
    store = prepare(make_manifest(rows), tmp_path / "store", GRID, workers=1)
    absent, present = store.pixels("absent").astype(int), store.pixels("present").astype(int)
    assert (present != absent).any(axis=(1, 2)).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize("times_kept", [False, True])
def test_a_source_replaced_in_place_is_noticed(tmp_path, pair, make_manifest, times_kept):
    absent, present = (path.with_suffix(".raw") for path in pair)
    manifest = make_manifest([{"image_id": "a", "path": str(pair[0])}])
    before = np.array(prepare(manifest, tmp_path / "store", GRID, workers=1).pixels("a"))
    status = absent.stat()
    absent.write_bytes(present.read_bytes())
    if times_kept:
        os.utime(absent, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = prepare(manifest, tmp_path / "store", GRID, workers=1).pixels("a")
    assert (after != before).any(axis=(1, 2)).nonzero()[0].tolist() == [5]


def test_two_dicom_files_of_one_uid_and_other_pixels_are_two_images(
    tmp_path, volume, make_manifest, write_dicom, breast
):
    import pydicom

    copy = pydicom.dcmread(volume)
    frames = np.frombuffer(copy.PixelData, "<u2").copy()
    frames[len(frames) // 2 :] //= 2
    copy.PixelData = frames.tobytes()
    copy.save_as(tmp_path / "copy.dcm")
    rows = [{"image_id": "a", "path": str(volume)}, {"image_id": "b", "path": str(tmp_path / "copy.dcm")}]
    store = prepare(make_manifest(rows), tmp_path / "store", GRID, workers=1)
    assert not np.array_equal(store.pixels("a"), store.pixels("b"))


def test_the_documented_remedy_renders_from_the_file_as_it_is(tmp_path, pair, make_manifest, monkeypatch):
    """Whatever hides a change from the stamp, deleting the image's note makes the file be read again."""
    for name in ("prepare", "render"):  # the package exports the function of the one module's name
        module = sys.modules[f"comoto.preprocessing.{name}"]
        monkeypatch.setattr(module, "stamp", lambda *_: "always the same")
    absent, present = (path.with_suffix(".raw") for path in pair)
    manifest = make_manifest([{"image_id": "a", "path": str(pair[0])}])
    before = np.array(prepare(manifest, tmp_path / "store", GRID, workers=1).pixels("a"))
    absent.write_bytes(present.read_bytes())
    hidden = prepare(manifest, tmp_path / "store", GRID, workers=1)
    assert np.array_equal(hidden.pixels("a"), before)
    (tmp_path / "store" / "images" / "a.json").unlink()
    assert not np.array_equal(prepare(manifest, tmp_path / "store", GRID, workers=1).pixels("a"), before)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, volume, make_manifest, monkeypatch):
    import comoto.preprocessing.render as module

    plan = module.plan_image

    def planned_then_touched(*arguments):
        os.utime(volume)
        return plan(*arguments)

    monkeypatch.setattr(module, "plan_image", planned_then_touched)
    manifest = make_manifest([{"image_id": "a", "path": str(volume)}])
    with pytest.raises(DatasetError, match="was changed while it was being prepared"):
        prepare(manifest, tmp_path / "store", GRID, workers=1)
    assert not list((tmp_path / "store" / "planes").rglob("*.npy"))


def test_folders_and_raw_files_are_part_of_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.dcm").write_bytes(bytes([number]))
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "1.dcm").write_bytes(b"!")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")
    (tmp_path / "v.raw").write_bytes(b"abc")
    (tmp_path / "v.mhd").write_text("NDims = 3\nElementDataFile = v.raw\n")
    before = fingerprint(tmp_path / "v.mhd")
    (tmp_path / "v.raw").write_bytes(b"abd")
    assert fingerprint(tmp_path / "v.mhd") != before
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="no file in this folder"):
        fingerprint(tmp_path / "none")


def test_planes_begin_at_a_page_and_numpy_reads_them(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = npy_header((2, 3, 4))
    assert len(header) == DATA_OFFSET == 4096
    (tmp_path / "a.npy").write_bytes(header + values.tobytes())
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), values)


def test_two_preparations_at_a_time_are_refused(tmp_path, volume, make_manifest):
    manifest = make_manifest([{"image_id": "a", "path": str(volume)}])
    prepare(manifest, tmp_path / "store", GRID, workers=1)
    busy = pytest.raises(OutputExistsError, match="another 'comoto prepare' is working there")
    with hold(tmp_path / "store" / "lock", "held"), busy:
        prepare(manifest, tmp_path / "store", GRID, workers=1)


def test_paths_need_not_be_kept(tmp_path, volume, make_manifest, write_dicom, rendered):
    broken = write_dicom(tmp_path / "files" / "b.dcm", np.ones((3, 40, 40)))
    broken.write_bytes(broken.read_bytes()[:-500])
    rows = [{"image_id": "a", "path": str(volume)}, {"image_id": "b", "path": str(broken)}]
    work = Execution(workers=1, keep_paths=False, skip_broken=True)
    store = prepare_with(make_manifest(rows), tmp_path / "store", GRID, work=work)
    found = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    assert b"files" not in found
    assert store.manifest.notes[0].startswith("left out b: b: only ")
    prepare_with(make_manifest(rows), tmp_path / "store", GRID, work=work)
    assert len(rendered) == 1


def as_former(store, format_):
    """Turn a store into one of a former format: the files that were written then."""
    folder = store.folder
    settings = json.loads((folder / "store.json").read_text()) | {"format": format_}
    del settings["checksum"]
    (folder / "store.json").write_text(json.dumps(settings))
    about = json.loads((folder / "manifest" / "manifest.json").read_text()) | {"format": "comoto-manifest-1"}
    del about["checksum"], about["sha256"]
    (folder / "manifest" / "manifest.json").write_text(json.dumps(about))
    index = json.loads((folder / "manifest" / "planes.json").read_text())["planes"]
    (folder / "manifest" / "planes.json").write_text(json.dumps(index))
    for path in (folder / "planes").rglob("*.json"):
        content = json.loads(path.read_text())
        for key in ("checksum", "format", "planes", "sha256"):
            del content[key]
        path.write_text(json.dumps(content))


def test_stores_of_the_last_format_are_read_but_not_continued(tmp_path, volume, make_manifest):
    manifest = make_manifest([{"image_id": "a/b", "path": str(volume)}])
    store = prepare(manifest, tmp_path / "store", GRID, workers=1)
    as_former(store, "comoto-store-2")
    former = PreparedStore(store.folder)
    assert np.array_equal(former.pixels("a/b"), store.pixels("a/b"))
    assert np.array_equal(former.plane("a/b", 3), store.plane("a/b", 3))
    assert former.plan("a/b") == store.plan("a/b")
    assert former.record("a/b").path == volume
    with pytest.raises(OutputExistsError, match="former format"):
        prepare(manifest, store.folder, GRID, workers=1)


def test_stores_of_the_first_format_are_read_but_not_continued(tmp_path, volume, make_manifest):
    manifest = make_manifest([{"image_id": "a/b", "path": str(volume)}])
    store = prepare(manifest, tmp_path / "store", GRID, workers=1)
    pixels, info = np.array(store.pixels("a/b")), store.info("a/b")
    as_former(store, "comoto-store-1")
    about = json.loads(next((store.folder / "planes").rglob("*.json")).read_text())
    shutil.rmtree(store.folder / "planes")
    (store.folder / "manifest" / "planes.json").unlink()
    np.save(store.folder / "images" / "a%2Fb.npy", pixels)
    (store.folder / "images" / "a%2Fb.json").write_text(json.dumps(about | {"image_id": "a/b"}))
    former = PreparedStore(store.folder)
    assert np.array_equal(former.pixels("a/b"), pixels)
    assert former.plan("a/b") == info.plan
    with pytest.raises(OutputExistsError, match="former format"):
        prepare(manifest, store.folder, GRID, workers=1)
    cut = store.folder / "images" / "a%2Fb.npy"
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"a%2Fb\.npy: is damaged"):
        PreparedStore(store.folder).pixels("a/b")


@pytest.mark.parametrize("name", ["界" * 90, "é/" * 120, "a" * 2000, "\U0001f600" * 60])
def test_long_ids_get_file_names_that_fit(tmp_path, volume, make_manifest, name):
    """File names are counted in bytes, and quoting makes three letters of each."""
    rows = [{"image_id": name + end, "path": str(volume)} for end in ("", "2")]
    store = prepare(make_manifest(rows), tmp_path / "store", GRID, workers=1)
    assert store.image_ids == (name, name + "2")
    notes = [path.name for path in (store.folder / "images").iterdir()]
    assert len(notes) == 2
    assert all(len(os.fsencode(note)) <= 143 for note in notes)
    assert verify_store(store.folder).damage == ()


def test_a_planted_link_is_not_followed(tmp_path, volume, make_manifest):
    """Names that unfinished files and folders had before, and that anybody could foresee."""
    manifest = make_manifest([{"image_id": "a", "path": str(volume)}])
    store, theirs = tmp_path / "store", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter").write_text("dear")
    store.mkdir()
    for name in ("store.json.part", "manifest.part", ".manifest.x.part"):
        (store / name).symlink_to(theirs)
    (tmp_path / ".index.partial").symlink_to(theirs)
    prepare(manifest, store, GRID, workers=1)
    save_manifest(manifest, tmp_path / "index")
    assert [path.name for path in theirs.iterdir()] == ["letter"]
    assert len(Manifest.load(tmp_path / "index")) == 1
    assert len(PreparedStore(store)) == 1
