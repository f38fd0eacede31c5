"""A run against gold: whom figures are about, what is made up, what confidence is worth."""

import pytest

from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation import EVERYTHING, Annotation, Evaluation, Scope, evaluate
from extractor.evaluation.calibration import calibrate
from extractor.evaluation.evaluation import MadeUp


def _gold(**documents: Json) -> list[Annotation]:
    return [Annotation(name, data) for name, data in documents.items()]


def _found(**documents: Json) -> dict[str, Annotation]:
    return {name: Annotation(name, data) for name, data in documents.items()}


def _right(run: Evaluation) -> list[list[bool]]:
    return [[bool(cell) for cell in row] for row in run.right()]


def test_a_document_that_is_missing_or_failed_has_found_nothing_and_its_nulls_are_not_right() -> None:
    gold = _gold(a={"x": "1", "y": None}, b={"x": "2", "y": None}, c={"x": "3", "y": None})
    run = evaluate(gold, _found(a={"x": "1", "y": None}, b=None))
    assert run.counts["exact"].sum(axis=0).tolist() == [[3, 1, 1], [0, 0, 0]]
    assert _right(run) == [[True, True], [False, False], [False, False]]


def test_a_field_that_the_gold_never_names_is_listed_and_not_scored() -> None:
    run = evaluate(_gold(a={"x": "1"}), _found(a={"x": "1", "z": ["2", "3"]}))
    assert run.fields == ("x",)
    assert run.unscored == {"z": 2}


def test_with_a_scope_exactly_its_fields_count() -> None:
    run = evaluate(_gold(a={"x": "1", "y": "2"}), _found(a={"x": "1", "z": ["2", "3"]}), Scope(("x", "z", "w")))
    assert run.fields == ("x", "z", "w")
    assert run.counts["exact"][0].tolist() == [[1, 1, 1], [0, 2, 0], [0, 0, 0]]
    assert run.unscored == {}


def test_what_is_found_where_the_gold_has_a_null_counts_at_every_depth() -> None:
    gold = _gold(a={"party": None, "items": []})
    run = evaluate(gold, _found(a={"party": {"name": "x"}, "items": [{"n": 1}, {"n": 2}]}))
    assert run.fields == ("party/name", "items/n")
    assert run.made_up() == MadeUp(where_null=3, not_in_text=0, checked=0)


def test_made_up_values_are_counted_apart_from_wrong_ones() -> None:
    text = "电话：１３８ 0000 0000，数量 三"
    gold = [Annotation("a", {"电话": "13800000000", "邮箱": None, "数量": 3, "急": None}, text=text)]
    given = {"电话": "138 0000 0000", "邮箱": "x@y.z", "数量": 4, "急": True}
    run = evaluate(gold, {"a": Annotation("a", given)})
    assert run.made_up() == MadeUp(where_null=2, not_in_text=2, checked=3)
    assert run.made_up("数量") == MadeUp(where_null=0, not_in_text=1, checked=1)


def test_values_that_need_not_occur_in_the_document_are_not_looked_for() -> None:
    gold = [Annotation("a", {"kind": "order", "no": "7"}, text="no 7")]
    found = {"a": Annotation("a", {"kind": "order", "no": "8"})}
    assert evaluate(gold, found, EVERYTHING).made_up() == MadeUp(0, 2, 2)
    grounded = Scope(("kind", "no"), lambda data: {"/no"})
    assert evaluate(gold, found, grounded).made_up() == MadeUp(0, 1, 1)


def test_a_run_that_shares_no_document_with_the_gold_is_an_error_that_shows_both_ids() -> None:
    with pytest.raises(InputError, match=r"'a\.txt'.*'in/a\.txt'"):
        evaluate(_gold(**{"a.txt": {"x": "1"}}), _found(**{"in/a.txt": {"x": "1"}}))


@pytest.mark.parametrize("gold", [[], [Annotation("a", {})]])
def test_gold_without_documents_or_fields_is_an_error(gold: list[Annotation]) -> None:
    with pytest.raises(InputError, match="gold"):
        evaluate(gold, _found(a={}))


def test_calibration_is_about_the_values_found() -> None:
    gold = _gold(a={"x": "1", "y": ["p", "q"], "z": None})
    found = {
        "a": Annotation("a", {"x": "1", "y": ["q", "r"], "z": None}, confidence={"/x": 0.9, "/y/1": 0.3, "/z": 0.99})
    }
    table = evaluate(gold, found).calibration
    assert table is not None
    assert (table.values, table.without) == (2, 1)
    assert [(each.values, each.confidence, each.accuracy) for each in table.bins] == [(1, 0.3, 0), (1, 0.9, 1)]
    assert [(each.threshold, each.share, each.recall) for each in table.kept][:2] == [
        (0.0, 1.0, 1 / 3),
        (0.5, 0.5, 1 / 3),
    ]


def test_the_calibration_error_is_the_gap_weighted_over_the_bins() -> None:
    """Ten values at 0.95, eight right: a gap of 0.15; thirty at 0.55, all right: a gap of 0.45."""
    values = [(0.95, at < 8) for at in range(10)] + [(0.55, True)] * 30
    table = calibrate(values, 0, gold=50)
    assert table is not None
    assert table.error == pytest.approx((10 * 0.15 + 30 * 0.45) / 40)
    kept = {each.threshold: (each.share, each.precision, each.recall) for each in table.kept}
    assert kept[0.9] == pytest.approx((0.25, 0.8, 8 / 50))
    assert kept[0.0] == pytest.approx((1, 38 / 40, 38 / 50))
    assert 0.98 not in kept


def test_a_confidence_of_one_falls_into_the_last_bin() -> None:
    table = calibrate([(1.0, True), (0.9, False)], 0, gold=2)
    assert table is not None
    assert [(each.low, each.values) for each in table.bins] == [(0.9, 2)]
