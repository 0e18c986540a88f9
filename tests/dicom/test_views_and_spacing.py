"""Views that only codes tell, modifiers of views, and distances of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from comoto.dicom import log_once
from comoto.dicom.read import DicomImage, read_header
from dicom_files import texture, write_dicom


@pytest.fixture(autouse=True)
def _say_everything_once_more():
    log_once.forget()


def code(value, *modifiers):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = value, "SCT"
    if modifiers:
        item.ViewModifierCodeSequence = [code(modifier) for modifier in modifiers]
    return item


VIEWS = {
    "CC": codes.cid4014.CranioCaudal,
    "MLO": codes.cid4014.MedioLateralObliqueProjection,
    "ML": codes.cid4014.MedioLateralProjection,
    "LM": codes.cid4014.LateroMedial,
    "LMO": codes.cid4014.LateroMedialOblique,
    "FB": codes.cid4014.CaudoCranial,
    "SIO": codes.cid4014.SuperolateralToInferomedialOblique,
    "ISO": codes.cid4014.InferomedialToSuperolateralOblique,
    "XCCL": codes.cid4014.CranioCaudalExaggeratedLaterally,
    "XCCM": codes.cid4014.CranioCaudalExaggeratedMedially,
    "SPECIMEN": codes.cid4014.TissueSpecimenFromBreast,
}
MODIFIERS = {
    "cleavage": codes.cid4015.Cleavage,
    "axillary tail": codes.cid4015.AxillaryTail,
    "rolled lateral": codes.cid4015.RolledLateral,
    "rolled medial": codes.cid4015.RolledMedial,
    "rolled inferior": codes.cid4015.RolledInferior,
    "rolled superior": codes.cid4015.RolledSuperior,
    "implant displaced": codes.cid4015.ImplantDisplaced,
    "magnification": codes.cid4015.Magnification,
    "spot compression": codes.cid4015.SpotCompression,
    "tangential": codes.cid4015.Tangential,
    "nipple in profile": codes.cid4015.NippleInProfile,
    "anterior compression": codes.cid4015.AnteriorCompression,
    "infra-mammary fold": codes.cid4015.InfraMammaryFold,
    "axillary tissue": codes.cid4015.AxillaryTissue,
}
"""As pydicom's copy of PS3.16 has them, apart from the package's own table."""


@pytest.mark.parametrize("word", VIEWS)
def test_views_by_code(tmp_path, word):
    tags = {"ViewPosition": None, "ViewCodeSequence": [code(VIEWS[word].value)]}
    assert read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags)).view_position == word


@pytest.mark.parametrize(("value", "word"), [("R-10242", "CC"), ("R-10224", "ML"), ("R-1024A", "XCCL")])
def test_views_by_older_code(tmp_path, value, word):
    tags = {"ViewPosition": None, "ViewCodeSequence": [code(value)]}
    assert read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags)).view_position == word


def test_every_code_of_the_standard_is_known():
    assert {concept.value for concept in VIEWS.values()} == {
        getattr(codes.cid4014, name).value for name in codes.cid4014.dir()
    }
    assert {concept.value for concept in MODIFIERS.values()} == {
        getattr(codes.cid4015, name).value for name in codes.cid4015.dir()
    }


def test_an_unknown_code_is_no_view(tmp_path):
    tags = {"ViewPosition": None, "ViewCodeSequence": [code("12345")]}
    assert read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags)).view_position is None


@pytest.mark.parametrize("word", MODIFIERS)
def test_modifiers(tmp_path, word):
    tags = {"ViewCodeSequence": [code(VIEWS["CC"].value, MODIFIERS[word].value)]}
    header = read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags))
    assert (header.view_position, header.view_modifiers) == ("CC", (word,))


def test_several_modifiers_in_order(tmp_path):
    tags = {"ViewCodeSequence": [code(VIEWS["ML"].value, "399163009", "399055006", "99")]}
    header = read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags))
    assert header.view_modifiers == ("magnification", "spot compression", "modifier of another kind")


def test_two_different_views_are_said(tmp_path, caplog):
    tags = {"ViewPosition": "CC", "ViewCodeSequence": [code(VIEWS["MLO"].value)]}
    assert read_header(write_dicom(tmp_path / "x.dcm", texture()[0], tags=tags)).view_position == "CC"
    assert "View Position says CC, the view code MLO" in caplog.text


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelSpacing": [0.1]}, None),
        ({"PixelSpacing": [0.1, 0.1, 1.0]}, None),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [0.1, -0.1]}, None),
        ({"PixelSpacing": [0.1], "ImagerPixelSpacing": [0.07, 0.08]}, (0.07, 0.08)),
        ({"PixelSpacing": [0.1, 0.2], "ImagerPixelSpacing": [0.07, 0.08]}, (0.1, 0.2)),
        ({"ImagerPixelSpacing": [0.07, 0.08], "EstimatedRadiographicMagnificationFactor": 2}, (0.035, 0.04)),
        ({"ImagerPixelSpacing": [0.07, 0.08], "EstimatedRadiographicMagnificationFactor": 0}, (0.07, 0.08)),
        (
            {"PixelSpacing": [0.07, 0.08], "EstimatedRadiographicMagnificationFactor": 2},
            (0.07, 0.08),
        ),
    ],
)
def test_spacings(tmp_path, tags, expected, caplog):
    """Nothing that is read depends on it, so what is no spacing never stops reading."""
    frame = texture()[0]
    path = write_dicom(tmp_path / "x.dcm", frame, "raw", tags=tags)
    with DicomImage(path) as image:
        np.testing.assert_array_equal(image.frame(0), frame)
    assert image.header.spacing_mm == (None if expected is None else pytest.approx(expected))
    is_said = "two positive numbers were expected" in caplog.text
    assert is_said == ("PixelSpacing" in tags and expected != tuple(tags["PixelSpacing"]))


@pytest.mark.parametrize(("value", "text"), [([0.125, 0.25], b"wide\\0.25"), ([0.125], b"wide.")])
def test_a_spacing_of_letters_is_said_without_them(tmp_path, value, text, caplog):
    path = write_dicom(tmp_path / "x.dcm", texture()[0], "raw", tags={"PixelSpacing": value})
    written = "\\".join(map(str, value)).encode()
    data = path.read_bytes()
    assert data.count(written) == 1
    path.write_bytes(data.replace(written, text + b" " * (len(written) - len(text))))
    assert read_header(path).spacing_mm is None
    assert "PixelSpacing is text" in caplog.text
    assert "wide" not in caplog.text


def test_spacings_that_differ_between_frames(tmp_path, caplog):
    groups = []
    for k in range(3):
        measures, group = Dataset(), Dataset()
        measures.PixelSpacing = [0.10 + 0.01 * k, 0.10]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    tags = {"PerFrameFunctionalGroupsSequence": groups}
    header = read_header(write_dicom(tmp_path / "x.dcm", texture(), tags=tags))
    assert header.spacing_mm == (0.11, 0.10)
    assert "PixelSpacing differ between frames (3 values in 3 frames)" in caplog.text


def frame_groups(**tags):
    """The groups of three frames: each tag a function of the frame's number, in a macro that may hold it."""
    groups = []
    for k in range(3):
        macro, group = Dataset(), Dataset()
        for keyword, value in tags.items():
            setattr(macro, keyword, value(k))
        group.PixelMeasuresSequence = [macro]
        groups.append(group)
    return {"PerFrameFunctionalGroupsSequence": groups}


AXIAL = {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, None),
        ({"SliceThickness": 2}, 2.0),
        ({"SliceThickness": 0}, None),
        ({"SpacingBetweenSlices": 1.5, "SliceThickness": 2}, 1.5),
        ({"SpacingBetweenSlices": 1.5, **frame_groups(SliceThickness=lambda k: 1.0)}, 1.5),
        (frame_groups(SpacingBetweenSlices=lambda k: 0.5), 0.5),
        # places go along the normal of the slices, here -z, and the thickness is not their distance
        ({**AXIAL, **frame_groups(ImagePositionPatient=lambda k: [0, 0, 3 - 1.25 * k])}, 1.25),
        ({**AXIAL, "SliceThickness": 4, **frame_groups(ImagePositionPatient=lambda k: [0, 0, k])}, 1.0),
        ({**AXIAL, "SliceThickness": 4, **frame_groups(ImagePositionPatient=lambda k: [0, 0, 7])}, 4.0),
    ],
)
def test_the_distance_of_slices(tmp_path, tags, expected):
    assert read_header(write_dicom(tmp_path / "x.dcm", texture(), tags=tags)).slice_mm == expected
