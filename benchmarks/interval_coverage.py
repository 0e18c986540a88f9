"""How often a 95 % interval of a figure holds the true value, by number of patients.

Patients are drawn from a population of which the true value is known: the mean sensitivity of very many
patients. A patient has two views of one breast, and a lesion with the chance ``--share``, seen in both views.
How well lesions are seen, and how many false positives there are, differs from patient to patient, so the
views of one patient are alike. Every cohort is evaluated with all kinds of interval on the same draws.

For the difference of two variants, both meet the same patients: their scores of a lesion have a common part.

With ``--beside`` the figures are those that ``comoto evaluate`` prints beside the challenge's: the mean
sensitivity over all volumes at 1/8 to 8 false positives, the area per exam by its largest score, the figure
of merit of the weighted AFROC curve, and sensitivities at some of the rates.

Run: python benchmarks/interval_coverage.py --patients 20 40 60 120 --cohorts 1000 --replicates 1000
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.evaluation.auc import Area, Sample
from comoto.evaluation.bootstrap import PatientIndex, ResampledFroc, patient_draws
from comoto.evaluation.challenge import FPS_POSITIVE
from comoto.evaluation.figures import CPM_FPS, CPM_NAME, Figures, FrocFigures, Judged, judged
from comoto.evaluation.intervals import Resampling, interval_of, leave_one_out

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
    parser.add_argument("--beside", action="store_true", help="the figures beside the challenge's")
    options = parser.parse_args()
    if options.beside:
        print_beside(options)
        return
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


def beside(patients: int, share: float, strength: float, generator: np.random.Generator) -> list[Figures]:
    """Return the figures beside the challenge's of one cohort; normal patients have two views too."""
    positive = generator.random(patients) < share
    positive[: 0 if positive.any() else 1] = True
    volume_patient = np.arange(patients).repeat(2)
    lesions = np.flatnonzero(positive.repeat(2))  # volumes with one
    ease = generator.normal(0.0, 1.0, patients)[volume_patient[lesions]]
    hits = strength + ease + generator.normal(0.0, 1.0, len(lesions))
    hits[generator.random(len(hits)) > 0.97] = -np.inf  # never proposed
    rate, level = generator.gamma(2.0, 1.0, patients), generator.normal(0.0, 0.5, patients)
    counts = generator.poisson(rate.repeat(2))
    of_false = np.repeat(np.arange(2 * patients), counts)
    false = generator.normal(0.0, 1.0, len(of_false)) + level[volume_patient[of_false]]
    found = np.flatnonzero(np.isfinite(hits))
    curve = ResampledFroc(
        np.concatenate([hits[found], false]),
        np.concatenate([found, np.full(len(false), -1)]),
        PatientIndex(
            patients,
            np.concatenate([volume_patient[lesions[found]], volume_patient[of_false]]),
            volume_patient[lesions],
            volume_patient,
        ),
    )
    highest = np.full(2 * patients, -np.inf)
    np.maximum.at(highest, of_false, false)
    normal = np.flatnonzero(~positive.repeat(2))
    of_exam = highest.copy()
    np.maximum.at(of_exam, lesions, hits)
    largest = of_exam.reshape(patients, 2).max(axis=1)
    exams = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    return [
        FrocFigures(curve, {f"at {fps:g} FP": fps for fps in CPM_FPS}, CPM_NAME),
        Area("AUC per exam", *(Sample.equal(largest[chosen], chosen) for chosen in exams)),
        Area(
            "wAFROC",
            Sample.equal(hits, volume_patient[lesions]),
            Sample.equal(highest[normal], volume_patient[normal]),
        ),
    ]


SHOWN = (CPM_NAME, "at 0.125 FP", "at 2 FP", "AUC per exam", "wAFROC")


def print_beside(options: argparse.Namespace) -> None:
    """Print how often intervals of the figures beside the challenge's hold the true values."""
    for title, strength in (("middling", 0.5), ("high", 2.0)):
        many = beside(20_000, options.share, strength, np.random.default_rng(options.seed + 1))
        true = named(many, 20_000, Resampling())
        print(f"{title}: share of intervals that hold the true value (percentile / bca)")
        print(f"{'patients':>10}" + "".join(f"{name:>20}" for name in SHOWN))
        print(f"{'true value':>10}" + "".join(f"{true[name].value:>20.4f}" for name in SHOWN))
        for patients in options.patients:
            holds = {kind: dict.fromkeys(SHOWN, 0) for kind in KINDS}
            for number in range(options.cohorts):
                generator = np.random.default_rng([options.seed, patients, number])
                figures = beside(patients, options.share, strength, generator)
                for kind in KINDS:
                    own = named(figures, patients, Resampling(options.replicates, number, kind))
                    for name in SHOWN:
                        interval = own[name].interval
                        holds[kind][name] += interval.low <= true[name].value <= interval.high
            cells = [
                " / ".join(f"{100 * holds[kind][name] / options.cohorts:.1f}" for kind in KINDS)
                for name in SHOWN
            ]
            print(f"{patients:>10}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def named(figures: list[Figures], patients: int, draws: Resampling) -> dict[str, Judged]:
    """Return all figures by name."""
    kinds = judged(figures, patients, draws, np.arange(patients))
    return {name: figure for kind in kinds for name, figure in kind.items()}


if __name__ == "__main__":
    main()
