"""The small configuration that the simulator's tests share."""

from __future__ import annotations

from comoto.simulation import SimulateConfig, sized


def tiny_config(**changes: object) -> SimulateConfig:
    content = {
        "mammography": {
            "training_patients": 6,
            "test_patients": 2,
            "lesion_share": 0.6,
            "chest_wall_share": 0.3,
        },
        "tomosynthesis": {
            "train_patients": 7,
            "validation_patients": 2,
            "test_patients": 3,
            "views_per_study": 4,
            "one_view_share": 0.3,
        },
        "traps": {"rotated_share": 0.4},
        **changes,
    }
    return sized("tiny", **content)
