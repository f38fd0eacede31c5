"""Whether confidence means what it says, and what a threshold would keep.

Only values that were found count, nulls do not: a threshold decides whether to trust a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True, slots=True)
class Bin:
    """The values with a confidence from `low` on (the last bin holds 1 as well)."""

    low: float
    high: float
    values: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold keeps: the share of values, how many of them are right, and how many of the gold's values are
    still found."""

    threshold: float
    share: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of the `values` that have a confidence (`without` have none). `error` is the expected calibration
    error (Naeini et al. 2015): the gap between confidence and accuracy, weighted over the bins."""

    values: int
    without: int
    error: float
    bins: tuple[Bin, ...]
    kept: tuple[Kept, ...]


def calibrate(values: Sequence[tuple[float, bool]], without: int, gold: int) -> Calibration | None:
    """Return the calibration of (confidence, right) pairs, with `gold` values to find; None without pairs."""
    if not values:
        return None
    bins = tuple(found for number in range(BINS) if (found := _bin(values, number)))
    error = sum(each.values * abs(each.confidence - each.accuracy) for each in bins) / len(values)
    thresholds = (_kept(values, gold, threshold) for threshold in THRESHOLDS)
    return Calibration(len(values), without, error, bins, tuple(each for each in thresholds if each))


def _bin(values: Sequence[tuple[float, bool]], number: int) -> Bin | None:
    inside = [pair for pair in values if min(int(pair[0] * BINS), BINS - 1) == number]
    if not inside:
        return None
    confidence = sum(confidence for confidence, _ in inside) / len(inside)
    return Bin(number / BINS, (number + 1) / BINS, len(inside), confidence, _right(inside) / len(inside))


def _kept(values: Sequence[tuple[float, bool]], gold: int, threshold: float) -> Kept | None:
    kept = [pair for pair in values if pair[0] >= threshold]
    if not kept:
        return None
    return Kept(threshold, len(kept) / len(values), _right(kept) / len(kept), _right(kept) / gold if gold else 0.0)


def _right(values: Sequence[tuple[float, bool]]) -> int:
    return sum(right for _, right in values)
