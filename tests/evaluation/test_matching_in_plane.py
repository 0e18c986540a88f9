"""A box over a lesion at another depth: no hit by the challenge's rule, but one in the plane."""

import numpy as np

from comoto.evaluation.matching import hits_by_challenge_rule, hits_in_plane

LESIONS = {
    "lesion_image": np.array([0, 0, 1]),
    "lesion_center": np.array([[50.0, 50.0, 5.0], [60.0, 50.0, 30.0], [50.0, 50.0, 5.0]]),
    "radius": np.array([10.0, 10.0, 10.0]),
}


def test_depth_has_no_say_and_the_nearest_in_the_plane_wins():
    images = np.array([0, 0, 0, 0, 1, -1])
    centers = np.array(
        [
            [50.0, 50.0, 40.0],  # over the first lesion, 35 slices away
            [56.0, 50.0, 5.0],  # 6 from the first at its depth, 4 from the second
            [50.0, 60.0, 5.0],  # exactly 10 away: inclusive
            [50.0, 60.1, 5.0],
            [56.0, 50.0, 5.0],  # the only lesion of its volume
            [50.0, 50.0, 5.0],  # a volume that nobody knows
        ]
    )
    assert hits_in_plane(images, centers, **LESIONS).tolist() == [0, 1, 0, -1, 2, -1]
    tolerance = np.array([2.0, 2.0, 2.0])
    by_rule = hits_by_challenge_rule(images, centers, **LESIONS, slice_tolerance=tolerance)
    assert by_rule.tolist() == [-1, 0, 0, -1, 2, -1]


def test_no_detections_and_no_lesions():
    nothing = np.zeros((0, 3))
    assert hits_in_plane(np.zeros(0, dtype=int), nothing, **LESIONS).shape == (0,)
    alone = hits_in_plane(np.array([0]), np.ones((1, 3)), np.zeros(0, dtype=int), nothing, np.zeros(0))
    assert alone.tolist() == [-1]
