"""The second exams: one breast in two views, families and looks, boxes, decoys, systems and their tables."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto import api
from comoto.config import override
from comoto.dicom.read import DicomImage
from comoto.errors import ConfigError
from comoto.records import View
from comoto.simulation import SecondConfig, SimulatedPaths, simulate, sized
from comoto.simulation.anatomy import draw_view
from comoto.simulation.images import stored_frames, volume_path
from comoto.simulation.projection import mammography_source, tomosynthesis_sources
from comoto.simulation.second.cohort import (
    draw_breast,
    draw_decoys,
    draw_lesions,
    exposure_rng,
    plan_mammograms,
    plan_volumes,
)
from comoto.simulation.second.crosssection import MLO_ANGLE, CrossSection
from comoto.simulation.second.exams import (
    expose_tomosynthesis,
    line_integrals,
    projected_box,
    slice_box,
    visibility,
)
from comoto.simulation.second.images import make_second_volume, phantom_of
from comoto.simulation.second.lesion import Lesion, LesionShape, Placed, grow_lesion
from comoto.simulation.second.looks import DECOYS, FAMILIES, draw_look, look_of
from comoto.simulation.second.material import draw_material
from comoto.simulation.second.phantom import SecondPhantom
from comoto.simulation.second.placement import draw_places, put


def _config(**values: object) -> SecondConfig:
    few = {
        "mammography.training_patients": 2,
        "mammography.test_patients": 1,
        "mammography.lesion_share": 1.0,
        "tomosynthesis.train_patients": 3,
        "tomosynthesis.validation_patients": 1,
        "tomosynthesis.test_patients": 1,
        "tomosynthesis.label_only_patients": 1,
        "tomosynthesis.lesion_share": 0.8,
        "tomosynthesis.actionable_share": 1.0,
    }
    return override(sized("tiny", "second"), values={**few, **values})


def _sections(config: SecondConfig, seed: int) -> dict[View, CrossSection]:
    rng = np.random.default_rng(seed)
    breast = draw_breast(config, rng)
    height = config.grid.rows * config.grid.pixel_mm
    return {view: CrossSection(breast, draw_view(breast, view, height, rng)) for view in (View.CC, View.MLO)}


def _shape(family: str, size_mm: float = 20.0, look: int = 0, seed: int = 1) -> LesionShape:
    return LesionShape(family, look, size_mm, 0.75, 1.0, False, False, seed)


def _ball(radius: float, center: tuple[float, float, float]) -> Placed:
    """A smooth ball whose box is twice as long as its body's diameter divided by 1.5."""
    shape = _shape("cyst", size_mm=2 * radius / 0.75)
    blobs = np.array([[0, 0, 0, radius]], np.float32)
    empty = [np.zeros((0, columns), np.float32) for columns in (5, 14, 5)]
    return Placed(Lesion(shape, blobs, *empty), center, 0.0, 1.0)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPaths:
    return simulate(tmp_path_factory.mktemp("second") / "out", _config(), workers=1)


def _digests(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != ".lock":
            yield str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(second: SimulatedPaths, tmp_path: Path):
    config = _config()
    case = plan_volumes(config)[0]
    make_second_volume(case, config, tmp_path)
    ((name, digest),) = list(_digests(tmp_path))
    assert dict(_digests(second.bcs_dbt))[name] == digest
    other = override(config, values={"seed": 1})
    assert plan_volumes(other)[0].exam.breast != case.exam.breast


def test_phantom_and_exposure_of_a_case_show_the_very_image_that_was_written(second: SimulatedPaths):
    config = _config()
    case = plan_volumes(config)[1]
    volume = expose_tomosynthesis(phantom_of(case, config), case.exam.style, exposure_rng(config, case))
    (frame,) = stored_frames(case, [volume.frame(2)])
    with DicomImage(volume_path(second.bcs_dbt, case, config.tomosynthesis.layout)) as written:
        np.testing.assert_array_equal(written.frame(2), frame)


@given(
    x=st.floats(2, 40),
    p=st.floats(-0.65, 0.65),
    q=st.floats(-0.65, 0.65),
    view=st.sampled_from(["CC", "MLO"]),
)
def test_disc_and_view_are_inverse_maps(x: float, p: float, q: float, view: str):
    section = _sections(_config(), 3)[View(view)]
    at = np.asarray([x])
    y, z = section.from_disc(at, np.asarray([p]), np.asarray([q]))
    assert abs(z[0]) <= section.view.thickness / 2
    back = section.to_disc(at, y, z)
    assert (back[0][0], back[1][0]) == pytest.approx((p, q), abs=1e-6)


def test_mlo_turns_the_disc_by_the_angle_of_its_paddle():
    sections = _sections(_config(), 3)
    # A point above the nipple line, q = 0.5, p = 0: CC sees it above the middle (t), MLO above it and beside.
    at = np.asarray([20.0])
    y, z = sections[View.CC].from_disc(at, np.asarray([0.0]), np.asarray([0.5]))
    assert y[0] == pytest.approx(sections[View.CC].view.middle)
    # (0, q) of a disc is (0, q) of the square, so z is half the way to the upper face.
    assert z[0] == pytest.approx(0.25 * sections[View.CC].view.thickness)
    y, z = sections[View.MLO].from_disc(at, np.asarray([0.0]), np.asarray([0.5]))
    assert y[0] < sections[View.MLO].view.middle
    assert math.cos(MLO_ANGLE) * 0.25 < z[0] / sections[View.MLO].view.thickness < 0.25


def test_both_views_sample_the_same_tissue():
    sections = _sections(_config(), 4)
    material = draw_material(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    share, radius, angle = (
        rng.uniform(0.05, 0.7, 3000),
        0.9 * rng.random(3000) ** 0.5,
        rng.uniform(0, 6.283, 3000),
    )
    found = {}
    for view, section in sections.items():
        x = share * section.view.depth
        y, z = section.from_disc(x, radius * np.cos(angle), radius * np.sin(angle))
        found[view] = material.score(section, *(values.astype(np.float32) for values in (x, y, z)))
    assert np.corrcoef(found[View.CC], found[View.MLO])[0, 1] > 0.9
    assert abs(np.corrcoef(found[View.CC][1:], found[View.MLO][:-1])[0, 1]) < 0.1


@pytest.mark.parametrize("family", ["round", "distortion"])
def test_lesion_is_at_one_place_of_the_breast_in_both_views(family: str):
    config = _config()
    sections = _sections(config, 5)
    rng = np.random.default_rng(2)
    (place,) = draw_places(sections, draw_material(rng), (_shape(family),), config.grid, rng)
    for section in sections.values():
        item = put(_shape(family), place, section)
        x, y, z = (np.asarray([value]) for value in item.center)
        assert x[0] == pytest.approx(place.x * section.view.depth)
        p, q = section.to_disc(x, y, z)
        assert (p[0], q[0]) == pytest.approx((place.p, place.q), abs=0.02)
        assert abs(z[0]) + item.flat * item.lesion.radius < section.view.thickness / 2
    first, second = (put(_shape(family), place, section).lesion for section in sections.values())
    np.testing.assert_array_equal(first.blobs, second.blobs)
    np.testing.assert_array_equal(first.strands, second.strands)


def _is_pushed_inside(item: Placed, phantom: SecondPhantom) -> bool:
    """Whether an item touches the skin's room, where its height is not that of its place any more."""
    return abs(item.center[2]) + item.flat * item.lesion.radius > phantom.view.thickness / 2 - 2.51


def test_both_views_of_a_breast_show_the_same_lesions():
    config = _config(
        **{"lesions.two_lesions": 1.0, "decoys.per_breast": 2.0, "tomosynthesis.lesion_share": 1.0}
    )
    config = override(config, values={"tomosynthesis.one_view_share": 0.0})
    pairs, compared = [case for case in plan_volumes(config) if case.boxed][:4], 0
    for cc, mlo in (pairs[:2], pairs[2:]):
        assert (cc.exam, cc.view, mlo.view) == (mlo.exam, View.CC, View.MLO)
        first, second = phantom_of(cc, config), phantom_of(mlo, config)
        assert len(first.lesions) == len(second.lesions) == 2
        assert len(first.decoys) == len(second.decoys) == len(cc.exam.decoys)
        for one, other in zip(
            (*first.lesions, *first.decoys), (*second.lesions, *second.decoys), strict=True
        ):
            assert one.lesion.shape == other.lesion.shape
            # The axis from the chest wall to the nipple is common to both views.
            along = one.center[0] / first.view.depth
            assert other.center[0] / second.view.depth == pytest.approx(along, abs=1e-6)
            if any(_is_pushed_inside(item, phantom) for item, phantom in ((one, first), (other, second))):
                continue
            compared += one in first.lesions
            # The place that CC says in the uncompressed breast tells the height in MLO.
            x, y, z = (np.asarray([value]) for value in one.center)
            p, q = first.section.to_disc(x, y, z)
            _, height = second.section.from_disc(np.asarray([along * second.view.depth]), p, q)
            assert other.center[2] == pytest.approx(height[0], abs=0.01 * second.view.thickness)
    assert compared >= 2


def test_systems_differ_in_their_slices_and_in_their_depth_of_field():
    config = _config()
    phantom = phantom_of(plan_volumes(config)[0], config)
    ball = _ball(8.0, (25.0, phantom.view.middle, 0.0))
    phantom = SecondPhantom(**{**vars(phantom), "lesions": (ball,), "decoys": ()})
    boxes, left = set(), {}
    for name, (angle, projections, factor) in {
        "narrow": (7.5, 15, 1.0),
        "medium": (12.5, 9, 0.8),
        "wide": (25.0, 25, 1.25),
    }.items():
        volume = expose_tomosynthesis(phantom, name, np.random.default_rng(0))
        assert (volume.style.angle_deg, volume.style.num_views) == (angle, projections)
        step = factor * config.grid.slice_mm
        assert len(volume.slice_heights) == round(phantom.view.thickness / step)
        assert np.diff(volume.slice_heights) == pytest.approx(step)
        assert volume.slice_heights.mean() == pytest.approx(phantom.height(0.0))
        assert abs(volume.slice_heights[volume.slice_indices[0]] - phantom.height(0.0)) <= step / 2 + 1e-9
        boxes.add(volume.boxes_xyxy)
        sources = tomosynthesis_sources(config.grid.rows, config.grid.pixel_mm, angle, projections)
        _, shadow = line_integrals(phantom, sources)
        peak = [volume.reconstruction.same_geometry(shadow, phantom.height(z)).max() for z in (0.0, 15.0)]
        left[name] = peak[1] / peak[0]
    assert len(boxes) == 1
    # 15 mm away the outermost rays are 15 * tan(angle) = 2.0, 3.3 and 7.0 mm off, of a ball of radius 8.
    assert left["narrow"] > 0.7 > left["medium"] > 0.5 > left["wide"]


def test_depths_are_those_of_real_boxes():
    config = _config()
    shares: list[float] = []
    for seed in range(14):
        sections, rng = _sections(config, seed), np.random.default_rng(seed)
        shapes = (_shape("round", 12.0), _shape("distortion", 14.0))
        for place in draw_places(sections, draw_material(rng), shapes, config.grid, rng):
            for section in sections.values():
                shares.append(put(shapes[0], place, section).center[2] / section.view.thickness + 0.5)
    # 0.15, 0.43 and 0.65 are the quantiles of the boxes in BCS-DBT.
    low, middle, high = np.quantile(shares, [0.05, 0.5, 0.95])
    assert (low, middle, high) == (
        pytest.approx(0.15, abs=0.09),
        pytest.approx(0.43, abs=0.07),
        pytest.approx(0.65, abs=0.09),
    )


def test_box_is_the_projected_body_enlarged():
    config = _config()
    phantom = phantom_of(plan_volumes(config)[0], config)
    ball = _ball(9.0, (40.0, 120.0, 4.0))
    phantom = SecondPhantom(**{**vars(phantom), "lesions": (ball,)})
    pixel, source = config.grid.pixel_mm, mammography_source(config.grid.rows, config.grid.pixel_mm)
    x1, y1, x2, y2 = (edge * pixel for edge in projected_box(ball, phantom, source))
    # The shadow of a ball is magnified about the source's foot; the box is 1 / 0.75 as large.
    factor = 650 / (650 - phantom.height(4.0))
    foot = config.grid.rows * pixel / 2
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx(
        (40 * factor, foot + (120 - foot) * factor), abs=0.6
    )
    assert (x2 - x1, y2 - y1) == pytest.approx((24.0 * factor, 24.0 * factor), abs=1.3)
    x1, y1, x2, y2 = slice_box(ball, phantom)
    # In a slice nothing is magnified; 28 to 52 and 108 to 132 mm, outwards to whole pixels of 1.6 mm.
    assert (x1, y1, x2, y2) == pytest.approx((28 / 1.6, 108 / 1.6, 52 / 1.6, 132 / 1.6), abs=1.2)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "calcification"])
def test_longest_side_of_a_body_is_that_asked_for(family: str):
    for look in range(3):
        lesion = Placed(grow_lesion(_shape(family, 24.0, look)), (0, 0, 0), 0.0, 1.0)
        boxes = np.asarray([box for _, box in lesion.extent(0.4)])
        sides = boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)
        assert max(sides) == pytest.approx(0.75 * 24, rel=0.12)


def test_size_is_that_which_the_view_sees():
    # Two balls of radius 3 at 6 mm along the lesion's z: from above 6 mm wide, turned by 90 degrees 18 mm.
    blobs = np.array([[0, 0, 6, 3], [0, 0, -6, 3]], np.float32)
    empty = [np.zeros((0, columns), np.float32) for columns in (5, 14, 5)]
    lesion = Lesion(_shape("cyst", size_mm=24.0), blobs, *empty)
    for angle, side in ((0.0, 6.0), (math.pi / 2, 18.0)):
        assert Placed(lesion, (40.0, 120.0, 4.0), angle, 0.8).size_mm == pytest.approx(side / 0.75, abs=1.1)


def _strands_on_faces(lesion: Lesion, half: float) -> float:
    """The most that strands show on the faces of a cube around the centre."""
    across, seen = np.linspace(-half, half, 61, dtype=np.float32), []
    for axis, side in ((axis, side) for axis in range(3) for side in (-half, half)):
        points = [across[None, :], across[:, None]]
        points.insert(axis, np.full((1, 1), side, np.float32))
        seen.append(float(lesion.rays(*points, 0.4).max()))
    return max(seen)


@pytest.mark.parametrize("family", [name for name in (*FAMILIES, *DECOYS) if look_of(name, 0).strands])
def test_strands_end_within_the_reach(family: str):
    """Nothing is seen on the faces of the cube that is looked at; vessels and crossings were cut there."""
    for look, size_mm in ((look, size_mm) for look in range(0, 24, 2) for size_mm in (8.0, 30.0)):
        lesion = grow_lesion(_shape(family, size_mm, look))
        assert _strands_on_faces(lesion, lesion.reach) < 0.06
        assert _strands_on_faces(lesion, 0.3 * lesion.reach) > 0.2


def test_families_sizes_and_contrasts_occur_as_often_as_set():
    config = _config()
    rng = np.random.default_rng(0)
    drawn = [draw_lesions(config, rng) for _ in range(4000)]
    lesions = [lesion for several in drawn for lesion in several]
    assert np.mean([len(several) == 2 for several in drawn]) == pytest.approx(0.05, abs=0.012)
    counts = Counter(lesion.family for lesion in lesions)
    for family, weight in config.lesions.families.model_dump().items():
        assert counts[family] / len(lesions) == pytest.approx(weight / 0.95, abs=0.02)
    masses = [lesion.size_mm for lesion in lesions if lesion.family in ("round", "lobulated", "spiculated")]
    assert np.median(masses) == pytest.approx(17.5, rel=0.06)
    assert (min(masses), max(masses)) == (6.0, 50.0)
    assert np.log(masses).std() == pytest.approx(0.56, abs=0.03)
    assert np.mean([lesion.obscured for lesion in lesions]) == pytest.approx(0.3, abs=0.03)
    contrasts = [lesion.contrast for lesion in lesions]
    assert 0.93 <= min(contrasts) < 0.94
    assert 1.05 < max(contrasts) <= 1.06


def test_looks_follow_zipf_and_differ():
    rng = np.random.default_rng(0)
    drawn = Counter(draw_look(24, 1.0, rng) for _ in range(6000))
    harmonic = sum(1 / k for k in range(1, 25))
    for number in (0, 1, 3, 9):
        assert drawn[number] / 6000 == pytest.approx(1 / (number + 1) / harmonic, abs=0.02)
    assert look_of("distortion", 3) == look_of("distortion", 3)
    assert len({look_of("lobulated", number) for number in range(24)}) == 24


def test_decoys_are_as_many_as_set():
    config, rng = _config(), np.random.default_rng(0)
    drawn = [draw_decoys(config, rng) for _ in range(2000)]
    assert np.mean([len(several) for several in drawn]) == pytest.approx(0.5, abs=0.06)
    assert {decoy.family for several in drawn for decoy in several} == set(DECOYS)


def test_visibility_by_hand():
    # Signal 3 everywhere in the box over a background of alternating 1 and -1: 3 / 1.
    background = np.where(np.arange(8) % 2, 1.0, -1.0)[None, :] * np.ones((6, 1))
    signal = np.full((6, 8), 3.0)
    assert (
        visibility(signal.astype(np.float32), (background + signal).astype(np.float32), (0, 0, 8, 6)) == 3.0
    )


def test_calcifications_need_fine_pixels():
    with pytest.raises(ConfigError, match=r"calcification: clusters need pixels of 0.1 mm or finer.*0.8"):
        override(sized("demo", "second"), ["lesions.families.calcification=0.1"])
    assert override(sized("full", "second"), ["lesions.families.calcification=0.1"]).grid.pixel_mm == 0.085


def test_distortion_pulls_tissue_and_has_no_body():
    config = _config(**{"tomosynthesis.lesion_share": 1.0, "decoys.per_breast": 0.0})
    for family, heavier in (("distortion", False), ("round", True)):
        only = {f"lesions.families.{name}": float(name == family) for name in FAMILIES}
        chosen = override(config, values=only)
        phantom = phantom_of(plan_volumes(chosen)[0], chosen)
        (lesion,) = phantom.lesions[:1]
        index = int(np.argmin(np.abs(phantom.plane_z - lesion.center[2])))
        whole, part = phantom.plane(index)
        assert part is not None
        row, column = (int(lesion.center[axis] / 1.6) for axis in (1, 0))
        reach = int(lesion.lesion.half_mm / 1.6) + 1
        near = part[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
        assert np.abs(near).max() > 0.005
        # A mass only adds; a distortion moves tissue, so some places lose what others get.
        assert (near.min() < -0.004) is not heavier
        assert np.isfinite(whole).all()


def test_tables_name_every_box_and_every_image(second: SimulatedPaths):
    lesions, images = (pd.read_csv(second.bcs_dbt / name) for name in ("lesions.csv", "images.csv"))
    boxes = pd.concat([pd.read_csv(path) for path in sorted(second.bcs_dbt.glob("*boxes*.csv"))])
    keys = ["StudyUID", "View", "Slice"]
    assert sorted(map(tuple, lesions[keys].to_numpy())) == sorted(map(tuple, boxes[keys].to_numpy()))
    assert (lesions["visibility"] > 0).all()
    both = boxes.merge(lesions, on=keys)
    uncut = (
        (both["X"] > 0)
        & (both["Y"] > 0)
        & (both["X"] + both["Width"] < 64)
        & (both["Y"] + both["Height"] < 128)
    )
    # A box ends on whole pixels of 1.6 mm around the side that the row's view sees.
    more_mm = 1.6 * both[["Width", "Height"]].max(axis=1)[uncut] - both["size_mm"][uncut]
    assert {view[1:3] for view in both["View"][uncut]} == {"cc", "ml"}
    assert more_mm.between(-0.01, 2 * 1.6).all()
    assert lesions["depth_share"].between(0, 1).all()
    volumes = sorted(second.bcs_dbt.rglob("*.dcm"))
    assert len(images) == len(volumes)
    alone = images[images["boxed"] == 0]
    assert len(alone) == 2
    assert not set(alone["StudyUID"]) & set(boxes["StudyUID"])
    actionable = images[images["exam_label"] == "actionable"]
    assert actionable["decoys"].notna().any() or actionable.empty
    mammograms = pd.read_csv(second.vindr_mammo / "lesions.csv")
    findings = pd.read_csv(second.vindr_mammo / "finding_annotations.csv")
    assert len(mammograms) == findings["xmin"].notna().sum() > 0


def test_actionable_exams_have_a_decoy_and_no_box():
    config = _config(**{"tomosynthesis.lesion_share": 0.0, "tomosynthesis.train_patients": 12})
    for case in plan_volumes(config):
        assert case.label == "Actionable"
        assert case.exam.lesions == ()
        assert case.exam.decoys


def test_readers_read_the_second_exams(second: SimulatedPaths):
    volumes = api.index("bcs-dbt", second.bcs_dbt)
    assert len(volumes.images) == len(pd.read_csv(second.bcs_dbt / "images.csv"))
    assert len(volumes.lesions) == len(pd.read_csv(second.bcs_dbt / "lesions.csv"))
    assert len(api.index("vindr-mammo", second.vindr_mammo).lesions) > 0


def test_mammograms_can_show_the_breasts_of_the_volumes():
    config = _config(**{"mammography.patients": "of_tomosynthesis"})
    volumes = [case for case in plan_volumes(config) if case.boxed]
    for volume, mammogram in zip(volumes, plan_mammograms(config), strict=True):
        assert mammogram.same_as == volume.patient_id
        assert mammogram.exam.lesions == volume.exam.lesions
        assert mammogram.exam.seed == volume.exam.seed
        assert (mammogram.laterality, mammogram.view) == (volume.laterality, volume.view)
    styles = {(case.study_id, case.exam.style) for case in plan_mammograms(config)}
    assert len(styles) == len({study for study, _ in styles})
    assert {style for _, style in styles} == {"plain", "crisp"}
