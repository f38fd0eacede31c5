"""Two runs against one gold: where they differ, and whether the difference is significant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from extractor.evaluation.annotations import Annotation
from extractor.evaluation.evaluation import NOTHING, Evaluation
from extractor.evaluation.matching import match_values
from extractor.evaluation.scores import NAMES, Array, CountArray, Resampling, macro, rates
from extractor.text.meaning import meaning

Better = Literal["this", "other", "neither"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of a figure of two runs, with its interval, and the chance `p` of one as large where the runs are
    equally good (two-sided): a paired bootstrap, which draws the same documents for both."""

    value: float
    interval: tuple[float, float] | None
    p: float

    @property
    def significant(self) -> bool:
        return self.p < 0.05


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A document on which two runs differ: the fields, and which run has more of them right (None without gold)."""

    id: str
    fields: tuple[str, ...]
    better: Better | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run beside another, values matched by meaning."""

    differences: Mapping[str, Difference]
    disagreements: tuple[Disagreement, ...]
    documents: int


def compare(
    this: Evaluation,
    other: Evaluation,
    annotations: tuple[Mapping[str, Annotation], Mapping[str, Annotation]],
    resampling: Resampling,
) -> Comparison:
    """Compare two evaluations over the same gold. `annotations` are those of both runs: of documents without gold,
    disagreements are listed, too, but neither run is better."""
    ids = dict.fromkeys([*this.ids, *annotations[0], *annotations[1]])
    return Comparison(
        differences=_differences(this.counts["normalized"], other, resampling),
        disagreements=tuple(_disagreements(ids, this, other, annotations)),
        documents=len(ids),
    )


def _differences(counts: CountArray, other: Evaluation, resampling: Resampling) -> dict[str, Difference]:
    theirs = other.counts["normalized"]
    ways = {"micro": lambda totals: rates(totals.sum(axis=-2)), "macro": macro}
    found = {}
    for way, figures in ways.items():
        value = figures(counts.sum(axis=0)) - figures(theirs.sum(axis=0))
        drawn = figures(resampling.totals(counts)) - figures(resampling.totals(theirs))
        for at, name in enumerate(NAMES):
            found[f"{way} {name}"] = _difference(float(np.nan_to_num(value[at])), drawn[:, at], resampling)
    return found


def _difference(value: float, drawn: Array, resampling: Resampling) -> Difference:
    """Return the difference; p is twice the smaller share of draws on one side of 0, plus one draw: it is never 0."""
    known = drawn[np.isfinite(drawn)]
    side = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return Difference(value, resampling.interval(drawn), min(1.0, 2 * (side + 1) / (len(known) + 1)))


def _disagreements(
    ids: Mapping[str, None],
    this: Evaluation,
    other: Evaluation,
    annotations: tuple[Mapping[str, Annotation], Mapping[str, Annotation]],
) -> Iterator[Disagreement]:
    rows = {name: at for at, name in enumerate(this.ids)}
    for name in ids:
        one, two = (side.get(name, NOTHING) for side in annotations)
        verdicts = match_values(one.data, two.data, meaning)
        fields = dict.fromkeys(each.field for each in verdicts if not each.right)
        scored = tuple(field for field in fields if field in this.fields or field in other.fields)
        if scored or (one.data is None) != (two.data is None):
            yield Disagreement(name, scored, _better(rows.get(name), this, other))


def _better(row: int | None, this: Evaluation, other: Evaluation) -> Better | None:
    """Return which run has more fields of a document right; where that is even, more right and fewer wrong values."""
    if row is None:
        return None
    ours, theirs = (_success(side, row) for side in (this, other))
    return "neither" if ours == theirs else "this" if ours > theirs else "other"


def _success(run: Evaluation, row: int) -> tuple[int, int]:
    gold, found, right = run.counts["normalized"][row].sum(axis=0)
    return int(run.right()[row].sum()), int(3 * right - gold - found)
