"""Rows of several kinds are read as annotations; what is wrong with one is named."""

import pytest

from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation import Annotation, read_annotation
from extractor.storage.rows import to_row
from tests.sinks.records import failed, record

TEXT = "王芳与王芳在上海"


def test_a_record_is_an_annotation() -> None:
    row = to_row(record("a"))
    data = {"手机号": "18888888888", "邮箱": None}
    assert read_annotation(row, "a") == Annotation(
        "a", data, frozenset({("手机号", (86, 97))}), {"/手机号": 0.98}, status="ok"
    )


def test_a_failed_record_has_no_data() -> None:
    assert read_annotation(to_row(failed("a")), "a") == Annotation("a", None, frozenset(), status="failed")


@pytest.mark.parametrize("key", ["data", "gold"])
def test_values_alone_have_no_mentions(key: str) -> None:
    assert read_annotation({"id": 7, key: {"x": "1"}}, "line 1") == Annotation("7", {"x": "1"})


MARKED = [
    {"entities": [{"type": "人", "text": "王芳", "start": 0, "end": 2}, {"type": "人", "start": 3, "end": 5}]},
    {"spans": [{"label": "人", "start": 0, "end": 2}, {"label": "人", "start": 3, "end": 5}]},
    {"label": [[0, 2, "人"], [3, 5, "人"]]},
]


@pytest.mark.parametrize("row", MARKED, ids=["entities", "spans", "label"])
def test_marked_entities_are_lists_of_distinct_values_with_all_their_mentions(row: dict[str, Json]) -> None:
    found = read_annotation({"id": "a", "text": TEXT, **row}, "line 1")
    assert found == Annotation("a", {"人": ["王芳"]}, frozenset({("人", (0, 2)), ("人", (3, 5))}), text=TEXT)


def test_entities_need_no_document_where_they_bring_their_text() -> None:
    assert read_annotation({"id": "a", **MARKED[0], "entities": MARKED[0]["entities"][:1]}, "line 1").data == {
        "人": ["王芳"]
    }


def test_spans_alone_get_their_values_from_the_document() -> None:
    row = {"id": "a", "spans": {"/人/0": [[0, 2], [3, 5]], "/地~1点": [[6, 8]]}}
    found = read_annotation(row, "line 1", TEXT)
    assert found.data == {"人": ["王芳"], "地/点": "上海"}
    assert found.mentions == {("人", (0, 2)), ("人", (3, 5)), ("地~1点", (6, 8))}


def test_a_mention_in_lists_and_objects_is_one_of_its_field() -> None:
    row = {"id": "a", "data": {"单": [{"2024": "王"}, {"2024": "芳"}]}, "spans": {"/单/1/2024": [[1, 2]]}}
    assert read_annotation(row, "line 1").mentions == {("单/2024", (1, 2))}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"data": {}}, "id"),
        ({"id": "a"}, "has no values"),
        ({"id": "a", "entities": [{"type": "人", "start": 0, "end": 2}]}, "needs its `text`"),
        ({"id": "a", "entities": [{"type": "人", "start": 2, "end": 2, "text": ""}]}, "2:2 is not a range"),
        ({"id": "a", "entities": [{"start": 0, "end": 2, "text": "王芳"}]}, "is not an answer"),
        ({"id": "a", "text": "王", "entities": [{"type": "人", "text": "海", "start": 0, "end": 1}]}, "text has '王'"),
        ({"id": "a", "spans": {"/x": [[0, 2]]}}, "need the document's `text`"),
        ({"id": "a", "text": TEXT, "spans": {"/x/0/y": [[0, 2]]}}, "give `data`"),
        ({"id": "a", "data": {"x": "1"}, "spans": {"/y": [[0, 2]]}}, "/y"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_an_answer_is_an_error_that_names_the_line(row: dict[str, Json], message: str) -> None:
    with pytest.raises(InputError, match="gold.jsonl line 3.*") as caught:
        read_annotation(row, "gold.jsonl line 3")
    assert message in str(caught.value)
