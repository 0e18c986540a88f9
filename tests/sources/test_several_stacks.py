"""Folders that hold more than one stack: a flat export, several views or acquisitions in a series, copies."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from stack_files import SERIES, write_stack

from comoto.dicom import log_once
from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, source_files, survey
from dicom_files import texture, write_dicom

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture(autouse=True)
def _say_everything_once_more():
    log_once.forget()


def read(path):
    with open_source(path) as image:
        return np.stack(list(image.frames()))


def uids(start):
    return lambda k: f"{SERIES}.{start + k}"


@pytest.fixture
def study(tmp_path):
    """Two series of a study in one folder, with names that mean nothing."""
    cc, mlo = texture(6, seed=1), texture(7, seed=2)
    write_stack(tmp_path, cc, names="IM{number:05d}", SeriesInstanceUID="1.2.1", SOPInstanceUID=uids(100))
    write_stack(
        tmp_path,
        mlo,
        names="IM{number:05d}x",
        SeriesInstanceUID="1.2.2",
        SOPInstanceUID=uids(200),
        ViewPosition="MLO",
    )
    return tmp_path, cc, mlo


def test_a_flat_export_of_a_study_is_parted_by_series(study):
    folder, cc, mlo = study
    found = list(survey(folder))
    assert [(kind.path.name, kind.content, kind.num_frames, kind.problem) for kind in found] == [
        ("IM00001", Content.VOLUME, 6, ""),
        ("IM00001x", Content.VOLUME, 7, ""),
    ]
    np.testing.assert_array_equal(read(found[0].path), cc)
    np.testing.assert_array_equal(read(found[1].path), mlo)


def test_any_slice_stands_for_its_stack(study):
    folder, _, mlo = study
    one = folder / "IM00004x"
    np.testing.assert_array_equal(read(one), mlo)
    assert describe_source(one).path == folder / "IM00001x"
    assert (read_source_header(one).num_frames, read_source_header(one).view_position) == (7, "MLO")
    assert [path.name for path in source_files(one)] == [f"IM{number:05d}x" for number in range(1, 8)]


def test_the_folder_itself_is_no_image_but_names_the_way_out(study):
    with pytest.raises(DicomError, match=r"several images.*any slice stands for its stack"):
        open_source(study[0])


def test_a_series_for_each_slice_is_named_with_the_way_out(tmp_path):
    """As some systems export them: nothing says that they belong together."""
    write_stack(tmp_path, texture(6), SeriesInstanceUID=uids(300))
    (kind,) = survey(tmp_path)
    assert (kind.content, kind.path) == (Content.SLICE, tmp_path)
    assert "6 x one slice, each of a series of its own (1.dcm, ...)" in kind.problem
    assert kind.problem.endswith("if they are one volume, export them as one series")


def test_a_slice_is_noticed_that_joins_later(tmp_path):
    """What was seen of a folder is forgotten when its files change."""
    write_stack(tmp_path / "made", texture(6))
    (tmp_path / "x").mkdir()
    for number in range(1, 6):
        shutil.copy(tmp_path / "made" / f"{number}.dcm", tmp_path / "x")
    assert len(read(tmp_path / "x" / "2.dcm")) == 5
    shutil.copy(tmp_path / "made" / "6.dcm", tmp_path / "x")
    assert len(read(tmp_path / "x" / "2.dcm")) == 6


def test_two_views_in_one_series(tmp_path):
    """Numbers go on, and no place tells the views apart: glued, they would pass for a volume."""
    cc, mlo = texture(5, seed=1), texture(5, seed=2)
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    write_stack(tmp_path, cc, names="a{number}", **nowhere)
    write_stack(
        tmp_path,
        mlo,
        names="b{number}",
        ViewPosition="MLO",
        InstanceNumber=lambda k: 6 + k,
        SOPInstanceUID=uids(50),
        **nowhere,
    )
    assert [kind.num_frames for kind in survey(tmp_path)] == [5, 5]
    np.testing.assert_array_equal(read(tmp_path / "b1"), mlo)


def test_two_acquisitions_in_one_series(tmp_path):
    first, second = texture(5, seed=1), texture(5, seed=2)
    write_stack(tmp_path, first, names="a{number}", AcquisitionNumber=1)
    more = {"InstanceNumber": lambda k: 6 + k, "SOPInstanceUID": uids(50)}
    write_stack(tmp_path, second, names="b{number}", AcquisitionNumber=2, **more)
    np.testing.assert_array_equal(read(tmp_path / "a3"), first)
    np.testing.assert_array_equal(read(tmp_path / "b3"), second)


def test_acquisitions_counted_in_the_course_of_one_volume(tmp_path):
    """Ten places one after the other are one stack, whatever the counter says."""
    frames = texture(10)
    write_stack(tmp_path, frames, AcquisitionNumber=lambda k: 1 + k // 5)
    np.testing.assert_array_equal(read(tmp_path), frames)


def test_copies_are_left_out(tmp_path, caplog):
    frames = texture(5)
    write_stack(tmp_path, frames)
    shutil.copy(tmp_path / "3.dcm", tmp_path / "3 (1).dcm")
    np.testing.assert_array_equal(read(tmp_path), frames)
    assert "a copy of" in caplog.text


def test_another_picture_under_the_same_number_is_no_copy(tmp_path):
    write_stack(tmp_path, texture(5))
    write_stack(tmp_path, texture(1, seed=9), names="other.dcm")
    with pytest.raises(DicomError, match="same Instance Number"):
        read(tmp_path)


def test_a_synthetic_image_beside_the_slices(tmp_path):
    frames = texture(5)
    write_stack(tmp_path, frames)
    words = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
    tags = {"SOPClassUID": MAMMOGRAPHY, "ImageType": words, "InstanceNumber": 999}
    write_dicom(tmp_path / "view.dcm", texture(1)[0], "raw", tags=tags)
    np.testing.assert_array_equal(read(tmp_path), frames)
    found = [(kind.path, kind.content, kind.problem) for kind in survey(tmp_path)]
    assert found == [(tmp_path, Content.VOLUME, ""), (tmp_path / "view.dcm", Content.SYNTHETIC, "")]


def test_one_file_without_number_goes_where_its_place_is(tmp_path, caplog):
    frames = texture(5)
    write_stack(tmp_path, frames, InstanceNumber=lambda k: None if k == 2 else 1 + k)
    np.testing.assert_array_equal(read(tmp_path), frames)
    assert "have no Instance Number" in caplog.text


def test_numbers_that_run_against_the_places(tmp_path):
    """The numbers say which way the stack is counted, as they do where none is missing."""
    frames = texture(5)
    place = {"ImagePositionPatient": lambda k: [0.0, 0.0, -float(k)]}
    write_stack(tmp_path, frames, InstanceNumber=lambda k: None if k == 2 else 1 + k, **place)
    np.testing.assert_array_equal(read(tmp_path), frames)


# slices that do not say the same


def test_windows_of_slices(tmp_path, caplog):
    """The first slice does not speak for all of them."""
    write_stack(
        tmp_path,
        texture(5),
        WindowCenter=lambda k: 60 if k == 0 else 500,
        WindowWidth=lambda k: 80 if k == 0 else 800,
    )
    assert read_source_header(tmp_path).window == (500, 800)
    assert "windows differ between slices" in caplog.text


@pytest.mark.parametrize(
    ("tags", "match"),
    [
        ({"HighBit": lambda k: 13 if k == 3 else 9}, "different pixel layouts, 1.dcm and 4.dcm"),
        ({"PresentationLUTShape": lambda k: "INVERSE" if k == 3 else "IDENTITY"}, "photometric"),
        ({"ImageLaterality": lambda k: "LLR"[k // 2]}, r"2 sides or views \(L, R\)"),
    ],
)
def test_slices_that_mean_different_things(tmp_path, tags, match):
    write_stack(tmp_path, texture(5), **tags)
    with pytest.raises(DicomError, match=match):
        open_source(tmp_path)
