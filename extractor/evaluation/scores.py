"""Counts to precision, recall and F1, with bootstrap intervals over the documents.

`CountArray` has the shape (documents, fields, 3): values of the gold, values found, values right. As in scikit-learn
and seqeval, 0/0 is 0, micro is over all values and macro the mean over the fields with any value on either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CountArray = NDArray[np.int64]
Array = NDArray[np.float64]

GOLD, FOUND, RIGHT = range(3)
NAMES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Resampling:
    """The bootstrap: documents drawn with replacement, `resamples` times. The same seed draws the same documents, so
    that two runs over one gold are compared pair by pair."""

    resamples: int = 1000
    seed: int = 0
    level: float = 0.95

    def totals(self, counts: CountArray) -> Array:
        """Return the sums over the drawn documents: (resamples, fields, 3)."""
        documents, *shape = counts.shape
        flat = counts.reshape(documents, -1).astype(np.float64)
        return np.array([weights @ flat for weights in self._weights(documents)]).reshape(-1, *shape)

    def _weights(self, documents: int) -> Iterator[Array]:
        """Yield how often each document was drawn, resample by resample."""
        random = np.random.default_rng(self.seed)
        for _ in range(self.resamples):
            drawn = random.integers(0, documents, documents)
            yield np.bincount(drawn, minlength=documents).astype(np.float64)

    def interval(self, values: Array) -> tuple[float, float] | None:
        """Return the middle `level` of the values (percentile interval); None where there are none."""
        known = values[np.isfinite(values)]
        if not known.size:
            return None
        tail = (1 - self.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its interval; the value is None where there is nothing to measure."""

    value: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of values in the gold, found and right, and their rates."""

    gold: int
    found: int
    right: int
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, slots=True)
class Scores:
    """One way of matching: over all values, over all fields, and field by field."""

    micro: Score
    macro: Score
    fields: tuple[Score, ...]


def score(counts: CountArray, resampling: Resampling) -> Scores:
    """Score counts of at least one document and one field."""
    total, drawn = counts.sum(axis=0).astype(np.float64), resampling.totals(counts)
    fields = tuple(
        _score(total[at], rates(total[at]), rates(drawn[:, at]), resampling) for at in range(counts.shape[1])
    )
    whole = total.sum(axis=0)
    micro_rates, micro_drawn = rates(whole), rates(drawn.sum(axis=1))
    return Scores(
        _score(whole, micro_rates, micro_drawn, resampling),
        _score(whole, macro(total), macro(drawn), resampling),
        fields,
    )


def rates(counts: Array) -> Array:
    """Return precision, recall and F1 of (..., 3) counts; NaN where there is nothing on either side."""
    gold, found, right = counts[..., GOLD], counts[..., FOUND], counts[..., RIGHT]
    shares = np.stack([_share(right, found), _share(right, gold), _share(2 * right, found + gold)], axis=-1)
    return np.where((gold + found > 0)[..., None], shares, np.nan)


def macro(counts: Array) -> Array:
    """Return the mean rates over the fields that have any value, (..., fields, 3) to (..., 3)."""
    each = rates(counts)
    known = np.isfinite(each)
    return np.where(known.any(axis=-2), _share(np.where(known, each, 0).sum(axis=-2), known.sum(axis=-2)), np.nan)


def _score(counts: Array, of: Array, drawn: Array, resampling: Resampling) -> Score:
    figures = (
        Figure(float(value) if np.isfinite(value) else None, resampling.interval(drawn[:, at]))
        for at, value in enumerate(of)
    )
    return Score(int(counts[GOLD]), int(counts[FOUND]), int(counts[RIGHT]), *figures)


def _share(part: Array, whole: Array | NDArray[np.int64]) -> Array:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
