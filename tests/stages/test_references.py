"""A reference names a value of the same row, or it is asked for again, and withheld with an error in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Json, Prompt, Record
from extractor.errors import SchemaError
from extractor.pipeline import Pipeline
from extractor.storage.rows import from_row, to_row
from extractor.task.references import dangling
from extractor.task.task import Task, load_task, make_task
from tests.builders import STRING, STRINGS, a_document

TRIPLES = load_task("triples")
TEXT = "林晓在兰庭咖啡任店长，兰庭咖啡位于成都。"
GOOD = {"主体": "林晓", "关系": "任职于", "客体": "兰庭咖啡"}
PLACE = {"主体": "兰庭咖啡", "关系": "位于", "客体": "成都"}
NAMES = ["林晓", "兰庭咖啡", "成都"]
COMPANY = {"type": "object", "properties": {"id": {"type": "integer", "x-ground": "none"}, "名": STRING}}


def _run(answer: Callable[[Prompt], Json], task: Task = TRIPLES, text: str = TEXT, **backend: Any) -> Record:
    scripted = Backend(answer=lambda prompt: json.dumps(answer(prompt), ensure_ascii=False), **backend)
    (record,) = Pipeline(task, scripted, RunConfig()).run([a_document(text)])
    return record


def _codes(record: Record) -> list[str]:
    return [each.problem.code for each in record.errors]


def test_relations_name_entities_and_all_have_their_place_in_the_text() -> None:
    record = _run(lambda _: {"实体": NAMES, "三元组": [GOOD, PLACE]})
    assert (record.status, record.attempts, record.errors) == ("ok", 1, ())
    assert record.data == {"实体": NAMES, "三元组": [GOOD, PLACE]}
    assert record.spans["/三元组/1/客体"] == record.spans["/实体/2"] == ((17, 19),)
    assert "/三元组/0/关系" not in record.spans


def test_an_answer_with_a_reference_to_nothing_is_asked_for_again_with_the_reason() -> None:
    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> Json:
        asked.append(prompt)
        return {"实体": NAMES if prompt.attempt == 2 else NAMES[:2], "三元组": [GOOD, PLACE]}

    record = _run(answer)
    assert (record.status, record.attempts, _codes(record)) == ("ok", 2, ["reference"])
    assert "/三元组/1/客体: names no value of /实体/*" in asked[1].messages[-1].content
    assert "成都" not in record.errors[0].problem.message


def test_a_reference_that_names_nothing_in_the_end_is_withheld_and_an_error_of_that_value() -> None:
    record = _run(lambda _: {"实体": NAMES[:2], "三元组": [PLACE, GOOD]})
    assert (record.status, record.attempts) == ("partial", 2)
    assert record.data == {"实体": NAMES[:2], "三元组": [PLACE | {"客体": None}, GOOD]}
    assert dangling(TRIPLES, record.data) == {}
    (withheld,) = record.provenance.withheld
    assert (withheld.field, withheld.value, withheld.code, withheld.spans) == (
        "三元组/客体",
        "成都",
        "reference",
        ((17, 19),),
    )
    assert "/三元组/0/客体" not in record.spans
    assert set(_codes(record)) == {"reference"}
    assert from_row(to_row(record)) == record


def test_a_relation_of_which_nothing_is_left_goes_and_the_pointers_of_the_others_move_up() -> None:
    pair = {"type": "object", "properties": {"a": {**STRING, "x-ref": "/名/*"}}}
    task = make_task({"properties": {"名": STRINGS, "对": {"type": "array", "items": pair}}})
    record = _run(lambda _: {"名": ["甲", "乙"], "对": [{"a": "丙"}, {"a": "乙"}]}, task, "甲乙丙")
    assert record.data == {"名": ["甲", "乙"], "对": [{"a": "乙"}]}
    assert record.spans == {"/名/0": ((0, 1),), "/名/1": ((1, 2),), "/对/0/a": ((1, 2),)}


def test_a_part_of_a_long_document_may_name_what_another_part_has() -> None:
    first, filler = "林晓在兰庭咖啡任店长。", "天气晴朗。" * 900
    text = f"{first}{filler}兰庭咖啡位于成都。"

    def answer(prompt: Prompt) -> Json:
        part = prompt.chunk.text
        relations = [each for each in (GOOD, PLACE) if each["主体"] in part and each["客体"] in part]
        names = [name for name in NAMES if name in part and not (name == "兰庭咖啡" and "成都" in part)]
        return {"实体": names, "三元组": relations}

    record = _run(answer, text=text, context=3000)
    assert record.provenance.chunks > 1
    assert (record.status, [each["客体"] for each in record.data["三元组"]]) == ("ok", ["兰庭咖啡", "成都"])


def test_ids_are_compared_as_json_and_a_reference_may_name_a_withheld_one_no_more() -> None:
    schema = {
        "properties": {
            "公司": {"type": "array", "items": COMPANY},
            "母": {"type": "integer", "x-ground": "none", "x-ref": "/公司/*/id"},
            "别": {"type": "string", "x-ground": "none", "x-ref": "/公司/*/id"},
            "链": {"type": "integer", "x-ground": "none", "x-ref": "/母"},
        }
    }
    task = make_task(schema)
    companies = [{"id": 1, "名": "甲"}, {"id": 2, "名": "乙"}]
    assert dangling(task, {"公司": companies, "母": 2, "别": "2", "链": 2}) == {"/别": "/公司/*/id"}
    record = _run(lambda _: {"公司": companies, "母": 3, "别": None, "链": 3}, task, "甲乙")
    assert record.data == {"公司": companies, "母": None, "别": None, "链": None}
    assert [each.field for each in record.provenance.withheld] == ["母", "链"]


@pytest.mark.parametrize("target", ["/实体/*/名", "实体/*", "/三元组", "/实体", "/实体/0", "/無", 7, ["/实体/*"], ""])
def test_a_target_that_the_schema_does_not_have_is_refused_at_load(target: Json) -> None:
    properties = {"实体": STRINGS, "三元组": {"type": "object", "properties": {"主体": {**STRING, "x-ref": target}}}}
    with pytest.raises(SchemaError, match=r"/properties/三元组/properties/主体.*x-ref"):
        make_task({"type": "object", "properties": properties})


def test_a_list_is_no_reference_and_a_target_may_be_in_a_definition_or_a_map() -> None:
    with pytest.raises(SchemaError, match="say it of the items"):
        make_task({"properties": {"a": STRING, "b": {"type": "array", "items": STRING, "x-ref": "/a"}}})
    definitions = {"名": {"anyOf": [{"$ref": "#/$defs/对象"}, {"type": "null"}]}, "对象": {"properties": {"n": STRING}}}
    schema = {"properties": {"o": {"$ref": "#/$defs/名"}, "r": {**STRING, "x-ref": "/o/n"}}, "$defs": definitions}
    assert dangling(make_task(schema), {"o": {"n": "x"}, "r": "x"}) == {}
    assert dangling(make_task(schema), {"o": None, "r": "x"}) == {"/r": "/o/n"}
