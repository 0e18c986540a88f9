"""Mammograms "for processing": bright air becomes dark, equal tissue equal steps; others are left alone.

A detector of 14 bits holds 0 to 2**14 - 1, so that the intensity ``2**k - 1`` has ``ln(1 + i) = k ln 2`` and
the curve's value is ``65535 (1 - k / 14)``.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage, read_header
from comoto.preprocessing import Plan, plan_image
from comoto.preprocessing.detector_data import DetectorCurve, air_is_bright
from comoto.records import Laterality, Modality
from comoto.sources.isolated import Limits, open_isolated
from dicom_files import write_dicom

PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FULL = PreprocessConfig(rows=160, columns=128)
"""Finer than the pictures, so that nothing is resized."""
AIR, THICK, MIDDLE, THIN = (2**k - 1 for k in (14, 4, 7, 10))


def detector_picture():
    """Three bands of tissue, 3 octaves apart, the thickest at the chest wall; the rest is air."""
    picture = np.full((160, 100), AIR, np.uint16)
    for start, intensity in ((0, THICK), (20, MIDDLE), (40, THIN)):
        picture[40:120, start : start + 20] = intensity
    return picture


def planned(path, config=FULL, modality=Modality.MAMMOGRAM):
    with DicomImage(path) as image:
        plan = plan_image(image, Laterality.LEFT, modality, config)
        return plan, plan.render(image.frame(0, plan.halvings))


def bands(grid):
    """Grey values of the middles of the three bands, from the chest wall, and of the last column."""
    row = grid[len(grid) // 2]
    return [int(row[column]) for column in (10, 30, 50)] + [int(row[-1])]


def write(path, picture, **options):
    tags = {"SOPClassUID": PROCESSING, "PresentationIntentType": "FOR PROCESSING"} | options.pop("tags", {})
    return write_dicom(path, picture, "raw", bits_stored=14, tags=tags, **options)


def test_the_curve_by_hand():
    values = DetectorCurve("log", 2**14 - 1, is_inverted=False).values(
        np.array([AIR, 2**12 - 1, MIDDLE, 0], np.uint16)
    )
    assert values.tolist() == [0, 9362, 32768, 65535]  # 65535 x (0, 1/7, 1/2, 1)
    turned = DetectorCurve("log", 2**14 - 1, is_inverted=True).values(np.array([0, AIR], np.uint16))
    assert turned.tolist() == [0, 65535]
    assert DetectorCurve("linear", 255, False).values(np.array([0, 55, 255], np.uint8)).tolist() == [
        255,
        200,
        0,
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("log", [255, 128, 0, 0]),  # equal tissue, equal steps
        ("linear", [255, 227, 0, 0]),  # 255 x (1023 - 127) / (1023 - 15) = 226.7
    ],
)
def test_tissue_becomes_bright_and_the_files_window_is_not_used(tmp_path, kind, expected):
    path = write(tmp_path / "a.dcm", detector_picture(), window=(8000.0, 16000.0))
    plan, grid = planned(path, FULL.model_copy(update={"for_processing": kind}))
    assert bands(grid) == expected
    assert (plan.window_source, plan.laterality) == ("percentile", Laterality.LEFT)
    assert '"for processing" with bright air' in plan.notes[0]
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    upright = plan.upright(detector_picture())
    assert upright.shape == (160, 100)
    assert upright[80, 10] == (46811 if kind == "log" else AIR - THICK)  # 65535 x 10 / 14 = 46810.7


def test_it_can_be_left_alone(tmp_path):
    plan, grid = planned(
        write(tmp_path / "a.dcm", detector_picture(), window=None),
        PreprocessConfig(rows=160, columns=128, for_processing="as_stored", crop_air=False, mirror=False),
    )
    assert plan.curve is None
    assert grid[10, 80] > grid[80, 10]


def test_monochrome1_says_the_same(tmp_path):
    """The reader turns such frames over, which would leave the tissue in a few percent of the greys."""
    tags = {"PhotometricInterpretation": "MONOCHROME1"}
    plan, grid = planned(write(tmp_path / "a.dcm", detector_picture(), window=None, tags=tags))
    assert plan.curve == DetectorCurve("log", AIR, is_inverted=True)
    assert bands(grid) == [255, 128, 0, 0]


def test_dark_air_is_left_alone_with_a_note(tmp_path):
    picture = AIR - detector_picture()
    plan, grid = planned(write(tmp_path / "a.dcm", picture, window=None))
    assert plan.curve is None
    assert plan.notes == (
        'the header says "for processing", but its air is dark; its values are taken as they are',
    )
    assert bands(grid) == [255, 227, 0, 0]


@pytest.mark.parametrize(
    ("intent", "sop_class", "expected"),
    [
        ("FOR PROCESSING", PRESENTATION, True),
        ("FOR PRESENTATION", PROCESSING, False),
        (None, PROCESSING, True),
        (None, PRESENTATION, False),
    ],
)
def test_the_intent_counts_and_else_the_class(tmp_path, intent, sop_class, expected):
    tags = {"SOPClassUID": sop_class} | ({"PresentationIntentType": intent} if intent else {})
    path = write_dicom(tmp_path / "a.dcm", detector_picture(), "raw", bits_stored=14, tags=tags)
    assert read_header(path).for_processing is expected
    assert (planned(path)[0].curve is not None) is expected


def test_volumes_are_reconstructions_whatever_they_are_called(tmp_path):
    path = write(tmp_path / "a.dcm", np.stack([detector_picture()] * 3))
    assert read_header(path).for_processing
    assert planned(path, modality=Modality.TOMOSYNTHESIS)[0].curve is None


def test_a_process_with_limits_says_it_too(tmp_path):
    with open_isolated(write(tmp_path / "a.dcm", detector_picture()), Limits()) as image:
        assert plan_image(image, None, Modality.MAMMOGRAM, FULL).curve == DetectorCurve("log", AIR, False)


def test_reduced_jpeg_2000_is_the_same_picture(tmp_path):
    picture = np.kron(detector_picture(), np.ones((8, 8), np.uint16))
    tags = {"SOPClassUID": PROCESSING}
    path = write_dicom(tmp_path / "a.dcm", picture, "j2k", bits_stored=14, window=None, tags=tags)
    grid = {"rows": 160, "columns": 128}
    reduced, seen = planned(path, PreprocessConfig(**grid))
    full, expected = planned(path, PreprocessConfig(**grid, decode="full"))
    assert (reduced.halvings, full.halvings) == (1, 0)
    middles = [round(full.boxes_to_grid([[x, 640, x + 1, 641]])[0][0]) for x in (80, 240, 400)]
    for one in (seen, expected):
        assert [int(one[len(one) // 2, column]) for column in middles] == [255, 128, 0]
    assert np.mean(seen != expected) < 0.1  # only where bands meet: the logarithm is taken after averaging


def test_a_picture_without_contrast_does_not_tell():
    assert air_is_bright(np.full((80, 60), 500, np.uint16)) is None
    assert air_is_bright(np.random.default_rng(0).integers(0, 900, (80, 60))) is None


@settings(max_examples=60)
@given(
    reach=st.floats(0.35, 0.85),
    height=st.floats(0.25, 0.7),
    thickness=st.floats(1.2, 4.5),
    heel=st.floats(0, 0.2),
    gain=st.sampled_from([900.0, 4000.0, 15000.0]),
    right=st.booleans(),
    form=st.sampled_from(["detector", "logarithm", "upside down"]),
    seed=st.integers(0, 99),
)
def test_air_is_told_from_the_breast(reach, height, thickness, heel, gain, right, form, seed):
    """A compressed breast that attenuates e^-thickness, thinner within the last fifth, with counting noise.

    ``height`` above a half is a breast that leaves the picture at the top and at the bottom.
    """
    rows, columns = 200, 160
    y, x = np.mgrid[:rows, :columns]
    radius = np.hypot((x + 0.5) / (reach * columns), (y + 0.5 - rows / 2) / (height * rows))
    path = thickness * np.sqrt(np.clip((1 - radius) / 0.2, 0, 1))
    generator = np.random.default_rng(seed)
    texture = 1 + 0.1 * generator.standard_normal((rows // 20, columns // 20)).repeat(20, 0).repeat(20, 1)
    beam = gain * (1 - heel * y / rows)
    intensity = generator.poisson(beam * np.exp(-path * texture)).clip(0, 16383)
    if right:
        intensity = intensity[:, ::-1]
    shown = {
        "detector": intensity,
        "logarithm": np.rint(16383 * (1 - np.log1p(intensity) / np.log1p(16383))),
        "upside down": 16383 - intensity,
    }[form]
    assert air_is_bright(shown) is (form == "detector")
