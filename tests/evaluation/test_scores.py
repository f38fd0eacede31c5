"""Figures that others publish or that can be computed by hand come out as they should."""

import numpy as np
import pytest

from extractor.data import Json, Span
from extractor.evaluation import Annotation, Evaluation, Resampling, Score, evaluate
from extractor.evaluation.scores import NAMES, CountArray, score

FEW = Resampling(resamples=50)


def _entities(*entities: tuple[str, Span]) -> Annotation:
    """Return an annotation of marked spans, the value of each named by its span."""
    data: dict[str, list[str]] = {}
    for kind, span in entities:
        data.setdefault(kind, []).append(str(span))
    return Annotation("", data, frozenset(entities))


def _run(*documents: tuple[Annotation, Annotation]) -> Evaluation:
    gold = [Annotation(str(at), pair[0].data, pair[0].mentions) for at, pair in enumerate(documents)]
    return evaluate(gold, {str(at): found for at, (_, found) in enumerate(documents)})


def _rates(each: Score) -> tuple[float | None, ...]:
    return tuple(getattr(each, name).value for name in NAMES)


def test_the_example_of_seqeval_gives_the_figures_of_seqeval() -> None:
    """O O O B-MISC I-MISC I-MISC O against O O B-MISC I-MISC I-MISC I-MISC O, and B-PER I-PER O twice."""
    run = _run(
        (_entities(("MISC", (3, 6))), _entities(("MISC", (2, 6)))),
        (_entities(("PER", (0, 2))), _entities(("PER", (0, 2)))),
    )
    strict, partial = run.scores("strict", FEW), run.scores("partial", FEW)
    assert dict(zip(run.fields, map(_rates, strict.fields), strict=True)) == {"MISC": (0, 0, 0), "PER": (1, 1, 1)}
    assert _rates(strict.micro) == _rates(strict.macro) == (0.5, 0.5, 0.5)
    assert _rates(partial.micro) == (1, 1, 1)


@pytest.mark.parametrize("way", ["exact", "normalized"])
def test_the_example_of_scikit_learn_gives_the_figures_of_scikit_learn(way: str) -> None:
    """y_true = 0 1 2 0 1 2, y_pred = 0 2 1 0 0 1: a class is a field, a document has a value of one of them."""
    pairs = zip("012012", "021001", strict=True)
    run = _run(*((Annotation("", {true: "x"}), Annotation("", {guess: "x"})) for true, guess in pairs))
    scores = run.scores(way, FEW)
    assert _rates(scores.macro) == pytest.approx((2 / 9, 1 / 3, 4 / 15))
    assert _rates(scores.micro) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert _rates(scores.fields[0]) == pytest.approx((2 / 3, 1, 0.8))


def test_partial_places_count_once_and_only_in_their_own_field() -> None:
    gold = _entities(("A", (0, 10)), ("A", (20, 25)), ("B", (30, 35)))
    found = _entities(("A", (2, 4)), ("A", (5, 9)), ("A", (30, 35)), ("B", (34, 40)))
    partial = _run((gold, found)).scores("partial", FEW)
    assert [(each.gold, each.found, each.right) for each in partial.fields] == [(2, 3, 1), (1, 1, 1)]
    assert _rates(partial.micro) == pytest.approx((2 / 4, 2 / 3, 4 / 7))


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ({"a": None}, {"a": None}, (None, None, None)),
        ({"a": "x"}, {"a": None}, (0, 0, 0)),
        ({"a": None}, {"a": "x"}, (0, 0, 0)),
    ],
)
def test_nothing_found_is_zero_and_nothing_on_either_side_has_no_figure(
    gold: Json, found: Json, expected: tuple[float | None, ...]
) -> None:
    scores = _run((Annotation("", gold), Annotation("", found))).scores("exact", FEW)
    assert _rates(scores.fields[0]) == _rates(scores.micro) == _rates(scores.macro) == expected


def test_a_field_with_nothing_on_either_side_does_not_pull_the_macro_average_down() -> None:
    run = _run((Annotation("", {"a": "x", "b": None}), Annotation("", {"a": "x", "b": None})))
    assert _rates(run.scores("exact", FEW).macro) == (1, 1, 1)


def _one_field(right: int, documents: int) -> CountArray:
    """A field that has a value in each document and is found, `right` times the right one."""
    return np.array([[[1, 1, at < right]] for at in range(documents)], np.int64)


def test_an_interval_is_that_of_the_binomial_it_comes_from() -> None:
    """30 of 50 right: the share among 50 drawn documents is binomial, with quantiles 23/50 and 37/50."""
    low, high = score(_one_field(30, 50), Resampling(4000)).micro.f1.interval or (0, 0)
    assert low == pytest.approx(0.46, abs=0.021)
    assert high == pytest.approx(0.74, abs=0.021)


def test_intervals_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    counts = _one_field(17, 41)
    assert score(counts, Resampling(200, seed=3)) == score(counts, Resampling(200, seed=3))
    drawn = [Resampling(200, seed=seed).totals(counts) for seed in (3, 4)]
    assert not np.array_equal(*drawn)


def test_where_everything_is_right_no_luck_is_left() -> None:
    assert score(_one_field(20, 20), FEW).micro.f1.interval == (1.0, 1.0)
