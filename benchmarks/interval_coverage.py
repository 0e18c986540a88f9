"""How often a 95 % interval of the mean sensitivity holds the true value, by number of patients.

Patients are drawn from a population of which the true value is known: the mean sensitivity of very many
patients. A patient has two views of one breast, and a lesion with the chance ``--share``, seen in both views.
How well lesions are seen, and how many false positives there are, differs from patient to patient, so the
views of one patient are alike. Every cohort is evaluated with all kinds of interval on the same draws.

For the difference of two variants, both meet the same patients: their scores of a lesion have a common part.

Run: python benchmarks/interval_coverage.py --patients 20 40 60 120 --cohorts 1000 --replicates 1000
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.evaluation.bootstrap import PatientIndex, ResampledFroc, patient_draws
from comoto.evaluation.challenge import FPS_POSITIVE
from comoto.evaluation.intervals import interval_of, leave_one_out

FPS: NDArray[np.float64] = np.array(FPS_POSITIVE)
KINDS = ("percentile", "bca")


@dataclass(frozen=True)
class Variant:
    """How well a detector sees a lesion, in standard deviations of the scores of false positives."""

    strength: float
    common: float = 0.6
    """Share of the scatter of lesions' scores that the variants of one patient have in common."""


def simulate(
    patients: int, share: float, variants: list[Variant], generator: np.random.Generator
) -> list[ResampledFroc]:
    """Return the curves over the volumes with a lesion, one of each variant, of one cohort."""
    positive = generator.random(patients) < share
    if not positive.any():
        positive[0] = True
    owners = np.flatnonzero(positive)
    lesion_patient = np.repeat(owners, 2)
    ease = generator.normal(0.0, 1.0, len(owners)).repeat(2)  # of the patient
    shared = generator.normal(0.0, 1.0, len(lesion_patient))  # of the view, common to the variants
    rate = generator.gamma(2.0, 3.0, len(owners)).repeat(2)  # false positives of a volume, 6 on average
    curves = []
    for variant in variants:
        own = generator.normal(0.0, 1.0, len(lesion_patient))
        noise = np.sqrt(variant.common) * shared + np.sqrt(1.0 - variant.common) * own
        hits = variant.strength + ease + noise
        found = generator.random(len(hits)) < 0.97  # the others are never proposed
        counts = generator.poisson(rate)
        false_patient = np.repeat(lesion_patient, counts)
        scores = np.concatenate([hits[found], generator.normal(0.0, 1.0, len(false_patient))])
        hit_lesion = np.concatenate([np.flatnonzero(found), np.full(len(false_patient), -1)])
        owner = np.concatenate([lesion_patient[found], false_patient])
        curves.append(
            ResampledFroc(scores, hit_lesion, PatientIndex(patients, owner, lesion_patient, lesion_patient))
        )
    return curves


def figure(curves: list[ResampledFroc], copies: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean sensitivity of one variant, or the first variant's minus the second's, (R,)."""
    values = [curve.sensitivity_at_draws(FPS, copies).mean(axis=1) for curve in curves]
    return values[0] if len(values) == 1 else values[0] - values[1]


def exactly(curves: list[ResampledFroc], copies: NDArray[np.int64]) -> float:
    """Return the figure of one draw (patients + 1,), without a matrix of all thresholds and patients."""
    values = [float(curve.sensitivity_at(FPS, copies).mean()) for curve in curves]
    return values[0] if len(values) == 1 else values[0] - values[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, nargs="+", default=[20, 40, 60, 120])
    parser.add_argument("--cohorts", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.6, help="of the patients that have a lesion")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for title, variants in (
        ("mean sensitivity, middling", [Variant(0.5)]),
        ("mean sensitivity, high", [Variant(2.0)]),
        ("paired difference", [Variant(1.0), Variant(0.5)]),
    ):
        many = simulate(40_000, options.share, variants, np.random.default_rng(options.seed + 1))
        true = exactly(many, np.ones(40_001, dtype=np.int64))
        print(f"{title}: true value {true:.4f}; share of intervals that hold it (and mean width)")
        print(f"{'patients':>10}" + "".join(f"{kind:>22}" for kind in KINDS))
        for patients in options.patients:
            print(f"{patients:>10}" + "".join(row(patients, variants, true, options)), flush=True)


def row(patients: int, variants: list[Variant], true: float, options: argparse.Namespace) -> list[str]:
    """Return coverage and width of every kind for one number of patients."""
    holds, widths = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    for number in range(options.cohorts):
        generator = np.random.default_rng([options.seed, patients, number])
        curves = simulate(patients, options.share, variants, generator)
        copies = np.stack(list(patient_draws(patients, options.replicates, number)))
        drawn = figure(curves, copies)
        value = exactly(curves, np.ones(patients + 1, dtype=np.int64))
        left = [out.mean(axis=1) for out in leave_one_out([(curve, FPS) for curve in curves], patients)]
        without = left[0] if len(left) == 1 else left[0] - left[1]
        intervals = {
            "percentile": interval_of(drawn, value, None),
            "bca": interval_of(drawn, value, without),
        }
        for kind, interval in intervals.items():
            holds[kind] += interval.low <= true <= interval.high
            widths[kind] += interval.high - interval.low
    return [
        f"{100 * holds[kind] / options.cohorts:>13.1f} ({widths[kind] / options.cohorts:.4f})"
        for kind in KINDS
    ]


if __name__ == "__main__":
    main()
