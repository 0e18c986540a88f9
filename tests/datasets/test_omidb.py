"""OMI-DB: its JSON, on tiny downloads worked out by hand; a test a trap."""

import json

import pytest
from releases_omidb import COLUMNS, ROWS, OmidbTree, mark

from comoto import api
from comoto.datasets.omidb.nbss import client_status, parse_episodes
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, View

CANCER_LEFT = {
    "EpisodeType": "R",
    "SCREENING": {"L": {"DateTaken": "2012-03-04"}, "R": {"DateTaken": "2012-03-04"}},
    "SURGERY": {"L": {"1": {"DatePerformed": "20120501"}}, "left_opinion": "OM", "right_opinion": "ON"},
    "LESION": {"L": {"1": {"LesionDescription": "MA"}}},
}
NORMAL = {"EpisodeType": "F", "SCREENING": {"L": {"DateTaken": "2010-01-02"}}}


@pytest.fixture
def tree(tmp_path) -> OmidbTree:
    """One client with a cancer on the left, and one without anything."""
    tree = OmidbTree(tmp_path / "omi")
    one = tree.client("demd2", e1=CANCER_LEFT, e0=NORMAL)
    study = tree.study(one)
    tree.image(one, study, "CC", "L", [mark("20", " 30 ", "10", "12", Mass="on", Conspicuity="Subtle")])
    tree.image(one, study, "MLO", "R")
    two = tree.client("optm10", "jarv", e1=NORMAL)
    tree.image(two, tree.study(two, date="20100102"), "CC", "L", "Normal")
    return tree


def index(tree, **options):
    tree.write()
    return api.index("omidb", tree.root, **options)


def boxes(manifest):
    return [(lesion.box_xyxy, lesion.category) for record in manifest.records() for lesion in record.lesions]


def test_images_lesions_and_labels(tree):
    """Corners are sorted, text is a number; the right side of a client with a left cancer is normal."""
    manifest = index(tree)
    first, second, third = manifest.records()
    assert boxes(manifest) == [((10, 12, 20, 30), "mass")]
    assert (first.patient_id, first.view_key, first.label) == ("demd2", "lcc", "malignant")
    assert (second.view_key, second.label, second.lesions) == ("rmlo", "normal", ())
    assert (third.patient_id, third.laterality, third.view) == ("optm10", Laterality.LEFT, View.CC)
    assert first.study_id.startswith("1.2.826.")
    assert first.path == tree.root / "images" / "demd2" / first.study_id / f"{first.image_id}.dcm"
    assert manifest.notes == ("sites: adde 1 clients, jarv 1 clients",)
    assert manifest.dropped == ()


@pytest.mark.parametrize("upper", [False, True])
def test_letter_case_and_separate_folders(tree, upper):
    """NBSS_*.json and nbss_*.json; JSON, images and NBSS in three places."""
    tree.nbss = "elsewhere/nbss"
    tree.write(upper)
    (tree.root / "images").rename(tree.root / "pictures")
    manifest = api.index("omidb", tree.root, images="pictures", nbss="elsewhere/nbss")
    assert len(manifest) == 3
    assert (
        len(api.index("omidb", tree.root / "pictures", tables=tree.root / "data", nbss="../elsewhere/nbss"))
        == 3
    )


def test_all_in_one_folder(tmp_path):
    tree = OmidbTree(tmp_path, data=".", images=".", nbss=".")
    client = tree.client("demd1", e1=NORMAL)
    tree.image(client, tree.study(client), "CC", "L", ending=".dcm.json")
    assert len(index(tree)) == 1


def test_no_client(tmp_path):
    with pytest.raises(DatasetError, match=r"no client here .*--set data=FOLDER"):
        api.index("omidb", tmp_path)
    with pytest.raises(DatasetError, match=r"no such folder; --set nbss="):
        api.index("omidb", tmp_path, nbss="nowhere")


def test_processing_twins_are_left_out(tree):
    """Each view exists for presentation and for processing; the first is taken unless asked otherwise."""
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    twin = tree.image("demd2", study, "MLO", "R", intent="FOR PROCESSING")
    manifest = index(tree)
    assert twin not in set(manifest.images["image_id"])
    assert "1 images for processing (--set intent=both takes all)" in manifest.notes
    assert manifest.dropped == ()
    assert list(index(tree, intent="processing").images["image_id"]) == [twin]
    both = index(tree, intent="both").images.set_index("image_id")
    assert both.loc[twin, "view_key"] == "rmlo1"


def test_intent_from_the_sop_class(tree):
    """A header without Presentation Intent Type says it with its class; one with neither is not taken."""
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    by_class = tree.image("demd2", study, "ML", "R", t00080068=None)
    unknown = tree.image("demd2", study, "CC", "R", t00080068=None, t00080016=None, dicom=False)
    images = index(tree).images.set_index("image_id")
    assert images.loc[by_class, "view"] == "other"
    assert images.loc[by_class, "view_key"] == "rml"
    assert unknown not in images.index
    assert any("neither" in line or "does not say whether" in line for line in index(tree).dropped)


def test_tomosynthesis_is_reported(tree):
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    volume = tree.image("demd2", study, "CC", "R", frames=5, t00280008="5")
    marked = tree.image("demd2", study, "MLO", "L", [mark(1, 2, 9, 9, Mass=1)], frames=5, t00280008=5)
    manifest = index(tree)
    assert not {volume, marked} & set(manifest.images["image_id"])
    assert "2 tomosynthesis objects (--set dbt=include takes them)" in manifest.notes
    manifest = index(tree, dbt="include")
    record = next(record for record in manifest.records() if record.image_id == volume)
    assert (record.modality.value, record.num_slices) == ("tomosynthesis", 5)
    assert any(marked in line and "names no slice" in line for line in manifest.dropped)


def test_header_from_the_dicom_file_where_json_is_absent_or_silent(tree):
    study = next(iter(tree.imagedb["optm10"]["STUDIES"]))
    absent = tree.image("optm10", study, "MLO", "L", header=False)
    silent = tree.image("optm10", study, "MLO", "R", t00200062=None, t00280010=None)
    images = index(tree).images.set_index("image_id")
    assert images.loc[absent, "view_key"] == "lmlo"
    assert images.loc[silent, "view_key"] == "rmlo"


def test_values_that_are_no_dictionaries_are_skipped(tree):
    """In NBSS, in STUDIES, in a study, in a series, among marks."""
    content = tree.imagedb["demd2"]
    study, value = next(iter(content["STUDIES"].items()))
    content["STUDIES"]["1.2.3"] = "withdrawn"
    value["Comment"] = {"1.2.3.4": {}}
    value["1.2.3.4.5"] = None
    series = value[f"{study}.9"]
    series["SeriesDescription"] = {"1": "x"}
    sop = next(iter(series))
    series[sop]["NumberOfMarks"] = 1
    tree.episodes["demd2"]["SCREENED"] = ["yes"]
    assert len(index(tree)) == 3
    assert boxes(index(tree)) == [((10, 12, 20, 30), "mass")]


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((-5, -6, 10, 12), (0, 0, 10, 12)),
        ((30, 50, 99, 99), (30, 50, COLUMNS, ROWS)),
        (("20", "30", "10", "12"), (10, 12, 20, 30)),
        (("10.0", 12, 20.5, 30), (10, 12, 20.5, 30)),
    ],
)
def test_corners(tree, corners, expected):
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    sop = tree.image("demd2", study, "ML", "L", [mark(*corners, Mass=1)])
    manifest = index(tree)
    record = next(record for record in manifest.records() if record.image_id == sop)
    assert [lesion.box_xyxy for lesion in record.lesions] == [expected]
    assert ("1 boxes clipped to their images" in manifest.notes) == (expected[0] == 0 or expected[3] == ROWS)


@pytest.mark.parametrize(
    "corners", [(5, 5, 5, 9), (COLUMNS, 5, COLUMNS + 9, 9), ("a", 1, 2, 3), (1, 2, 3, None), (-9, -9, 0, 0)]
)
def test_an_image_whose_lesion_is_lost_is_dropped(tree, corners):
    """Kept without its box, it would pass for healthy; a good mark on it does not help."""
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    sop = tree.image("demd2", study, "ML", "L", [mark(1, 2, 9, 9, Mass=1), mark(*corners, Mass=1)])
    manifest = index(tree)
    assert sop not in set(manifest.images["image_id"])
    (line,) = manifest.dropped
    assert f"demd2/{study}/{sop}: a mark's box is below a pixel, no number or outside" in line
    with pytest.raises(DatasetError, match="--strict, and 1 would be left out"):
        index(tree, strict=True)


def test_unmarked_cancers_are_no_normals(tree):
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    sop = tree.image("demd2", study, "MLO", "L")
    manifest = index(tree)
    assert sop not in set(manifest.images["image_id"])
    assert any(sop in line and "nobody marked where" in line for line in manifest.dropped)
    assert index(tree, unmarked="keep").images.set_index("image_id").loc[sop, "label"] == "malignant"


@pytest.mark.parametrize(
    ("flags", "category"),
    [
        ({"Mass": "on", "WithCalcification": "1"}, "mass, calcification"),
        ({"ArchitecturalDistortion": True}, "architectural distortion"),
        ({"FocalAsymmetry": "Y"}, "asymmetry"),
        ({"SuspiciousCalcifications": "1", "Mass": ""}, "calcification"),
        ({"OtherBenignCluster": 1}, "benign cluster"),
        ({}, "unclassified"),
        ({"LinkedNBSSLesionNumber": "01"}, "mass"),
        ({"LinkedNBSSLesionNumber": "2, 1"}, "mass"),
        ({"LinkedNBSSLesionNumber": "UNLINKED"}, "unclassified"),
    ],
)
def test_categories(tree, flags, category):
    """Flags first, else the lesions of NBSS that the mark is linked to."""
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    sop = tree.image("demd2", study, "ML", "L", [mark(1, 2, 9, 9, **flags)])
    lesions = index(tree).lesions
    assert list(lesions.loc[lesions["image_id"] == sop, "category"]) == [category]


def test_which_marks_count(tree):
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    tree.image("demd2", study, "ML", "L", [mark(1, 2, 9, 9, Vascular=1), mark(2, 3, 9, 9, Mass=1)])
    tree.image("demd2", study, "LM", "R", [mark(3, 4, 9, 9, Skin=1)])
    manifest = index(tree)
    assert [box for box, _ in boxes(manifest)] == [(10, 12, 20, 30), (2, 3, 9, 9)]
    assert "2 marks that do not count as lesions" in manifest.notes
    assert "1 images that have only such marks, and pass for images without lesion" in manifest.notes
    assert [word for _, word in boxes(index(tree, categories=["skin feature"]))] == ["skin feature"]
    assert [box for box, _ in boxes(index(tree, conspicuity="subtle"))] == [(10, 12, 20, 30)]
    assert boxes(index(tree, status="benign, normal")) == []
    for options, message in (
        ({"categories": ["lump"]}, "omidb: categories=lump: accepted are mass"),
        ({"conspicuity": "obvius"}, "did you mean 'obvious'"),
        ({"status": "dead"}, "omidb: status=dead: accepted are interval cancer"),
        ({"intent": "raw"}, "omidb: intent=raw: accepted are presentation, processing, both"),
    ):
        with pytest.raises(ConfigError, match=message):
            index(tree, **options)


def test_episode_by_date_where_its_number_is_unknown(tree):
    """IMAGEDB names an episode that NBSS does not have; the day of an event decides."""
    found = tree.study("demd2", episode="lost", date="20120501")
    sop = tree.image("demd2", found, "CC", "L", [mark(1, 2, 9, 9, Mass=1)])
    lost = tree.study("demd2", episode=None, date="1999-01-01")
    tree.image("demd2", lost, "CC", "L")
    manifest = index(tree)
    assert manifest.images.set_index("image_id").loc[sop, "label"] == "malignant"
    assert any(f"demd2/{lost}: the study belongs to no episode" in line for line in manifest.dropped)


def test_labels_of_episode_and_client(tree):
    prior = tree.study("demd2", episode="e0", date="2010-01-02")
    sop = tree.image("demd2", prior, "CC", "R")
    labels = {
        option: index(tree, label=option).images.set_index("image_id").loc[sop, "label"]
        for option in ("side", "episode", "client")
    }
    assert labels == {"side": "normal", "episode": "normal", "client": "malignant"}
    assert list(index(tree, label="episode").images["label"])[:2] == ["malignant", "malignant"]


def opinions(event, **sides):
    return {event: {f"{side}_opinion": word for side, word in sides.items()}}


@pytest.mark.parametrize(
    ("episode", "left", "right"),
    [
        ({"EpisodeType": "R"}, "normal", "normal"),
        (opinions("SURGERY", left="OM", right="OB"), "malignant", "benign"),
        (opinions("BIOPSYWIDE", right="Malignant"), "normal", "malignant"),
        (opinions("BIOPSYFINE", left="OB"), "benign", "normal"),
        (opinions("ASSESSMENT", left="OM"), "normal", "normal"),
        (opinions("SURGERY", left="OB") | opinions("BIOPSYWIDE", left="OM"), "malignant", "normal"),
        ({"EpisodeType": "CI"}, "interval cancer", "interval cancer"),
        ({"EpisodeType": "CI", "INTERVALCANCER": {"R": {"1": {}}}}, "normal", "interval cancer"),
        ({"EpisodeType": "Interval case"} | opinions("SURGERY", left="OM"), "interval cancer", "normal"),
        ({"EpisodeType": "CI"} | opinions("SURGERY", left="OB"), "benign", "normal"),
        ({"EpisodeType": "R", "SURGERY": "none"}, "normal", "normal"),
    ],
)
def test_status_of_a_side(episode, left, right):
    found = parse_episodes({"1": episode})["1"]
    assert (found.status[Laterality.LEFT], found.status[Laterality.RIGHT]) == (left, right)


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [
        (
            [{"EpisodeType": "CI"} | opinions("SURGERY", left="OB"), opinions("SURGERY", left="OM")],
            "interval cancer",
        ),
        ([opinions("SURGERY", left="OB"), opinions("BIOPSYFINE", right="OM")], "malignant"),
        ([{}, opinions("SURGERY", right="OB")], "benign"),
        ([{}, {}], "normal"),
        ([], "normal"),
    ],
)
def test_status_of_a_client(episodes, expected):
    assert client_status(parse_episodes({str(k): value for k, value in enumerate(episodes)})) == expected


def test_sites_and_clients(tree):
    manifest = index(tree, sites="jarv")
    assert list(manifest.images["patient_id"]) == ["optm10"]
    assert "1 clients of site adde" in manifest.notes
    assert list(index(tree, clients="demd2").images["patient_id"].unique()) == ["demd2"]
    with pytest.raises(DatasetError, match="no client demd3"):
        index(tree, clients="demd3")


def test_missing_images(tree):
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    sop = tree.image("demd2", study, "ML", "R", dicom=False)
    nowhere = tree.image("demd2", study, "LM", "R", dicom=False, header=False)
    with pytest.raises(
        DatasetError, match=r"2 of 5 images of IMAGEDB are not on disk, such as demd2/.*--allow-missing"
    ):
        index(tree)
    manifest = index(tree, allow_missing=True)
    assert manifest.dropped == (f"demd2/{study}/{sop}, demd2/{study}/{nowhere}: is not on disk",)


def test_what_else_is_dropped_is_said(tree):
    study = next(iter(tree.imagedb["optm10"]["STUDIES"]))
    sided = tree.image("optm10", study, "CC", "", dicom=False)
    other = tree.image("optm10", study, "CC", "L", t00080060="US")
    broken = tree.image("optm10", study, "CC", "L", header=False)
    (tree.root / "images" / "optm10" / study / f"{broken}.dcm").write_bytes(b"no DICOM")
    garbled = tree.image("optm10", study, "CC", "L")
    (tree.root / "data" / "optm10" / study / f"{garbled}.json").write_text("[" * 100_000)
    again = tree.image("optm10", study, "CC", "L")
    tree.imagedb["optm10"]["STUDIES"][study][f"{study}.8"] = {again: None}
    (tree.root / "images" / "optm10" / study / "9.9.dcm").write_bytes(b"")
    tree.client("demd5", e1=NORMAL)
    (tree.root / "data" / "demd6").mkdir()
    lines = index(tree).dropped
    for key, reason in (
        (sided, "names no side"),
        (other, "is of modality US, not MG"),
        (broken, "cannot be read"),
        (garbled, "is no JSON"),
        (again, "listed twice"),
        ("9.9.dcm", "not in IMAGEDB"),
        ("demd5", "no studies in IMAGEDB"),
        ("demd6", "no imagedb_"),
    ):
        assert any(key in line and reason in line for line in lines), (key, reason, lines)


@pytest.mark.parametrize(
    ("content", "reason"), [("[1, 2]", "holds no JSON object"), ("[" * 100_000, "is no JSON")]
)
def test_a_client_that_cannot_be_read_does_not_stop_the_others(tree, content, reason):
    tree.write()
    (tree.root / "data" / "demd2" / "nbss_demd2.json").write_text(content)
    manifest = api.index("omidb", tree.root)
    assert list(manifest.images["patient_id"]) == ["optm10"]
    assert reason in manifest.dropped[0]


def test_nothing_left(tree):
    tree.imagedb = {"demd2": tree.imagedb["demd2"]}
    tree.imagedb["demd2"]["STUDIES"] = {}
    tree.write()
    (tree.root / "data" / "optm10").rename(tree.root / "gone")
    with pytest.raises(DatasetError, match="no image to take: demd2: the client has no studies"):
        api.index("omidb", tree.root)


def test_command_line(tree, tmp_path, comoto):
    tree.write()
    arguments = [
        "index",
        "omidb",
        tree.root,
        "--out",
        tmp_path / "m",
        "--set",
        "label=client",
        "--category",
        "mass",
    ]
    code, said, error = comoto(*arguments, "--strict")
    assert (code, error.count("comoto:")) == (0, 0)
    assert "omidb: 3 images, 1 lesions" in said
    assert "label: malignant 2, normal 1" in said
    study = next(iter(tree.imagedb["demd2"]["STUDIES"]))
    tree.image("demd2", study, "MLO", "L")
    tree.write()
    code, said, _ = comoto(*arguments, "--overwrite")
    assert code == 0
    assert "dropped: demd2/" in said
    code, said, error = comoto(*arguments, "--overwrite", "--strict")
    assert (code, said) == (2, "")
    assert "nobody marked where" in error


def test_the_json_is_as_the_package_reads_it(tree):
    """Keys and forms of the real files: a change of the writer would show here."""
    tree.write()
    content = json.loads((tree.root / "data" / "demd2" / "imagedb_demd2.json").read_text())
    assert content["Site"] == "adde"
    (study,) = content["STUDIES"].values()
    assert (study["StudyDate"], study["EpisodeID"]) == ("2012-03-04", "e1")
    (header, *_) = sorted((tree.root / "data" / "demd2").glob("*/*.json"))
    assert json.loads(header.read_text())["00200062"]["Value"] == ["L"]
