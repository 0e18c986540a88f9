"""Rescale, lookup tables, windows, and which end is bright: what stands per frame, twice, or oddly."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset

from comoto.config.models import PreprocessConfig
from comoto.dicom import log_once
from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from comoto.preprocessing.plan import plan_image
from comoto.preprocessing.window import file_window
from comoto.records import Laterality, Modality
from dicom_files import breast, texture, write_dicom

SMALL = PreprocessConfig(rows=64, columns=32)


@pytest.fixture(autouse=True)
def _say_everything_once_more():
    log_once.forget()


def item(**values):
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def voi(center, width, **more):
    return [item(WindowCenter=center, WindowWidth=width, **more)]


def per_frame(count, **macros):
    """Functional groups of frames; each macro is a function of the frame's number, None leaves it out."""
    made = {name: [make(k) for k in range(count)] for name, make in macros.items()}
    return [
        item(**{name: values[k] for name, values in made.items() if values[k] is not None})
        for k in range(count)
    ]


def volume(path, frames, shared=None, **tags):
    tags = {"SharedFunctionalGroupsSequence": [shared or Dataset()]} | tags
    return write_dicom(path, frames, "raw", bits_stored=tags.pop("bits", 10), tags=tags)


@pytest.fixture
def x(tmp_path):
    return tmp_path / "x.dcm"


# rescale


def test_slopes_that_differ_by_frame_are_applied_to_each(x, caplog):
    """Frame 0 has slope 1 and intercept 0, frame 1 slope 4 and intercept 10, frame 2 slope 2 and intercept
    -6.

    The finest slope is 1 and the least value -6, so a frame value is r + 6. Stored 100 means r of 100, 410,
    194. The largest is 4 * 1023 + 10 + 6 = 4108: 13 bits.
    """
    scale = {0: (1, 0), 1: (4, 10), 2: (2, -6)}
    frames = np.full((3, 4, 4), 100, np.uint16)
    frames[:, 0, 0], frames[:, 0, 1] = 1023, 0
    groups = per_frame(
        3,
        PixelValueTransformationSequence=lambda k: [
            item(RescaleSlope=scale[k][0], RescaleIntercept=scale[k][1], RescaleType="US")
        ],
    )
    volume(x, frames, PerFrameFunctionalGroupsSequence=groups)
    with DicomImage(x) as image:
        got = np.stack(list(image.frames()))
    assert (image.header.rescale, image.header.bits_stored, got.dtype) == ((1.0, -6.0), 13, np.uint16)
    assert got[:, 3, 3].tolist() == [106, 416, 200]
    assert got[:, 0, 0].tolist() == [1029, 4108, 2046]
    assert got[:, 0, 1].tolist() == [6, 16, 0]
    assert "differ between frames" in caplog.text


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("codec", ["raw", "jpegls", "j2k"])
def test_frames_with_scales_of_their_own_show_the_same_as_the_plain_ones(x, codec, photometric):
    """Real values 4 v with slope 1, or v with slope 4: rendered they are equal, byte for byte."""
    tissue = breast(4, 60, 40, "L", level=120)
    real = 4 * np.where(tissue, tissue + texture(4, 60, 40, bits=5), 0).astype(np.uint16)
    real = 4000 - real if photometric == "MONOCHROME1" else real
    scaled = real.copy()
    scaled[2:] //= 4
    slopes = per_frame(
        4,
        PixelValueTransformationSequence=lambda k: [
            item(RescaleSlope=4 if k >= 2 else 1, RescaleIntercept=0)
        ],
    )
    center = 3700 if photometric == "MONOCHROME1" else 300
    rendered = []
    for frames, groups in ((real, per_frame(4)), (scaled, slopes)):
        tags = {"PerFrameFunctionalGroupsSequence": groups, "PhotometricInterpretation": photometric}
        write_dicom(x, frames, codec, bits_stored=12, window=(center, 800), tags=tags)
        with DicomImage(x) as image:
            plan = plan_image(image, Laterality.LEFT, Modality.TOMOSYNTHESIS, SMALL)
            rendered.append(np.stack([plan.render(frame) for frame in image.frames()]))
            assert plan.window_source == "file"
    assert 100 < rendered[0].max() < 255
    np.testing.assert_array_equal(rendered[0], rendered[1])


def test_scales_too_fine_for_16_bits_are_spread_over_them(x):
    """Slopes 0.01 and 1 of 12 bits: 4095 / 0.01 is more than 65535 steps, so the step is 4095 / 65535."""
    frames = np.full((2, 4, 4), 4095, np.uint16)
    groups = per_frame(
        2,
        PixelValueTransformationSequence=lambda k: [item(RescaleSlope=[0.01, 1][k], RescaleIntercept=0)],
    )
    volume(x, frames, PerFrameFunctionalGroupsSequence=groups, bits=12)
    with DicomImage(x) as image:
        slope, _ = image.header.rescale
        assert slope == pytest.approx(4095 / 65535)
        assert image.frame(1)[0, 0] == 65535
        assert image.frame(0)[0, 0] * slope == pytest.approx(40.95, abs=slope)


def test_a_rescale_of_all_frames_and_another_of_single_ones(x):
    shared = item(PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0)])
    groups = per_frame(
        3, PixelValueTransformationSequence=lambda k: [item(RescaleSlope=2, RescaleIntercept=0)]
    )
    volume(x, texture(), shared, PerFrameFunctionalGroupsSequence=groups)
    with pytest.raises(DicomError, match=r"stand for all frames .* and otherwise for single ones"):
        read_header(x)


def test_a_modality_table_is_applied(x, caplog):
    """Four entries from stored 2 on: 900, 700, 300, 100; below it the first, above it the last (C.11.1.1)."""
    table = item(LUTDescriptor=[4, 2, 10], LUTData=[900, 700, 300, 100])
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    stored = np.arange(8, dtype=np.uint16).reshape(2, 4)
    tags = {"ModalityLUTSequence": [table], "WindowCenter": 500, "WindowWidth": 200}
    write_dicom(x, stored, "raw", tags=tags)
    with DicomImage(x) as image:
        np.testing.assert_array_equal(image.frame(0), [[900, 900, 900, 700], [300, 100, 100, 100]])
    assert (image.header.rescale, image.header.bits_stored) == ((1.0, 0.0), 10)
    assert file_window(image.header, Modality.TOMOSYNTHESIS) == (400, 600)
    assert "Modality LUT" in caplog.text


@pytest.mark.parametrize(
    ("descriptor", "data"), [([9, 0, 10], [1, 2, 3]), ([3, 0, 20], [1, 2, 3]), ([3, 0], [1, 2, 3])]
)
def test_a_table_that_contradicts_itself(x, descriptor, data):
    table = item(LUTDescriptor=descriptor, LUTData=data)
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    write_dicom(x, texture()[0], "raw", tags={"ModalityLUTSequence": [table]})
    with pytest.raises(DicomError, match="Modality LUT"):
        read_header(x)


# which end is bright

FALLING = list(range(1023, -1, -1))


def table_of_interest(entries, first=0, bits=10):
    table = item(LUTDescriptor=[len(entries), first, bits], LUTData=entries)
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    return [table]


@pytest.mark.parametrize(
    ("tags", "is_inverted"),
    [
        ({}, False),
        ({"PresentationLUTShape": "IDENTITY"}, False),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"RescaleSlope": -1, "RescaleIntercept": 1023}, True),
        ({"RescaleSlope": -1, "RescaleIntercept": 1023, "PhotometricInterpretation": "MONOCHROME1"}, False),
        ({"VOILUTSequence": table_of_interest(FALLING)}, True),
        ({"VOILUTSequence": table_of_interest(FALLING), "WindowCenter": 500, "WindowWidth": 900}, True),
        ({"VOILUTSequence": table_of_interest(FALLING), "PhotometricInterpretation": "MONOCHROME1"}, False),
        ({"VOILUTSequence": table_of_interest(FALLING[::-1])}, False),
    ],
)
def test_which_end_is_bright(x, tags, is_inverted):
    """An odd number of steps that fall makes the picture inverted, an even number does not."""
    frame = texture()[0]
    write_dicom(x, frame, "raw", window=None, tags=tags)
    np.testing.assert_array_equal(DicomImage(x).frame(0), 1023 - frame if is_inverted else frame)


@pytest.mark.parametrize("falls", [False, True])
def test_a_table_of_interest_becomes_the_window_that_it_shows(x, falls):
    """Black up to 300, then two greys a value up to 800: 2 % of 1000 is reached at 310 and 98 % at 790."""
    entries = [min(max(2 * (value - 300), 0), 1000) for value in range(1024)]
    entries = [1000 - entry for entry in entries] if falls else entries
    write_dicom(x, texture()[0], "raw", window=None, tags={"VOILUTSequence": table_of_interest(entries)})
    header = read_header(x)
    expected = (1023 - 790, 1023 - 310) if falls else (310, 790)
    for modality in Modality:
        assert file_window(header, modality) == expected


def test_a_rising_table_beside_a_window_is_another_way_to_show_it(x):
    tags = {"VOILUTSequence": table_of_interest(FALLING[::-1])}
    write_dicom(x, texture()[0], "raw", window=(400, 600), tags=tags)
    assert read_header(x).window == (400, 600)


def test_a_table_that_rises_and_falls_is_said_and_not_used(x, caplog):
    tags = {"VOILUTSequence": table_of_interest([*range(512), *range(512, 0, -1)])}
    write_dicom(x, texture()[0], "raw", window=None, tags=tags)
    assert read_header(x).window is None
    assert "neither rises nor falls" in caplog.text


def test_tables_of_eight_bits_packed_into_words(x):
    """256 entries of 8 bits in 128 words, the first in the low byte (PS3.3 C.11.2.1.1)."""
    table = item(LUTDescriptor=[256, 0, 8], LUTData=bytes(range(255, -1, -1)))
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    frame = texture(bits=8)[0]
    write_dicom(x, frame, "raw", bits_stored=8, window=None, tags={"VOILUTSequence": [table]})
    np.testing.assert_array_equal(DicomImage(x).frame(0), 255 - frame)


# windows


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([(500, 800)] * 8, (500, 800)),
        ([(60, 80)] + [(500, 800)] * 7, (500, 800)),
        ([(500, 800)] * 4 + [(60, 80)] * 4, None),
        ([(500, 800)] * 3 + [(60, 80)] * 5, None),
        ([(500 + k, 800) for k in range(-3, 4)], (500, 800)),
        ([(60, 0)] + [(500, 800)] * 7, (500, 800)),
    ],
)
def test_windows_of_frames(x, windows, expected):
    """The first frame does not speak for all; without agreement there is no window."""
    groups = per_frame(len(windows), FrameVOILUTSequence=lambda k: voi(*windows[k]))
    volume(x, texture(len(windows)), PerFrameFunctionalGroupsSequence=groups)
    assert read_header(x).window == expected


def test_differing_windows_are_named(x, caplog):
    groups = per_frame(3, FrameVOILUTSequence=lambda k: voi(100 + k, 50))
    volume(x, texture(3), PerFrameFunctionalGroupsSequence=groups)
    assert read_header(x).window == (101, 50)
    assert "windows differ between frames (3 values in 3 frames)" in caplog.text


def test_a_window_of_all_frames_and_others_of_single_ones(x, caplog):
    shared = item(FrameVOILUTSequence=voi(500, 800))
    groups = per_frame(3, FrameVOILUTSequence=lambda k: voi(60, 80))
    volume(x, texture(), shared, PerFrameFunctionalGroupsSequence=groups)
    assert read_header(x).window == (500, 800)
    assert "both for all frames and for single ones" in caplog.text


@pytest.mark.parametrize(
    ("center", "width", "expected"),
    [
        (500, 800, (500, 800)),
        (500, 0, None),
        (500, -800, None),
        (500, None, None),
        ([500, 300], [0, 700], (300, 700)),
        ([500, 300, 200], [800, 700, 600], (500, 800)),
        ("nan", 800, None),
    ],
)
def test_windows_that_are_none_do_not_stop_reading(x, center, width, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(x, texture()[0], "raw", tags={"WindowCenter": center, "WindowWidth": width})
    assert read_header(x).window == expected


@pytest.mark.parametrize("missing", ["WindowCenter", "WindowWidth"])
def test_half_a_window_is_said(x, caplog, missing):
    """As de-identification leaves it; a file with neither has no window and needs no word."""
    write_dicom(x, texture()[0], "raw", tags={missing: None})
    assert read_header(x).window is None
    assert "the window (no number) is none" in caplog.text


def test_a_window_at_the_top_of_a_volume(x):
    volume(x, texture(), WindowCenter=500, WindowWidth=800)
    assert read_header(x).window == (500, 800)


def test_a_window_of_letters_is_said_without_them(x, caplog):
    write_dicom(x, texture()[0])
    data = x.read_bytes()
    assert data.count(b"600.0 ") == 1
    x.write_bytes(data.replace(b"600.0 ", b"6oo.0 "))
    assert read_header(x).window is None
    assert "the window (no number) is none" in caplog.text
    assert "6oo" not in caplog.text


@pytest.mark.parametrize(
    ("function", "modality", "expected"),
    [
        ("LINEAR", Modality.MAMMOGRAM, (100, 699)),
        ("LINEAR_EXACT", Modality.MAMMOGRAM, (100, 700)),
        ("LINEAR", Modality.TOMOSYNTHESIS, (100, 700)),
        ("LINEAR_EXACT", Modality.TOMOSYNTHESIS, (100, 700)),
    ],
)
def test_exact_windows(x, function, modality, expected):
    """PS3.3 C.11.2.1.2.1: LINEAR spans c - 0.5 plus or minus (w - 1) / 2, LINEAR_EXACT c and w."""
    write_dicom(x, texture()[0], "raw", window=(400, 600), tags={"VOILUTFunction": function})
    assert file_window(read_header(x), modality) == expected
