"""The cases of the benchmark suite, one module each; ``benchmarks/run_all.py`` runs them."""

CASES = (
    "challenge_metric",
    "volume_suppression",
    "student_step_paper",
    "student_step_default",
    "volume_like_for_like",
    "volume_default",
    "cost_growth",
    "training_input",
)
"""Modules with ``ABOUT`` and ``run(options) -> list[Row]``, in the order of the table."""
