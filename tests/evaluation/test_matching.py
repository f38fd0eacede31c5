"""What is right is found by the best pairing, and everything is judged exactly once."""

from collections.abc import Callable, Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.data import Json, Span
from extractor.evaluation.matching import best_pairs, count_overlapping, match_values
from extractor.text.meaning import exact, meaning

SPANS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 6)).map(lambda pair: (pair[0], sum(pair))), max_size=5)
SETS = st.lists(st.frozensets(st.integers(0, 6), min_size=1), max_size=5)


def _shared(one: Span, other: Span) -> float:
    return len(set(range(*one)) & set(range(*other))) / len(set(range(*one)) | set(range(*other)))


def _in_common(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other)


def _best_by_trying(left: Sequence[Json], right: Sequence[Json], agreement: Callable[[Json, Json], float]) -> float:
    few, many = sorted((left, right), key=len)
    return max(sum(map(agreement, few, chosen)) for chosen in permutations(many, len(few)))


@settings(deadline=None)
@given(SPANS, SPANS)
def test_spans_are_paired_as_well_as_trying_all_pairings_would(left: list[Span], right: list[Span]) -> None:
    left, right = sorted(left), sorted(right)
    pairs = best_pairs(left, right, _shared)
    assert sum(_shared(left[one], right[other]) for one, other in pairs) == pytest.approx(
        _best_by_trying(left, right, _shared)
    )
    mentions = [("x", span) for span in left], [("x", span) for span in right]
    assert count_overlapping(*mentions) == len(pairs)
    assert count_overlapping(*(side[::-1] for side in mentions)) == len(pairs)  # ties do not hang on the order


@settings(deadline=None)
@given(SETS, SETS)
def test_objects_are_paired_as_well_as_trying_all_pairings_would(
    left: list[frozenset[int]], right: list[frozenset[int]]
) -> None:
    pairs = best_pairs(left, right, _in_common)
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    assert sum(_in_common(left[one], right[other]) for one, other in pairs) == _best_by_trying(left, right, _in_common)


def test_the_pairing_with_the_most_agreement_wins_over_the_first_that_fits() -> None:
    assert best_pairs([(0, 4), (2, 6)], [(2, 6), (4, 9)], _shared) == [(1, 0)]
    assert best_pairs([(0, 4), (3, 6)], [(2, 5), (4, 9)], _shared) == [(0, 0), (1, 1)]


def _outcomes(found: Json, gold: Json) -> list[tuple[str, Json, str]]:
    return [(each.field, each.value, each.outcome) for each in match_values(found, gold, meaning)]


@pytest.mark.parametrize(
    ("found", "gold", "expected"),
    [
        ({"a": "x"}, {"a": "x"}, [("a", "x", "right")]),
        ({"a": "x"}, {"a": "y"}, [("a", "x", "wrong"), ("a", "y", "missed")]),
        ({"a": "x"}, {"a": None}, [("a", "x", "wrong")]),
        ({"a": None}, {"a": "x"}, [("a", "x", "missed")]),
        ({"a": None}, {}, []),
        (None, {"a": ["x", "y"]}, [("a", "x", "missed"), ("a", "y", "missed")]),
        ({"a": ["y", "z", "x"]}, {"a": ["x", "y"]}, [("a", "x", "right"), ("a", "z", "wrong"), ("a", "y", "right")]),
        ({"a": ["x", "x"]}, {"a": ["x", "x", "x"]}, [("a", "x", "right")]),
        ({"a": "x"}, {"a": ["x", "y"]}, [("a", "x", "right"), ("a", "y", "missed")]),
        ({"a": {"b": "x"}}, {"a": {"b": "x", "c": 2}}, [("a/b", "x", "right"), ("a/c", 2, "missed")]),
        ({"a": "x"}, {"a": {"b": "x"}}, [("a", "x", "wrong"), ("a/b", "x", "missed")]),
        ({"a/b": "x"}, {"a/b": "x"}, [("a~1b", "x", "right")]),
    ],
)  # fmt: skip
def test_every_value_is_judged_once(found: Json, gold: Json, expected: list[tuple[str, Json, str]]) -> None:
    assert sorted(_outcomes(found, gold), key=repr) == sorted(expected, key=repr)


def test_objects_in_a_list_are_compared_with_those_they_agree_with_most_whatever_the_order() -> None:
    gold = {"条目": [{"名称": "茶", "数量": 1}, {"名称": "纸", "数量": 2}, {"名称": "笔", "数量": 3}]}
    found = {"条目": [{"名称": "笔", "数量": 3}, {"名称": "茶", "数量": 2}, {"名称": "纸", "数量": 2}]}
    verdicts = match_values(found, gold, exact)
    assert [(each.pointer, each.field) for each in verdicts if each.outcome == "wrong"] == [
        ("/条目/1/数量", "条目/数量")
    ]
    assert [each.pointer for each in verdicts if each.outcome == "missed"] == ["/条目/0/数量"]
    assert sum(each.right for each in verdicts) == 5


def test_a_list_of_many_equal_objects_is_compared_at_once() -> None:
    items = [{"n": number, "unit": "元"} for number in range(3000)]
    verdicts = match_values({"a": items}, {"a": items[::-1]}, exact)
    assert len(verdicts) == 6000
    assert all(each.right for each in verdicts)
