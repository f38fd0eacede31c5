"""Values of low confidence leave the data, and everything that is known of the others stays right."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.data import Extraction, Json, Rejection, Withheld
from extractor.stages import thresholds
from extractor.task.task import Schema, Task
from extractor.task.withhold import withhold
from extractor.text.json_pointer import scalars
from tests.builders import STRING, STRINGS, a_task, an_answer

ROW: Schema = {"type": "object", "properties": {"名": STRING, "价": STRING}, "required": ["名"]}
ROWS: Schema = {"type": "array", "items": ROW}


def _extraction(data: Mapping[str, Json], task: Task, confidence: Mapping[str, float]) -> Extraction:
    """Make an extraction whose values are one character each, at successive offsets."""
    places = {each.pointer: ((at, at + 1),) for at, each in enumerate(scalars(data)) if each.value is not None}
    return Extraction(
        an_answer(data, task), data, spans=places, grounded=dict.fromkeys(places, "only"), confidence=confidence
    )


def test_a_withheld_member_becomes_null_and_is_listed_with_its_place_and_confidence() -> None:
    task = a_task(a=STRING, b=STRING)
    left = thresholds.apply(_extraction({"a": "x", "b": "y"}, task, {"/a": 0.4, "/b": 0.9}), 0.5)
    assert left.data == {"a": None, "b": "y"}
    assert left.withheld == (Withheld("a", "x", "confidence", 0.4, ((0, 1),)),)
    assert left.spans == {"/b": ((1, 2),)}
    assert left.confidence == {"/b": 0.9}


def test_a_withheld_item_leaves_its_list_and_the_pointers_of_the_others_move_up() -> None:
    confidence = {"/l/0": 0.4, "/l/1": 0.9, "/l/2": 0.8}
    left = thresholds.apply(_extraction({"l": ["x", "y", "z"]}, a_task(l=STRINGS), confidence), 0.5)
    assert left.data == {"l": ["y", "z"]}
    assert left.spans == {"/l/0": ((1, 2),), "/l/1": ((2, 3),)}
    assert left.confidence == {"/l/0": 0.9, "/l/1": 0.8}


@pytest.mark.parametrize(
    ("rows", "confidence", "left", "listed"),
    [
        ([{"名": "x", "价": "1"}], {"/行/0/名": 0.9, "/行/0/价": 0.1}, [{"名": "x", "价": None}], ["1"]),
        ([{"名": "x", "价": "1"}], {"/行/0/名": 0.1, "/行/0/价": 0.9}, [{"名": None, "价": "1"}], ["x"]),
        ([{"名": "x", "价": "1"}], {"/行/0/名": 0.1, "/行/0/价": 0.1}, [], ["x", "1"]),
        (
            [{"名": "x", "价": "1"}, {"名": "y", "价": "2"}],
            {"/行/0/名": 0.1, "/行/0/价": 0.9, "/行/1/名": 0.9, "/行/1/价": 0.9},
            [{"名": None, "价": "1"}, {"名": "y", "价": "2"}],
            ["x"],
        ),
    ],
)
def test_an_object_in_a_list_stays_with_null_as_long_as_it_says_anything(
    rows: Json, confidence: Mapping[str, float], left: Json, listed: list[str]
) -> None:
    found = thresholds.apply(_extraction({"行": rows}, a_task(行=ROWS), confidence), 0.5)
    assert found.data == {"行": left}
    assert [each.value for each in found.withheld] == listed
    assert {each.field for each in found.withheld} <= {"行/名", "行/价"}


def test_a_value_without_confidence_passes_only_a_threshold_of_zero() -> None:
    extraction = _extraction({"a": "x"}, a_task(a=STRING), {})
    assert thresholds.apply(extraction, 0.0) == extraction
    assert thresholds.apply(extraction, 0.01).withheld == (Withheld("a", "x", "confidence", None, ((0, 1),)),)


@given(st.lists(st.tuples(st.sampled_from("甲乙丙"), st.sampled_from("123"), st.floats(0, 1), st.floats(0, 1))))
def test_every_value_is_either_kept_with_its_span_or_listed(rows: list[tuple[Json, ...]]) -> None:
    data = {"行": [{"名": name, "价": price} for name, price, _, _ in rows]}
    confidence = {
        f"/行/{at}/{name}": row[2 + place] for at, row in enumerate(rows) for place, name in enumerate(("名", "价"))
    }
    extraction = _extraction(data, a_task(行=ROWS), confidence)
    left = thresholds.apply(extraction, 0.5)
    before = [(each.value, extraction.spans[each.pointer]) for each in scalars(data) if each.value is not None]
    kept = [(each.value, left.spans[each.pointer]) for each in scalars(left.data) if each.value is not None]
    assert sorted([*kept, *((each.value, each.spans) for each in left.withheld)]) == sorted(before)
    assert all(left.confidence[each.pointer] >= 0.5 for each in scalars(left.data) if each.value is not None)
    assert json.dumps(extraction.data) == json.dumps(data)


def test_withholding_nothing_changes_nothing() -> None:
    extraction = _extraction({"a": "x"}, a_task(a=STRING), {"/a": 0.9})
    assert withhold(extraction, {}) is extraction


def test_what_a_rejection_would_leave_passes_the_threshold_too() -> None:
    task = a_task(a=STRING, b=STRING)
    salvage = _extraction({"a": "x", "b": "y"}, task, {"/a": 0.4, "/b": 0.9})
    rejection = Rejection.of(salvage.completion, "ungrounded", "/c: not found in the document", salvage=salvage)
    left = thresholds.apply(rejection, 0.5)
    assert isinstance(left, Rejection)
    assert left.problems == rejection.problems
    assert left.salvage is not None
    assert left.salvage.data == {"a": None, "b": "y"}
