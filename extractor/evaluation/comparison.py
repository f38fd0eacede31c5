"""Two runs against one gold: where they differ, and whether the difference is more than luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from extractor.evaluation.answers import Answer
from extractor.evaluation.evaluation import NOTHING, Evaluation
from extractor.evaluation.matching import judge
from extractor.evaluation.scores import NAMES, Array, Counts, Resampling, macro, rates
from extractor.text.meaning import meaning

Better = Literal["this", "other", "neither"]


@dataclass(frozen=True, slots=True)
class Difference:
    """This run's figure less the other's, with its interval, and how often luck of the documents alone would give one
    as large (two-sided): from the same documents drawn for both (paired bootstrap)."""

    value: float
    interval: tuple[float, float] | None
    p: float

    @property
    def significant(self) -> bool:
        return self.p < 0.05


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A document on which two runs say different things: the fields, and which run is right in more of them (None
    where there is no gold for it)."""

    id: str
    fields: tuple[str, ...]
    better: Better | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run beside another one, values matched by meaning."""

    differences: Mapping[str, Difference]
    disagreements: tuple[Disagreement, ...]
    documents: int


def compare(
    this: Evaluation,
    other: Evaluation,
    answers: tuple[Mapping[str, Answer], Mapping[str, Answer]],
    resampling: Resampling,
) -> Comparison:
    """Compare two evaluations over the same gold. `answers` are those of both runs; documents that stand in them and
    not in the gold can be disagreed on, too, but nobody is right."""
    ids = dict.fromkeys([*this.ids, *answers[0], *answers[1]])
    return Comparison(
        differences=_differences(this.counts["normalized"], other, resampling),
        disagreements=tuple(_disagreements(ids, this, other, answers)),
        documents=len(ids),
    )


def _differences(counts: Counts, other: Evaluation, resampling: Resampling) -> dict[str, Difference]:
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
    """p is twice the smaller share of draws on one side of 0, counting one draw more, so that it is never 0."""
    known = drawn[np.isfinite(drawn)]
    side = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return Difference(value, resampling.interval(drawn), min(1.0, 2 * (side + 1) / (len(known) + 1)))


def _disagreements(
    ids: Mapping[str, None],
    this: Evaluation,
    other: Evaluation,
    answers: tuple[Mapping[str, Answer], Mapping[str, Answer]],
) -> Iterator[Disagreement]:
    rows = {name: at for at, name in enumerate(this.ids)}
    for name in ids:
        one, two = (side.get(name, NOTHING) for side in answers)
        verdicts = judge(one.data, two.data, meaning)
        fields = dict.fromkeys(each.field for each in verdicts if not each.right)
        scored = tuple(field for field in fields if field in this.fields or field in other.fields)
        if scored or (one.data is None) != (two.data is None):
            yield Disagreement(name, scored, _better(rows.get(name), this, other))


def _better(row: int | None, this: Evaluation, other: Evaluation) -> Better | None:
    """Which run has more fields of a document right; where that is even, more right values and fewer wrong ones."""
    if row is None:
        return None
    ours, theirs = (_success(side, row) for side in (this, other))
    return "neither" if ours == theirs else "this" if ours > theirs else "other"


def _success(run: Evaluation, row: int) -> tuple[int, int]:
    gold, found, right = run.counts["normalized"][row].sum(axis=0)
    return int(run.right()[row].sum()), int(3 * right - gold - found)
