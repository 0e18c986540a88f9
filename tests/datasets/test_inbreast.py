"""INbreast: patients from names, regions in any spelling, boxes worked out by hand, a safe XML parser."""

import pytest
from releases_inbreast import FIRST, SECOND, Image, InbreastTree, everyday

from comoto import api
from comoto.datasets.inbreast import outlines as inbreast_rois
from comoto.datasets.inbreast.outlines import finding_of
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Split, View

NO_SPLIT = "no official split: every patient is in the training part"


@pytest.fixture
def tree(tmp_path) -> InbreastTree:
    return InbreastTree(tmp_path / "inbreast", everyday()).write()


def lesions(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


def test_images(tree):
    records = {record.image_id: record for record in api.index("inbreast", tree.root).records()}
    assert list(records) == ["22678622", "22678646", "53582540", "53582556"]
    second = records["22678646"]
    assert (second.patient_id, second.study_id, second.view_key) == (FIRST, f"{FIRST}_201001", "R-MLO")
    assert (second.laterality, second.view, second.split) == (Laterality.RIGHT, View.MLO, Split.TRAIN)
    assert (second.label, second.num_slices) == ("BI-RADS 4a", 1)
    assert second.path == tree.dicom(tree.images[1])
    assert records["53582540"].patient_id == SECOND
    assert records["53582540"].label == "BI-RADS unknown"


def test_lesions(tree):
    """A box covers the pixels in which the points lie; the cluster leaves the image of 60 x 40."""
    manifest = api.index("inbreast", tree.root)
    assert lesions(manifest) == {
        "22678622": [],
        "22678646": [((10, 18, 20, 31), "mass")],
        "53582540": [((1, 1, 6, 10), "spiculated region"), ((2, 40, 13, 45), "asymmetry")],
        "53582556": [((38, 50, 40, 60), "cluster")],
    }
    assert manifest.dropped == ()
    assert manifest.notes == (
        NO_SPLIT,
        "regions that are not taken as lesions: 2 calcification, 2 unnamed "
        "(findings=mass,spiculated region,distortion,asymmetry,cluster)",
        "1 images have no XML file and count as without a finding",
        "Bi-Rads is blank, the label is 'BI-RADS unknown': 53582540",
        "1 boxes clipped to the image",
    )


def test_point_like_calcifications(tree):
    """One point is one pixel; two points are the pixels that they lie in."""
    found = lesions(api.index("inbreast", tree.root, findings="calcification"))["22678646"]
    assert found == [((7, 8, 8, 9), "calcification"), ((3, 4, 5, 5), "calcification")]


def test_a_smallest_size(tree):
    """Enlarged about the centre: 7 to 8 becomes 2.5 to 12.5; 3 to 5 becomes -1 to 9, clipped to 0."""
    manifest = api.index("inbreast", tree.root, findings="mass, calcification", min_size="10")
    assert lesions(manifest)["22678646"] == [
        ((10, 18, 20, 31), "mass"),
        ((2.5, 3.5, 12.5, 13.5), "calcification"),
        ((0, 0, 9, 9.5), "calcification"),
    ]
    assert "2 boxes enlarged to 10 pixels" in manifest.notes


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("Mass", "mass"),
        ("MASS ", "mass"),
        ("Calcifications", "calcification"),
        ("Cluster", "cluster"),
        ("Spiculated  Region", "spiculated region"),
        ("Espiculated region", "spiculated region"),
        ("Distortion", "distortion"),
        ("Asimmetry", "asymmetry"),
        ("Assymetry", "asymmetry"),
        ("UNNAMED", "unnamed"),
        ("Point 3", "unnamed"),
        ("", "unnamed"),
        ("Nipple", None),
    ],
)
def test_spellings(name, finding):
    assert finding_of(name) == finding


def test_a_name_that_is_not_known(tree):
    tree.edit(tree.xml("22678646"), "<string>Mass</string>", "<string>Lump</string>")
    manifest = api.index("inbreast", tree.root, findings=["mass", "unnamed"])
    assert lesions(manifest)["22678646"] == [((10, 18, 20, 31), "unnamed")]
    assert "regions with a name that is not known count as unnamed: 'Lump' 1" in manifest.notes


def test_the_release_folder_itself_and_a_table_with_commas(tree):
    tree.table.write_text(tree.table.read_text().replace(";", ","))
    assert len(api.index("inbreast", tree.release)) == 4


def test_table_elsewhere(tree, tmp_path):
    (tmp_path / "tables").mkdir()
    tree.table.rename(tmp_path / "tables" / "INbreast.csv")
    assert len(api.index("inbreast", tree.root, tables=tmp_path / "tables")) == 4
    with pytest.raises(DatasetError, match=r"no INbreast\.csv here .* INbreast\.xls, save its sheet"):
        api.index("inbreast", tree.root)


def test_views(tree):
    """ML in a table means MLO here; a word of another projection stays in the key."""
    tree.edit(tree.table, "R;MLO", "R;FB")
    tree.edit(tree.table, "L;MLO", "L;ML")
    manifest = api.index("inbreast", tree.root)
    views = dict(zip(manifest.images["view_key"], manifest.images["view"], strict=True))
    assert views == {"R-CC": "CC", "R-FB": "other", "L-CC": "CC", "L-ML": "MLO"}
    assert (
        "INbreast.csv: side or view is not that of the DICOM name, the table is taken, in line 3"
        in manifest.notes
    )


def test_two_images_of_one_view(tmp_path):
    images = [*everyday(), Image("99999999", FIRST, "R", "CC", "2")]
    manifest = api.index("inbreast", InbreastTree(tmp_path / "i", images).write().root)
    assert list(manifest.images["view_key"]) == ["R-CC", "R-MLO", "L-CC", "L-MLO", "R-CC1"]


def test_missing_images(tree):
    tree.dicom(tree.images[1]).unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 images .* such as 22678646; .*--allow-missing"):
        api.index("inbreast", tree.root)
    manifest = api.index("inbreast", tree.root, allow_missing=True)
    assert len(manifest) == 3
    assert manifest.dropped == ("INbreast.csv: image not on disk, in line 3",)
    for image in tree.images:
        tree.dicom(image).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="4 of 4 images"):
        api.index("inbreast", tree.root, allow_missing=True)


def test_suspicious_images_without_outlines(tree):
    tree.xml("53582556").unlink()
    notes = api.index("inbreast", tree.root).notes
    assert (
        "2 images have no XML file and count as without a finding; "
        "of BI-RADS 4 or more, so check the download: 53582556" in notes
    )
    for path in tree.xml("1").parent.glob("*.xml"):
        path.unlink()
    with pytest.raises(DatasetError, match="every lesion would pass for healthy tissue"):
        api.index("inbreast", tree.root)


def test_files_without_a_row(tree):
    extra = Image("11111111", FIRST, "R", "CC", "2", [("Mass", [(1, 1)])])
    tree.write_dicom(extra)
    tree.write_xml(extra)
    dropped = api.index("inbreast", tree.root).dropped
    assert dropped == (
        f"11111111_{FIRST}_MG_R_CC_ANON.dcm: no row in INbreast.csv",
        "11111111.xml: no row in INbreast.csv",
    )


def test_outlines_of_muscles_are_none_of_lesions(tree):
    """The release has them in a folder of its own, with other names."""
    path = tree.release / "PectoralMuscle" / "Pectoral Muscle XML" / "22678622_muscle.xml"
    path.parent.mkdir(parents=True)
    path.write_bytes(tree.xml("22678646").read_bytes())
    manifest = api.index("inbreast", tree.root)
    assert lesions(manifest)["22678622"] == []
    assert manifest.dropped == ()


def test_renamed_files_have_no_patient(tree):
    path = tree.dicom(tree.images[0])
    path.rename(path.with_name("22678622.dcm"))
    with pytest.raises(DatasetError, match=r"22678622\.dcm: 1 DICOM files .* keep the names of the release"):
        api.index("inbreast", tree.root)


def test_the_same_image_twice(tree):
    path = tree.dicom(tree.images[0])
    copy = tree.root / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="are the same image 22678622"):
        api.index("inbreast", tree.root)
    copy.unlink()
    outlines = tree.root / "copy" / "22678646.xml"
    outlines.write_bytes(tree.xml("22678646").read_bytes())
    with pytest.raises(DatasetError, match="are outlines of the same image"):
        api.index("inbreast", tree.root)


BOMB = '<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'<?xml version="1.0"?>{BOMB}<plist><string>&b;</string></plist>', "entity declarations"),
        (f'<?xml version="1.0"?>{OUTSIDE}<plist><string>&a;</string></plist>', "entity declarations"),
        ("<plist><dict>", "is no XML property list"),
        ("", "is no XML property list"),
        ("<plist><array></array></plist>", "has no list 'Images' of regions"),
        (
            "<plist><dict><key>Images</key><array><string>a</string></array></dict></plist>",
            "no list 'Images'",
        ),
    ],
)
def test_xml_that_is_no_list_of_regions(tree, content, message):
    tree.xml("22678646").write_text(content)
    manifest = api.index("inbreast", tree.root)
    assert len(manifest) == 3
    assert len(manifest.dropped) == 1
    assert manifest.dropped[0].startswith(f"{tree.xml('22678646')}: ")
    assert message in manifest.dropped[0]


def test_xml_of_any_size_is_not_read(tree, monkeypatch):
    monkeypatch.setattr(inbreast_rois, "_LARGEST_FILE", tree.xml("22678646").stat().st_size - 1)
    manifest = api.index("inbreast", tree.root)
    assert manifest.dropped[0].startswith(f"{tree.xml('22678646')}: is larger than")
    assert lesions(manifest)["53582556"] == [((38, 50, 40, 60), "cluster")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(10.500000, 20.250000)", "10.5 20.25", "region 1 has a point that is not '(x, y)'"),
        ("(10.500000, 20.250000)", "(nan, 1)", "region 1 has a point that is not two numbers"),
        ("(7.500000, 8.500000)", "(7.5, 8.5, 1)", "region 2 has a point that is not '(x, y)'"),
    ],
)
def test_points_that_are_none(tree, old, new, message):
    tree.edit(tree.xml("22678646"), old, new)
    assert message in api.index("inbreast", tree.root).dropped[0]


@pytest.mark.parametrize(
    ("points", "where"),
    [([], "has no points"), ([(41, 5), (45, 9)], "lies outside of the 60 x 40 pixels")],
)
def test_a_lesion_without_a_place_takes_its_image_along(tmp_path, points, where):
    images = everyday()
    assert images[1].regions is not None
    images[1].regions.append(("Mass", points))
    manifest = api.index("inbreast", InbreastTree(tmp_path / "i", images).write().root)
    assert manifest.dropped == (f"22678646.xml: a region 'Mass' {where}; the image is left out with it",)
    assert set(lesions(manifest)) == {"22678622", "53582540", "53582556"}
    assert "1 boxes clipped to the image" in manifest.notes


def test_counts_that_do_not_fit(tree):
    tree.edit(
        tree.xml("22678646"), "<key>NumberOfROIs</key>\n<integer>3", "<key>NumberOfROIs</key>\n<integer>4"
    )
    tree.edit(
        tree.xml("53582556"), "<key>NumberOfPoints</key>\n<integer>2", "<key>NumberOfPoints</key>\n<integer>3"
    )
    assert api.index("inbreast", tree.root).notes[-2:] == (
        "22678646.xml: NumberOfROIs says 4, 3 are there",
        "53582556.xml: region 1 says 3 points, 2 are there",
    )


def test_one_damaged_image_does_not_stop_the_rest(tree):
    path = tree.dicom(tree.images[1])
    path.write_bytes(path.read_bytes()[:200])
    manifest = api.index("inbreast", tree.root)
    assert len(manifest) == 3
    assert manifest.dropped[0].startswith(f"{path}: ")
    for image in tree.images:
        tree.dicom(image).write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"no image can be used; first: .*not a DICOM file"):
        api.index("inbreast", tree.root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("removed;removed;R;CC", "removed;removed;X;CC", r"Laterality is none of L, R in line 2"),
        ("22678646", "22678622", r"the same File Name stands more than once in lines 2, 3"),
        (";Bi-Rads", ";Birads", r"columns are missing: Bi-Rads"),
        (
            "removed;removed;R;CC",
            "removed;R;CC",
            r"line 2 has 7 cells, the header has 8.*semicolon.*complete",
        ),
    ],
)
def test_wrong_tables_are_named(tree, old, new, message):
    tree.edit(tree.table, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("inbreast", tree.root)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("findings", "masses", "mass, spiculated region, distortion, asymmetry, cluster, calcification"),
        ("findings", "", "mass, spiculated region"),
        ("min_size", "0", "expected whole number, at least 1"),
        ("min_size", "1.5", "expected whole number, at least 1"),
    ],
)
def test_wrong_options(tree, name, value, accepted):
    with pytest.raises(ConfigError, match=accepted):
        api.index("inbreast", tree.root, **{name: value})


def test_command_line(tree, tmp_path, comoto):
    tree.xml("22678646").write_text("<plist>")
    arguments = ["index", "inbreast", tree.root, "--out", tmp_path / "m", "--set", "min-size=4"]
    code, _, err = comoto(*arguments, "--strict")
    assert code == 2
    assert "22678646.xml: is no XML property list" in err
    assert not (tmp_path / "m").exists()
    code, out, _ = comoto(*arguments)
    assert code == 0
    assert out.splitlines()[0] == "inbreast: 3 images, 3 lesions"
    assert "dropped: " in out
