"""VICTRE: volumes of one file per slice, mammograms and projections told apart by content."""

import numpy as np
import pytest
from releases_victre import CAPTURE, CT, ROOT_UID, VictreTree

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Manifest, Modality, Split, View
from comoto.sources import open_source
from dicom_files import breast, write_dicom

VOLUME = f"victre-volume-111-{ROOT_UID}.111.1.1"


@pytest.fixture
def tree(tmp_path) -> VictreTree:
    return VictreTree(tmp_path / "downloads")


@pytest.fixture
def places(tmp_path):
    """A calcification near the upper left corner and a mass."""
    folder = tmp_path / "Locations"
    folder.mkdir()
    (folder / "roi_SP_-111.loc").write_text("20 40 2 0\n100 70 5 4\n")
    (folder / "roi_SA_111.loc").write_text("50 50 3 7\n")
    return folder


def image(manifest, image_id):
    return next(record for record in manifest.records() if record.image_id == image_id)


@pytest.mark.parametrize("sop_class", [CT, CAPTURE], ids=["ct", "secondary capture"])
@pytest.mark.parametrize("layout", ["idc", "nbia"])
def test_volumes_and_mammograms(tmp_path, layout, sop_class):
    tree = VictreTree(tmp_path, layout)
    folder = tree.volume("111", "Signal present", sop_class=sop_class)
    file = tree.mammogram("111", "Signal present", "Scattered")
    tree.volume("112", comments="Heterogenous dense", sop_class=sop_class)
    manifest = api.index("victre", tmp_path, workers=1)
    assert len(manifest) == 3
    volume = image(manifest, VOLUME)
    assert (volume.path, volume.modality, volume.num_slices) == (folder, Modality.TOMOSYNTHESIS, 7)
    assert (volume.patient_id, volume.study_id) == ("111", f"{ROOT_UID}.111.1")
    assert (volume.laterality, volume.view, volume.view_key) == (Laterality.LEFT, View.CC, "lcc")
    assert (volume.split, volume.label, volume.lesions) == (Split.TRAIN, "signal present", ())
    mammogram = image(manifest, f"victre-dm-111-{ROOT_UID}.111.2.1")
    assert (mammogram.path, mammogram.modality, mammogram.num_slices) == (file, Modality.MAMMOGRAM, 1)
    assert mammogram.label == "signal present"
    assert manifest.images["label"].tolist().count("signal absent") == 1
    assert manifest.dropped == ()
    assert manifest.notes == (
        "2 images have lesions but no boxes, because their places are not given; a detector must not take "
        "them for healthy",
        "3 images are tagged as the other side than that at which their breast lies",
        '1 mammograms are "for processing": air is bright and tissue dark',
    )


def test_the_slices_are_in_order(tree):
    tree.volume("111")
    with open_source(next(api.index("victre", tree.root).records()).path) as volume:
        assert [int(frame.max()) for frame in volume.frames()] == [30000 + k for k in range(7)]


def test_boxes_about_the_places(tree, places):
    """x are rows and y are columns: 65 pixels about (40, 20), cut at the top; 109 about (70, 100)."""
    tree.volume("111", "Signal present")
    tree.volume("112")
    tree.mammogram("111", "Signal present")
    manifest = api.index("victre", tree.root, tables=places)
    lesions = {lesion.category: lesion for lesion in image(manifest, VOLUME).lesions}
    assert lesions["calcification"].box_xyxy == (40 - 32, 0, 40 + 33, 20 + 33)
    assert lesions["calcification"].slice_index == 2
    assert lesions["mass"].box_xyxy == (70 - 54, 100 - 54, 70 + 55, 100 + 55)
    assert lesions["mass"].slice_index == 5
    assert len(manifest.lesions) == 2
    assert manifest.notes[0].startswith("1 images have lesions but no boxes")
    assert manifest.dropped == ()


def test_a_volume_whose_places_are_missing(tree, places):
    folder = tree.volume("113", "Signal present")
    tree.volume("112")
    assert api.index("victre", tree.root, tables=places).dropped == (
        f"{folder}: signal present, but there is no roi_SP_113.loc",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("20 40 2", "line 1 is '20 40 2'; four whole numbers were expected"),
        ("20 40 x 1", "four whole numbers were expected"),
        ("180 40 2 1", "outside of the 7 slices of 180 x 140"),
        ("20 140 2 1", "outside of the 7 slices"),
        ("20 40 7 1", "outside of the 7 slices"),
        ("20 40 6 8", "lesions have the numbers 0 to 7"),
    ],
)
def test_wrong_places(tree, places, line, message):
    (places / "roi_SP_-111.loc").write_text(line)
    tree.volume("111", "Signal present")
    tree.volume("112")
    (dropped,) = api.index("victre", tree.root, tables=places).dropped
    assert message in dropped


def test_projections_are_dropped_by_description_and_by_number(tree):
    tree.volume("111")
    described = tree.projections("111")
    silent = tree.projections("112")
    for path in silent.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"Projection", b"Unknown   "))
    (line,) = api.index("victre", tree.root).dropped
    assert line.startswith("projections of the scan, which are no slices and no mammograms: ")
    assert line.count(".dcm") == 4
    assert str((described / "1-01.dcm").relative_to(tree.root)) in line
    assert line.endswith("and 2 more")


def test_captures_of_the_detectors_size_are_projections(tree):
    tree.volume("111", sop_class=CAPTURE, described=False, shape=(3000, 1500), slices=5)
    tree.volume("112", sop_class=CAPTURE, described=False)
    manifest = api.index("victre", tree.root)
    assert manifest.images["patient_id"].tolist() == ["112"]
    assert manifest.dropped[0].startswith("projections of the scan")


def test_incomplete_and_mixed_series(tree):
    tree.volume("111")
    cut = tree.volume("112", stored=5)
    gap = tree.volume("113")
    next(path for path in sorted(gap.iterdir()) if path.name == "037.dcm").unlink()
    shared = tree.root / "shared"
    tree.volume("114", folder=shared)
    for path in list(shared.iterdir()):
        path.rename(path.with_name("a" + path.name))
    tree.volume("115", folder=shared)
    manifest = api.index("victre", tree.root)
    assert manifest.images["patient_id"].tolist() == ["111"]
    lines = "\n".join(manifest.dropped)
    assert len(manifest.dropped) == 4
    assert f"{cut}: 5 of 7 slices are there; download the series again" in lines
    assert f"{gap}: " in lines
    assert lines.count("share their folder with other files; put each series into a folder of its own") == 2


def test_a_lone_slice_and_a_damaged_file(tree):
    tree.volume("111")
    tree.volume("112", stored=1)
    path = tree.mammogram("113")
    path.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    lines = api.index("victre", tree.root).dropped
    assert len(lines) == 2
    assert any("one slice of a volume, without the others" in line for line in lines)
    assert any(line.startswith(f"{path}: ") for line in lines)


def test_images_of_another_collection_are_no_simulations(tree):
    """Anybody's mammogram would pass for a CC view of a breast without a lesion."""
    frames = breast(6, 40, 20, "L")
    foreign = [
        write_dicom(tree.root / "real" / "1" / "1.dcm", frames),
        write_dicom(tree.root / "real" / "2" / "1.dcm", frames[0]),
    ]
    with pytest.raises(DatasetError, match=r"nothing says that it is of VICTRE .*is it the right folder"):
        api.index("victre", tree.root)
    tree.mammogram("111")
    manifest = api.index("victre", tree.root)
    assert manifest.images["patient_id"].tolist() == ["111"]
    assert [line.split(": ")[0] for line in manifest.dropped] == [str(path) for path in foreign]


def test_an_attribute_of_impossible_length_costs_one_image(tree):
    """Patient State is read by this reader alone, so no check before it has looked at it."""
    tree.mammogram("111")
    path = tree.mammogram("112")
    data = bytearray(path.read_bytes())
    at = data.index(b"\x38\x00\x00\x05") + 4
    data[at : at + 4] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)
    manifest = api.index("victre", tree.root)
    assert manifest.images["patient_id"].tolist() == ["111"]
    (line,) = manifest.dropped
    assert line.startswith(f"{path}: an attribute claims 4294967280 bytes")


@pytest.mark.parametrize(
    ("state", "label"),
    [
        ("Signal present", "signal present"),
        ("Signal absent", "signal absent"),
        ("With lesions", "signal present"),
        ("No lesions", "signal absent"),
        ("", "signal absent"),  # ImageComments says SA
    ],
)
def test_words_of_the_state(tree, state, label):
    tree.volume("111", state)
    assert api.index("victre", tree.root).images["label"].tolist() == [label]


def test_a_mammogram_that_does_not_say(tree):
    tree.mammogram("111", "Signal absent or present")
    manifest = api.index("victre", tree.root)
    assert manifest.images["label"].tolist() == ["not stated"]
    assert "1 images do not say whether lesions were inserted" in manifest.notes


@pytest.mark.parametrize(
    ("comments", "density"),
    [
        ("Dense breast type", "dense"),
        ("Heterogenous breast type", "hetero"),
        ("Heterogeneously dense", "hetero"),
        ("Scattered", "scattered"),
        ("Fatty breast type", "fatty"),
        ("?", "not stated"),
    ],
)
def test_density_as_label(tree, comments, density):
    tree.volume("111", comments=comments)
    assert api.index("victre", tree.root, label="density").images["label"].tolist() == [density]


def test_choices(tree, tmp_path):
    tree.volume("111")
    tree.mammogram("111")
    assert api.index("victre", tree.root, images="volumes").images["num_slices"].tolist() == [7]
    only = api.index("victre", tree.root, images="mammograms")
    assert only.images["num_slices"].tolist() == [1]
    assert only.notes[0] == "1 images are left out, as chosen (images=mammograms)"
    with pytest.raises(ConfigError, match="victre: images=dm: accepted are all, volumes, mammograms"):
        api.index("victre", tree.root, images="dm")
    with pytest.raises(ConfigError, match="victre: label=x: accepted are state, density"):
        api.index("victre", tree.root, label="x")
    with pytest.raises(DatasetError, match=r"no file like roi_SP_<patient>\.loc"):
        api.index("victre", tree.root, tables=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no image of VICTRE below this folder; is it the right"):
        api.index("victre", tmp_path / "empty")


def test_a_breast_at_the_right_is_indexed_as_one(tree):
    folder = tree.volume("111")
    import pydicom

    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelData = np.ascontiguousarray(dataset.pixel_array[:, ::-1]).tobytes()
        dataset.save_as(path)
    (record,) = api.index("victre", tree.root).records()
    assert (record.laterality, record.view_key) == (Laterality.RIGHT, "rcc")


def test_command_line(tree, places, tmp_path, comoto):
    tree.volume("111", "Signal present")
    tree.projections("111")
    out = tmp_path / "manifest"

    arguments = ["index", "victre", tree.root, "--tables", places, "--out", out]
    answer = comoto(*arguments, "--strict")
    assert (answer.code, answer.out) == (2, "")
    assert "projections of the scan" in answer.err
    answer = comoto(*arguments, "--set", "workers=1")
    assert answer.code == 0
    assert answer.out.startswith("victre: 1 images, 2 lesions\n")
    assert "dropped: projections of the scan" in answer.out
    assert len(Manifest.load(out).lesions) == 2
