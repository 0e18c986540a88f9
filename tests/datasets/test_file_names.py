"""Names that a table and a disk spell differently, places that are not there, options that nobody uses."""

import os
import sys
import unicodedata

import pytest
from releases_own_tables import Hospital

from comoto import api
from comoto.components import DATASETS
from comoto.datasets.reading.file_names import as_spelt, find_name, near_name
from comoto.errors import ConfigError, DatasetError
from comoto.records import Manifest, save_manifest

COMPOSED = "Müller"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
IMAGES = "path,patient_id,view,laterality"
bytes_as_names = pytest.mark.skipif(sys.platform != "linux", reason="this system stores names as text")


def index(place, **options):
    return api.index("csv", place.root, **options)


@pytest.mark.parametrize(("on_disk", "in_table"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_one_name_in_two_spellings_is_found(tmp_path, on_disk, in_table):
    """Also as the folder above; the manifest names the file as it is."""
    place = Hospital(tmp_path)
    path = place.mammogram(f"{on_disk}/{on_disk}.dcm")
    place.table("images.csv", IMAGES, f"{in_table}/{in_table}.dcm,A,CC,L")
    manifest = index(place)
    save_manifest(manifest, tmp_path / "manifest")
    assert list(Manifest.load(tmp_path / "manifest").images["path"]) == [str(path)]


@pytest.mark.parametrize("key", ["path", "image_id"])
@pytest.mark.parametrize(("one", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_two_tables_in_two_spellings_are_joined(tmp_path, key, one, other):
    place = Hospital(tmp_path)
    place.mammogram(f"{COMPOSED}.dcm")
    place.mammogram("plain.dcm")
    rows = (f"{one}.dcm,{one},A,CC,L", "plain.dcm,plain,B,CC,L")
    place.table("images.csv", "path,image_id,patient_id,view,laterality", *rows)
    lesion = f"{other}.dcm" if key == "path" else other
    place.table("lesions.csv", f"{key},x1,y1,x2,y2", f"{lesion},2,3,7,9")
    assert list(index(place).lesions["image_id"]) == [one]
    without = index(place, exclude=one)
    assert list(without.images["image_id"]) == ["plain"]
    assert without.lesions.empty


def test_a_third_spelling_of_two_names_means_neither():
    mixed = "Mu\u0308ller é"
    both = [unicodedata.normalize(form, mixed) for form in ("NFC", "NFD")]
    assert as_spelt([mixed, both[0], "a", "b"], [*both, "a"]) == {both[0]: both[0], "a": "a"}
    assert as_spelt([mixed], both[:1]) == {mixed: both[0]}


@bytes_as_names
def test_two_files_of_one_name_are_not_chosen_between(tmp_path):
    place = Hospital(tmp_path)
    place.mammogram(f"{COMPOSED}é.dcm")
    place.mammogram(f"{DECOMPOSED}{unicodedata.normalize('NFD', 'é')}.dcm")
    place.mammogram("other.dcm")
    place.table("images.csv", IMAGES, "other.dcm,A,CC,L", f"{DECOMPOSED}é.dcm,A,CC,L")
    with pytest.raises(DatasetError, match="there are several files of that name, spelt in other bytes"):
        index(place)
    place.table("images.csv", IMAGES, f"{COMPOSED}é.dcm,A,CC,L")
    assert index(place).images["path"][0].endswith(f"{COMPOSED}é.dcm")


@bytes_as_names
def test_names_in_an_old_encoding_are_told(tmp_path):
    place = Hospital(tmp_path)
    source = place.mammogram("other.dcm")
    old = os.fsdecode(os.fsencode(str(tmp_path)) + "/Müller.dcm".encode("latin-1"))
    os.link(source, old)
    place.table("images.csv", IMAGES, "other.dcm,A,CC,L", "Müller.dcm,B,CC,L")
    message = r"a file has that name in another encoding than UTF-8: M\\xfcller\.dcm; rename it"
    with pytest.raises(DatasetError, match=message):
        index(place)


@bytes_as_names
def test_a_path_that_no_manifest_can_hold_is_named(tmp_path):
    """The folder above all, which no table writes."""
    root = tmp_path / os.fsdecode("Röntgen".encode("latin-1"))
    root.mkdir()
    place = Hospital(root)
    place.mammogram("a.dcm")
    place.table("images.csv", IMAGES, "a.dcm,A,CC,L")
    with pytest.raises(DatasetError, match=r"R\\xf6ntgen: 1 paths of images are not written in UTF-8"):
        index(place)


@bytes_as_names
def test_files_of_a_release_whose_names_no_manifest_can_hold(bcs_tree):
    (bcs_tree.root / os.fsdecode("Übersicht.txt".encode("latin-1"))).write_bytes(b"")  # is none of ours
    api.index("bcs-dbt", bcs_tree.root)
    (bcs_tree.root / os.fsdecode("Röntgen.dcm".encode("latin-1"))).write_bytes(b"")
    with pytest.raises(DatasetError, match=r"R\\xf6ntgen\.dcm: 1 paths of images are not written in UTF-8"):
        api.index("bcs-dbt", bcs_tree.root)


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("a.DCM", ["a.dcm"], " (there is a 'a.dcm', in other capital or small letters)"),
        ("Straße.dcm", ["STRASSE.DCM"], " (there is a 'STRASSE.DCM', in other capital or small letters)"),
        ("image01.dcm", ["image02.dcm"], " (there is a 'image02.dcm')"),
        ("x.dcm", ["something.else"], ""),
    ],
)
def test_near_names_are_told_and_never_taken(name, names, hint):
    assert find_name(name, names) is None
    assert near_name(name, names) == hint


def test_two_rows_of_one_file(tmp_path):
    """One of them might say that the image has no lesion."""
    place = Hospital(tmp_path)
    place.mammogram("a/x.dcm")
    place.table("images.csv", IMAGES, "a/x.dcm,A,CC,L", "a/../a/x.dcm,A,CC,L")
    with pytest.raises(DatasetError, match="two rows name the same file in other words in lines 2, 3"):
        index(place)


def test_long_paths_outside_of_ascii(tmp_path):
    """255 bytes are the longest name of a file, 120 letters are 240 of them."""
    place = Hospital(tmp_path)
    long = "ü" * 120
    place.mammogram(f"{long}/{long}.dcm")
    place.table("images.csv", IMAGES, f"{long}/{long}.dcm,A,CC,L")
    manifest = index(place)
    save_manifest(manifest, tmp_path / "manifest")
    assert Manifest.load(tmp_path / "manifest").images.equals(manifest.images)
    place.table("images.csv", IMAGES, f"{long}/{long}.dcm,A,CC,L", f"{'ü' * 200}.dcm,A,MLO,L")
    with pytest.raises(DatasetError, match=r"1 of 2 images are not on disk, such as .* \(line 3\)"):
        index(place)
    place.table("images.csv", IMAGES, f"{'ü' * 200}/a.dcm,A,MLO,L")
    with pytest.raises(DatasetError, match="not on disk"):
        index(place)


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_places_that_are_not_there(tmp_path, dataset):
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        api.index(dataset, tmp_path / "nowhere")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DatasetError):  # whatever the reader says, it is no defect
        api.index(dataset, tmp_path / "file")
    if dataset not in ("msynth", "tsynth", "vindr-mammo"):
        with pytest.raises(DatasetError, match="nowhere: no such file or folder; correct --tables"):
            api.index(dataset, tmp_path, tables=tmp_path / "nowhere")
    else:
        with pytest.raises(ConfigError, match="takes no 'tables'; leave it out"):
            api.index(dataset, tmp_path, tables=tmp_path)


def test_a_folder_of_images_that_cannot_be_listed(vindr_tree, monkeypatch):
    """As a user without rights sees it; whoever runs the tests may have all of them."""
    scandir = os.scandir

    def locked(folder):
        if str(folder).endswith("s2"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(DatasetError, match=r"s2: cannot be listed: Permission denied"):
        api.index("vindr-mammo", vindr_tree.root, allow_missing=True)


def test_options_that_the_tables_have_no_use_for(tmp_path):
    place = Hospital(tmp_path)
    place.mammogram("a.dcm")
    place.table("images.csv", IMAGES, "a.dcm,A,CC,links")
    place.table("lesions.csv", "path,x,y,width,height", "a.dcm,2,3,4,5")
    with pytest.raises(DatasetError, match="corners=pixels is about x2 and y2"):
        index(place, corners="pixels")
    with pytest.raises(ConfigError, match=r"words=rechs:.*no cell of laterality, view in .* is 'rechs'"):
        index(place, words="Links:L,Rechs:R")
    unused = "not used, because the tables say nothing that it is about: --set "
    assert not [note for note in index(place, words="Links:L").notes if note.startswith("not used")]
    assert unused + "first-slice=1" in index(place, first_slice="1").notes
    assert unused + "boxes-on=corrected" in index(place, boxes_on="corrected").notes
    notes = index(place, lesions="none", boxes="pixels", boxes_on="stored").notes
    assert unused + "boxes=pixels, boxes-on=stored" in notes
