"""BCS-DBT: joins, layouts, clips and refusals, against a tiny release worked out by hand."""

from dataclasses import replace

import pandas as pd
import pytest

from comoto import api
from comoto.errors import ConfigError, DatasetError, DicomError
from tiny_releases import VOLUMES

LAYOUTS = ("classic", "descriptive", "descriptive-na", "rest", "idc", "idc-index", "unnamed")
IDS = {
    "DBT-P00001_DBT-S00001_lcc": ("train", "normal", "L", "CC", None),
    "DBT-P00001_DBT-S00001_rcc": ("train", "normal", "R", "CC", None),
    "DBT-P00002_DBT-S00002_rmlo": ("train", "cancer", "R", "MLO", 5),
    "DBT-P00002_DBT-S00002_rmlo1": ("train", "cancer", "R", "MLO", 6),
    "DBT-P00003_DBT-S00003_lcc": ("validation", "actionable", "L", "CC", None),
    "DBT-P00004_DBT-S00004_lmlo": ("test", "benign", "L", "MLO", 8),
}
LESIONS = {
    ("DBT-P00002_DBT-S00002_rmlo1", 5, "cancer"): (0, 0, 6, 8),
    ("DBT-P00002_DBT-S00002_rmlo", 2, "cancer"): (5, 6, 9, 13),
    ("DBT-P00002_DBT-S00002_rmlo", 4, "cancer"): (15, 30, 20, 40),  # clipped from (15, 30, 25, 50)
    ("DBT-P00004_DBT-S00004_lmlo", 7, "benign"): (1, 2, 4, 6),
}


def contents(manifest):
    images = {
        record.image_id: (record.split, record.label, record.laterality, record.view, record.num_slices)
        for record in manifest.records()
    }
    lesions = {
        (record.image_id, lesion.slice_index, lesion.category): lesion.box_xyxy
        for record in manifest.records()
        for lesion in record.lesions
    }
    return images, lesions


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["1-1.dcm", "5f3c0d5e.DCM", "1-1 (1).dicom", "00000001"])
def test_every_layout_gives_the_same_manifest(bcs_tables, layout, name):
    bcs_tables.write_volumes(layout, name)
    manifest = api.index("bcs-dbt", bcs_tables.root)
    images, lesions = contents(manifest)
    assert images == IDS
    assert lesions == LESIONS
    for record in manifest.records():
        assert record.path.name == name
        assert record.patient_id in str(record.path) or layout == "rest"
    assert manifest.notes == ("BCS-DBT-boxes-train-v2.csv: 1 box clipped to the image (line 4)",)


def test_paths_lead_to_the_right_series(bcs_tree):
    from comoto.dicom.read import read_header

    records = api.index("bcs-dbt", bcs_tree.root).records()
    frames = {record.image_id[-5:]: read_header(record.path).num_frames for record in records}
    assert frames == {"1_lcc": 3, "1_rcc": 4, "_rmlo": 5, "rmlo1": 6, "3_lcc": 3, "_lmlo": 8}


def test_the_same_series_number_and_tail_are_told_apart_by_the_header(bcs_tables):
    """Both MLO volumes end in 00777; here they have one series number too."""
    bcs_tables.edit("file-paths", "/14.000000-00777/", "/13.000000-00777/")
    for volume, name in ((2, "a"), (3, "b")):
        path = bcs_tables.write_volume(VOLUMES[volume], "descriptive")
        target = path.parent.parent / f"13.000000-{name}-00777" / "1-1.dcm"
        target.parent.mkdir()
        path.rename(target)
    manifest = api.index("bcs-dbt", bcs_tables.root, allow_missing=True)
    slices = {record.view_key: (record.num_slices, record.path.parent.name) for record in manifest.records()}
    assert slices == {"rmlo": (5, "13.000000-a-00777"), "rmlo1": (6, "13.000000-b-00777")}


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("style", ["hyphen", "space", "phase-2", "phase-1"])
def test_table_names_and_encodings(tmp_path, bcs_tables, style, bom):
    for path in bcs_tables.root.glob("*.csv"):
        path.unlink()
    bcs_tables.tables = tmp_path / "tables"
    bcs_tables.tables.mkdir()
    bcs_tables.write_tables(style, bom=bom)
    bcs_tables.write_volumes()
    assert contents(api.index("bcs-dbt", bcs_tables.root, tables=bcs_tables.tables)) == (IDS, LESIONS)


def test_without_volume_slices_the_header_counts(bcs_tables):
    bcs_tables.write_tables(volume_slices=False)
    bcs_tables.write_volumes()
    assert contents(api.index("bcs-dbt", bcs_tables.root)) == (IDS, LESIONS)


def test_links_are_followed_and_loops_are_not(tmp_path, bcs_tables):
    bcs_tables.write_volumes()
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "data").symlink_to(bcs_tables.root)
    (bcs_tables.root / "again").symlink_to(bcs_tables.root)
    assert contents(api.index("bcs-dbt", linked, tables=bcs_tables.root)) == (IDS, LESIONS)


# traps of the release


def test_files_named_after_their_series(bcs_tables):
    """A flat folder of downloaded zips, unpacked and renamed."""
    for volume in VOLUMES:
        path = bcs_tables.write_volume(volume, "rest", "1-1.dcm")
        path.rename(bcs_tables.root / f"{volume.series_uid}.dcm")
        path.parent.rmdir()
    assert contents(api.index("bcs-dbt", bcs_tables.root)) == (IDS, LESIONS)


def test_shadow_files_and_texts_of_archives_are_no_volumes(bcs_tree):
    folder = bcs_tree.root / VOLUMES[0].folder("classic")
    (folder / "._1-1.dcm").write_bytes(b"shadow")
    (folder / "LICENSE").write_text("x" * 300)
    shadow = bcs_tree.root / "__MACOSX" / VOLUMES[0].series_uid
    shadow.mkdir(parents=True)
    (shadow / "1-1.dcm").write_bytes(b"shadow")
    manifest = api.index("bcs-dbt", bcs_tree.root)
    assert contents(manifest) == (IDS, LESIONS)
    assert manifest.dropped == ()


@pytest.mark.parametrize("layout", ["rest", "unnamed"])
def test_files_that_no_table_names_are_said(bcs_tables, layout):
    bcs_tables.write_volumes()
    stranger = replace(VOLUMES[0], series_uid="1.2.826.0.1.3680043.8.498.99", frames=99)
    path = bcs_tables.write_volume(stranger, layout).relative_to(bcs_tables.root)
    manifest = api.index("bcs-dbt", bcs_tables.root)
    assert contents(manifest) == (IDS, LESIONS)
    assert manifest.dropped == (
        f"{bcs_tables.root}: 1 DICOM file is in no table that was read, such as {path}",
    )


def test_a_file_may_be_named_after_its_own_uid(bcs_tables):
    """In a folder that names nothing, the header decides even if the file's name looks like a series."""
    bcs_tables.write_volumes("unnamed", "1.2.826.0.1.3680043.8.498.123.dcm")
    assert contents(api.index("bcs-dbt", bcs_tables.root)) == (IDS, LESIONS)


def test_a_positive_study_of_one_repeated_view(bcs_tree):
    """As P01282 of the release: lcc2 and lmlo1 without the views that they repeat."""
    for kind in ("labels", "file-paths"):
        bcs_tree.edit(kind, "lmlo,", "lcc2,", "test")
    bcs_tree.edit("boxes", "lmlo,", "lcc2,", "test")
    (record,) = (record for record in api.index("bcs-dbt", bcs_tree.root).records() if record.split == "test")
    assert (record.view_key, record.laterality, record.view) == ("lcc2", "L", "CC")
    assert record.image_id == "DBT-P00004_DBT-S00004_lcc2"
    assert len(record.lesions) == 1


def test_actionable_volumes_have_no_box_and_may_be_left_out(bcs_tree):
    kept = api.index("bcs-dbt", bcs_tree.root)
    (actionable,) = (record for record in kept.records() if record.label == "actionable")
    assert actionable.lesions == ()
    without = api.index("bcs-dbt", bcs_tree.root, actionable="leave-out")
    assert set(contents(without)[0]) == set(IDS) - {"DBT-P00003_DBT-S00003_lcc"}
    assert "validation: 1 actionable volumes are left out, as asked for" in without.notes
    assert without.dropped == ()
    with pytest.raises(ConfigError, match="actionable=drop: accepted are keep, leave-out"):
        api.index("bcs-dbt", bcs_tree.root, actionable="drop")


# splits without tables


def test_a_split_without_paths_or_labels_is_left_out_and_said(bcs_tree):
    bcs_tree.table("file-paths", "validation").unlink()
    bcs_tree.table("labels", "test").unlink()
    manifest = api.index("bcs-dbt", bcs_tree.root)
    assert set(manifest.images["split"]) == {"train"}
    assert len(manifest.lesions) == 3
    assert [line.split(",")[0] for line in manifest.dropped[:2]] == [
        "validation: the whole split",
        "test: the whole split",
    ]
    assert "holds no file-paths table" in manifest.dropped[0]
    assert "holds no labels table" in manifest.dropped[1]
    assert "2 DICOM files are in no table that was read, such as manifest-16" in manifest.dropped[2]
    assert len(manifest.dropped) == 3


def test_positive_labels_without_boxes_are_refused(bcs_tree):
    bcs_tree.table("boxes").unlink()
    with pytest.raises(
        DatasetError, match=r"labels-train-v2\.csv: 2 volumes are benign or cancer, but .*no boxes"
    ):
        api.index("bcs-dbt", bcs_tree.root)


def test_normal_labels_need_no_boxes(bcs_tree):
    bcs_tree.table("boxes", "validation").unlink()
    assert contents(api.index("bcs-dbt", bcs_tree.root)) == (IDS, LESIONS)


def test_no_tables(tmp_path):
    with pytest.raises(DatasetError, match=r"none of the BCS-DBT tables.*--tables"):
        api.index("bcs-dbt", tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        api.index("bcs-dbt", tmp_path / "nowhere")


def test_only_labels(bcs_tree):
    for path in bcs_tree.root.glob("*file-paths*"):
        path.unlink()
    with pytest.raises(DatasetError, match="no split has both a labels and a file-paths table"):
        api.index("bcs-dbt", bcs_tree.root)


def test_two_tables_of_one_kind(bcs_tree):
    (bcs_tree.root / "BCS-DBT labels-train.csv").write_text("x")
    with pytest.raises(
        DatasetError, match=r"'BCS-DBT labels-train\.csv' and 'BCS-DBT-labels-train-v2\.csv' are two"
    ):
        api.index("bcs-dbt", bcs_tree.root)


# what is not on disk, or twice


def remove(tree, *views):
    for volume in VOLUMES:
        if volume.view in views:
            (tree.root / volume.folder("classic") / "1-1.dcm").unlink()


def test_missing_volumes_are_refused_with_both_ways_out(bcs_tree):
    remove(bcs_tree, "rcc", "rmlo1")
    match = (
        r"2 of 6 volumes of the tables are not on disk, such as DBT-P00002 DBT-S00002 rmlo1, "
        r"DBT-P00001 DBT-S00001 rcc; download them, or .*--allow-missing"
    )
    with pytest.raises(DatasetError, match=match):
        api.index("bcs-dbt", bcs_tree.root)


def test_missing_volumes_can_be_left_out(bcs_tree):
    remove(bcs_tree, "rcc", "rmlo1", "lmlo")
    manifest = api.index("bcs-dbt", bcs_tree.root, allow_missing=True)
    images, lesions = contents(manifest)
    absent = {name for name in IDS if name.endswith(("rcc", "rmlo1", "lmlo"))}
    assert images == {name: row for name, row in IDS.items() if name not in absent}
    assert lesions == {key: box for key, box in LESIONS.items() if key[0] not in absent}
    assert manifest.dropped == (
        "train: 2 of 4 volumes, because they are not on disk",
        "test: 1 of 1 volumes, because they are not on disk",
    )


@pytest.mark.parametrize("allow_missing", [False, True])
def test_nothing_on_disk(bcs_tables, allow_missing):
    with pytest.raises(DatasetError, match=r"none of the 6 volumes.*right folder"):
        api.index("bcs-dbt", bcs_tables.root, allow_missing=allow_missing)


def test_two_files_of_one_series(bcs_tree):
    bcs_tree.write_volume(VOLUMES[0], "classic", "1-2.dcm")
    with pytest.raises(DatasetError, match=r"1-1\.dcm and .*1-2\.dcm are the same volume"):
        api.index("bcs-dbt", bcs_tree.root)


def test_one_series_in_two_layouts(bcs_tree):
    bcs_tree.write_volume(VOLUMES[5], "rest")
    with pytest.raises(DatasetError, match="are the same volume"):
        api.index("bcs-dbt", bcs_tree.root)


def test_a_folder_that_holds_another_series(bcs_tree):
    bcs_tree.write_volume(VOLUMES[2], SeriesInstanceUID="1.2.3")
    with pytest.raises(DatasetError, match=r"holds series 1\.2\.3, but its place in the folders"):
        api.index("bcs-dbt", bcs_tree.root)


def test_a_volume_with_a_box_must_be_readable(bcs_tree):
    path = bcs_tree.root / VOLUMES[2].folder("classic") / "1-1.dcm"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DicomError, match="damaged or cut"):
        api.index("bcs-dbt", bcs_tree.root)


def test_unreadable_files_in_unnamed_folders_are_said(bcs_tables):
    bcs_tables.write_volumes("unnamed")
    (bcs_tables.root / "disk3" / "notes.dcm").write_text("no image")
    manifest = api.index("bcs-dbt", bcs_tables.root)
    assert contents(manifest) == (IDS, LESIONS)
    (line,) = manifest.dropped
    assert line.startswith("1 file could not be read, such as ")
    assert "notes.dcm" in line


# wrong tables


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        (
            "labels",
            "rmlo1,0,0,0,1",
            "rmlo1,0,0,1,1",
            r"labels-train-v2\.csv: not exactly one of .* is 1 in line 2",
        ),
        ("labels", "rmlo1,0,0,0,1", "rmlo1,0,0,0,0", r"not exactly one of .* in line 2"),
        ("labels", "rmlo1,0,0,0,1", "rmlo1,0,0,2,-1", r"not exactly one of .* in line 2"),
        ("labels", "rmlo1,0,0,0,1", "rmlo1,0,0,0,yes", r"Cancer is no number in line 2"),
        ("labels", "rmlo1,0,0,0,1", "rmlo,0,0,0,1", r"same PatientID, StudyUID, View .* in lines 2, 3"),
        ("labels", "rmlo1,0,0,0,1", "RMLO1,0,0,0,1", r"View is not like .* in line 2"),
        ("labels", "rmlo1,0,0,0,1", "lml,0,0,0,1", r"View is not like .* in line 2"),
        (
            "labels",
            "rmlo1,0,0,0,1",
            "rmlo2,0,0,0,1",
            r"has no row in BCS-DBT-.*in line 2; use tables of the same",
        ),
        ("labels", "rmlo1,0,0,0,1", "rmlo1,0,0,0", r"line 2 has 6 cells, the header has 7"),
        ("labels", "Actionable", "Action", r"columns are missing: Actionable"),
        ("file-paths", "lcc,Breast", "rcc,Breast", r"file-paths-train-v2\.csv: the same .* in lines 2, 3"),
        (
            "boxes",
            "rmlo,0,2,5,6,4,7",
            "rmlo,0,2,5,6,0,7",
            r"boxes-train-v2\.csv: the box is empty in line 3; correct",
        ),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5,6,4,-7", r"the box is empty in line 3"),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,20,6,4,7", r"lies wholly outside of its image in line 3"),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5,-7,4,7", r"lies wholly outside of its image in line 3"),
        (
            "boxes",
            "rmlo,0,2,5,6,4,7",
            "rmlo,0,5,5,6,4,7",
            r"Slice is not between 0 and VolumeSlices - 1 in line 3",
        ),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,-1,5,6,4,7", r"Slice is not between 0 .* in line 3"),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,5.5,6,4,7", r"X is no whole number in line 3"),
        ("boxes", "rmlo,0,2,5,6,4,7", "rmlo,0,2,,6,4,7", r"X is no number in line 3"),
        ("boxes", "4,7,cancer", "4,7,malignant", r"Class is none of benign, cancer in line 3"),
        ("boxes", "rmlo,0,2,5", "lmlo,0,2,5", r"the volume has no row in .*labels-train-v2\.csv in line 3"),
        (
            "boxes",
            "cancer,1,6",
            "cancer,1,7",
            r"VolumeSlices is not the number of frames in the file in line 2",
        ),
        ("boxes", "20,cancer,0,5", "20,cancer,0,6", r"VolumeSlices differs within one volume in lines 3, 4"),
        ("boxes", "20,cancer,0,5", "20,cancer,2,5", r"AD is none of 0, 1 in line 4"),
    ],
)
def test_wrong_rows_are_named(bcs_tree, kind, old, new, message):
    bcs_tree.edit(kind, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("bcs-dbt", bcs_tree.root)


def test_slice_beyond_the_frames_without_volume_slices(bcs_tables):
    bcs_tables.write_tables(volume_slices=False)
    bcs_tables.edit("boxes", "rmlo,0,2,5,6", "rmlo,0,5,5,6")
    bcs_tables.write_volumes()
    with pytest.raises(DatasetError, match="Slice is beyond the last frame in line 3"):
        api.index("bcs-dbt", bcs_tables.root)


def test_labels_and_boxes_that_disagree_are_noted(bcs_tree):
    bcs_tree.edit("labels", "rmlo,0,0,0,1", "rmlo,1,0,0,0")
    bcs_tree.edit("labels", "lcc,1,0,0,0", "lcc,0,0,1,0")
    notes = api.index("bcs-dbt", bcs_tree.root).notes
    assert notes[0] == "BCS-DBT-labels-train-v2.csv: the volume is benign or cancer but has no box in line 5"
    assert (
        notes[1]
        == "BCS-DBT-labels-train-v2.csv: the volume has a box but is neither benign nor cancer in line 3"
    )


def test_volumes_without_a_label_are_left_out_and_said(bcs_tree):
    bcs_tree.edit("labels", "DBT-P00001,DBT-S00001,rcc,1,0,0,0\n", "")
    manifest = api.index("bcs-dbt", bcs_tree.root)
    assert "DBT-P00001_DBT-S00001_rcc" not in set(manifest.images["image_id"])
    assert manifest.dropped[0] == "BCS-DBT-file-paths-train-v2.csv: no label for the volume, in line 3"
    assert "1 DICOM file is in no table that was read, such as manifest-16" in manifest.dropped[1]


def test_a_patient_in_two_splits(bcs_tables):
    for kind in ("labels", "file-paths"):
        path = bcs_tables.table(kind, "validation")
        path.write_text(path.read_text().replace("DBT-P00003", "DBT-P00001"))
    bcs_tables.write_volumes()
    with pytest.raises(DatasetError, match="more than one split: DBT-P00001"):
        api.index("bcs-dbt", bcs_tables.root)


def test_notes_name_many_lines_briefly():
    from comoto.csv_rows import lines_text

    assert lines_text([7]) == "line 7"
    assert lines_text(range(2, 12)) == "lines 2, 3, 4, 5, 6, 7 and 4 more"


def test_manifest_survives_saving(bcs_tree, tmp_path):
    from comoto.records import Manifest

    manifest = api.index("bcs-dbt", bcs_tree.root)
    manifest.save(tmp_path / "m")
    again = Manifest.load(tmp_path / "m")
    pd.testing.assert_frame_equal(again.images, manifest.images)
    pd.testing.assert_frame_equal(again.lesions, manifest.lesions)
    assert again.notes == manifest.notes
