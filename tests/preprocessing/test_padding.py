"""Pixel padding: bright padding is rendered as if there were air in its place, and nothing else changes.

Each file with padding is compared with the file of the same picture whose padded strip holds air, value 0.
Without the attributes the two differ, so equality is not there for nothing.
"""

import json

import numpy as np
import pydicom
import pytest

from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from comoto.preprocessing import Plan, plan_image
from comoto.preprocessing.padding import Padding
from comoto.records import Laterality, Modality
from comoto.sources.isolated import Limits, open_isolated
from dicom_files import texture, write_dicom

CONFIG = PreprocessConfig(rows=128, columns=64)
TOP = 1023
STRIP = 60
"""First column of the padding, which cuts off the breast's tip: else it would be cropped as air."""


def rendered(path, modality=Modality.MAMMOGRAM, config=CONFIG):
    with DicomImage(path) as image:
        plan = plan_image(image, Laterality.LEFT, modality, config)
        return plan, np.stack([plan.render(frame) for frame in image.frames(None, plan.halvings)])


def write(path, picture, value=None, limit=None, codec="raw", **tags):
    if value is not None:
        tags["PixelPaddingValue"] = value
    if limit is not None:
        tags["PixelPaddingRangeLimit"] = limit
    return write_dicom(path, picture, codec, window=None, tags=tags)


def padded(picture, values=TOP):
    picture = picture.copy()
    picture[..., STRIP:] = values
    return picture


@pytest.fixture
def clean(tmp_path, breast):
    """The picture with air where padding will be, and how it is rendered."""
    picture = padded(breast(), 0)
    return picture, *rendered(write(tmp_path / "clean.dcm", picture))


def test_bright_padding_is_rendered_as_air(tmp_path, clean):
    picture, plan, grid = clean
    found, shown = rendered(write(tmp_path / "padded.dcm", padded(picture), TOP))
    jump = 0.05 * np.percentile(picture[:, :STRIP], 99.5)
    assert found.padding == Padding(TOP, TOP, spread=pytest.approx(102.3), black=0, jump=pytest.approx(jump))
    assert (found.to_grid, found.window) == (plan.to_grid, plan.window)
    assert np.array_equal(shown, grid)
    assert found.notes == ("bright padding on 40.0% of the picture is made black",)
    assert Plan.from_json(json.loads(json.dumps(found.to_json()))) == found
    blind, without = rendered(write(tmp_path / "untold.dcm", padded(picture)))
    assert blind.padding is None
    assert without.shape != grid.shape  # the strip would pass for breast


def test_monochrome1_has_its_limit_below_the_value(tmp_path, clean):
    picture, _, grid = clean
    strip = texture(1, 160, 40, bits=5)[0] % 31  # stored 0 to 30, shown as 993 to 1023
    path = write(
        tmp_path / "a.dcm", padded(TOP - picture, strip), 30, 0, PhotometricInterpretation="MONOCHROME1"
    )
    assert read_header(path).padding == (993, 1023)
    assert np.array_equal(rendered(path)[1], grid)


@pytest.mark.parametrize("value", [511, -1])
def test_signed_values(tmp_path, clean, value):
    picture, _, grid = clean
    stored = padded(picture, 512 + value).astype(np.int16) - 512
    path = write(tmp_path / "a.dcm", stored, value, PixelRepresentation=1)
    assert read_header(path).padding == (512 + value, 512 + value)
    # -1 is shown as 511, inside the range of tissue: the strip is flat up to its rim, and tissue is not
    assert np.array_equal(rendered(path)[1], grid)


def test_the_bits_of_a_negative_value_written_as_unsigned(tmp_path, clean):
    path = write(tmp_path / "a.dcm", clean[0].astype(np.int16) - 512, -100, PixelRepresentation=1)
    dataset = pydicom.dcmread(path)
    del dataset.PixelPaddingValue
    dataset.add_new("PixelPaddingValue", "US", 65436)
    dataset.save_as(path)
    assert read_header(path).padding == (412, 412)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"value": 1000, "limit": 1023}, (1000, 1023)),
        ({"value": 1000, "limit": 5000}, (1000, 1023)),
        ({"value": 0, "limit": 10}, (0, 10)),
        ({"value": 1024}, None),  # no pixel of 10 bits has it
        ({"limit": 1023}, None),  # a limit alone says nothing
        ({}, None),
    ],
)
def test_the_range_as_frame_values(tmp_path, clean, tags, expected):
    assert read_header(write(tmp_path / "a.dcm", clean[0], **tags)).padding == expected


@pytest.mark.parametrize(
    ("value", "limit"),
    [(0, None), (0, 10), (400, None), (350, 450), (300, 1023), (1023, None)],
    ids=["air", "dark", "one tissue value", "most tissue", "all tissue", "absent"],
)
def test_dark_padding_and_values_of_tissue_change_nothing(tmp_path, clean, value, limit):
    """Values of tissue are a known bad habit: no hole may be punched."""
    picture, plan, grid = clean
    found, shown = rendered(write(tmp_path / "a.dcm", picture, value, limit))
    assert found == plan
    assert np.array_equal(shown, grid)


def test_an_overexposed_chest_wall_stays(tmp_path, clean):
    picture = clean[0].astype(float)
    glow = np.linspace(1200, 0, 100)[None] * (picture > 0)
    picture = np.clip(picture + glow, 0, TOP).astype(np.uint16)
    assert np.mean(picture[:, 0] == TOP) > 0.7
    plan, grid = rendered(write(tmp_path / "a.dcm", picture))
    found, shown = rendered(write(tmp_path / "b.dcm", picture, TOP))
    assert found == plan
    assert np.array_equal(shown, grid)


def test_letters_of_the_same_value_stay(tmp_path, clean):
    picture = clean[0].copy()
    picture[70:80, 20:30] = TOP
    config = CONFIG.model_copy(update={"crop_air": False})
    _, grid = rendered(write(tmp_path / "a.dcm", picture), config=config)
    _, shown = rendered(write(tmp_path / "b.dcm", padded(picture), TOP), config=config)
    assert np.array_equal(shown, grid)
    assert (shown == 255).any()


def test_a_volume_is_decoded_in_full_where_padding_is_bright(tmp_path, breast):
    volume = np.stack([breast(shape=(640, 400), seed=seed) for seed in range(4)])
    with_padding = volume.copy()
    volume[:, :, 240:], with_padding[:, :, 240:] = 0, TOP
    full = CONFIG.model_copy(update={"decode": "full"})
    _, grid = rendered(write(tmp_path / "a.dcm", volume, codec="j2k"), Modality.TOMOSYNTHESIS, full)
    path = write(tmp_path / "b.dcm", with_padding, TOP, codec="j2k")
    plan, shown = rendered(path, Modality.TOMOSYNTHESIS)
    assert plan.halvings == 0
    assert np.array_equal(shown, grid)
    dark, _ = rendered(write(tmp_path / "c.dcm", volume, 0, codec="j2k"), Modality.TOMOSYNTHESIS)
    assert dark.halvings == 1  # padding that is dark costs nothing


def test_detector_data_have_bright_air_and_dark_padding(tmp_path, breast):
    """There the darkest stored value is shown white."""
    picture = 1000 - breast(tissue=600)
    corner = picture.copy()
    corner[:60, 50:] = 0
    picture[:60, 50:] = 1000
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1", "PresentationIntentType": "FOR PROCESSING"}
    plan, grid = rendered(write(tmp_path / "a.dcm", picture, **tags))
    found, shown = rendered(write(tmp_path / "b.dcm", corner, 0, **tags))
    assert found.curve == plan.curve is not None
    assert np.array_equal(shown, grid)


def test_a_process_with_limits_says_it_too(tmp_path, clean):
    path = write(tmp_path / "a.dcm", clean[0], 1000, TOP)
    with open_isolated(path, Limits()) as image:
        assert image.header.padding == (1000, TOP)


def test_a_value_that_is_no_number_is_the_one_error_and_not_quoted(tmp_path, clean):
    path = write(tmp_path / "a.dcm", clean[0], 7)
    dataset = pydicom.dcmread(path)
    del dataset.PixelPaddingValue
    dataset.add_new("PixelPaddingValue", "LO", "Petronella")
    dataset.save_as(path)
    with pytest.raises(DicomError, match="PixelPaddingValue is text, a whole number was expected"):
        read_header(path)
