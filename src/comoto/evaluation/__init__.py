"""Matching, FROC, the challenge's metric and patient intervals. NumPy and pandas only, no torch."""

from comoto.evaluation.challenge import ChallengeResult, challenge_metric, evaluate
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.evaluation.froc import Froc, froc
from comoto.evaluation.mammogram import MammogramResult, evaluate_mammograms, mammogram_froc

__all__ = [
    "ChallengeResult",
    "Froc",
    "MammogramResult",
    "challenge_metric",
    "challenge_tables",
    "evaluate",
    "evaluate_mammograms",
    "froc",
    "mammogram_froc",
]
