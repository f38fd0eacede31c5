"""Two runs: where they differ, who is right there, and whether the difference is significant."""

import pytest

from extractor.data import Json
from extractor.evaluation import Annotation, Comparison, Resampling, compare, evaluate_all

Run = dict[str, Json]


def _compare(gold: Run, this: Run, other: Run) -> Comparison:
    expected = [Annotation(name, data) for name, data in gold.items()]
    given = [{name: Annotation(name, data) for name, data in run.items()} for run in (this, other)]
    return compare(*evaluate_all(expected, given), (given[0], given[1]), Resampling())


def _run(right: int, documents: int) -> Run:
    return {str(at): {"x": str(at) if at < right else "wrong"} for at in range(documents)}


def test_a_run_compared_with_itself_has_no_differences() -> None:
    comparison = _compare(_run(40, 40), _run(30, 40), _run(30, 40))
    f1 = comparison.differences["micro f1"]
    assert (f1.value, f1.interval, f1.p, f1.significant) == (0, (0, 0), 1, False)
    assert comparison.disagreements == ()


def test_a_difference_in_many_documents_is_significant() -> None:
    f1 = _compare(_run(40, 40), _run(35, 40), _run(15, 40)).differences["micro f1"]
    assert f1.value == pytest.approx(0.5)
    assert f1.interval == pytest.approx((0.35, 0.65), abs=0.05)
    assert f1.p == pytest.approx(2 / 1001)
    assert f1.significant


def test_a_difference_in_one_document_of_forty_is_not() -> None:
    """Draws leave that document out with a chance of (39/40)^40 = 0.363; in these the difference is 0: p = 0.73."""
    f1 = _compare(_run(40, 40), _run(40, 40), _run(39, 40)).differences["micro f1"]
    assert f1.value == pytest.approx(1 / 40)
    assert f1.p == pytest.approx(0.73, abs=0.06)
    assert not f1.significant


def test_each_disagreement_names_the_fields_and_who_is_better() -> None:
    gold = {"a": {"x": "1", "y": "1"}, "b": {"x": "1"}, "c": {"x": "1"}, "d": {"x": ["1", "2", "3"]}, "e": {"x": "1"}}
    this = {"a": {"x": "1", "y": "1"}, "b": {"x": "1"}, "c": {"x": "2"}, "d": {"x": ["1"]}, "f": {"x": "1"}}
    other = {"a": {"x": "1", "y": "2"}, "b": {"x": "１"}, "c": {"x": "3"}, "d": {"x": ["1", "2"]}, "e": {"x": "1"}}
    found = {each.id: (each.fields, each.better) for each in _compare(gold, this, other).disagreements}
    assert found == {
        "a": (("y",), "this"),
        "c": (("x",), "neither"),
        "d": (("x",), "other"),
        "e": (("x",), "other"),
        "f": (("x",), None),
    }
