"""Fields that one answer does not hold are asked for in groups, and the record is that of the whole schema."""

import json
from collections.abc import Mapping

import pytest

from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Json, Prompt, Record
from extractor.errors import UsageError
from extractor.pipeline import Pipeline
from extractor.task.field_groups import LABEL, groups, longest_value, usual_answer
from extractor.task.task import Schema, Task, make_task
from tests.builders import INTEGER, STRING, STRINGS, a_document, a_task, levels

MANY = {f"字段{number:02d}": STRING for number in range(60)}
TEXT = "。".join(f"{name}：值{name[2:]}" for name in MANY) + "。"


def _reader(prompt: Prompt) -> str:
    """Finds the value behind each name."""
    text = prompt.chunk.text
    values = {field.name: f"值{field.name[2:]}" for field in prompt.task.fields}
    found = {name: value if f"{name}：{value}" in text else None for name, value in values.items()}
    return json.dumps(found, ensure_ascii=False)


def _record(schema: Schema, text: str = TEXT, context: int = 4_096, **config: Json) -> Record:
    pipeline = Pipeline(make_task(schema), Backend(answer=_reader, context=context), RunConfig(**config))
    (record,) = pipeline.run([a_document(text)])
    return record


def _schema(properties: Mapping[str, Json], **more: Json) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def test_many_fields_are_asked_for_in_groups_and_come_back_in_the_order_of_the_schema() -> None:
    record = _record(_schema(MANY))
    assert record.status == "ok"
    assert record.data is not None
    assert list(record.data.items()) == [(name, f"值{name[2:]}") for name in MANY]
    assert record.provenance.groups == record.attempts == 3
    assert {TEXT[start:end] for ((start, end),) in record.spans.values()} == set(record.data.values())
    assert record.provenance.chunks == 1


def test_groups_and_chunks_multiply() -> None:
    record = _record(_schema(MANY), TEXT + "别的内容。" * 1_000)
    assert record.data is not None
    assert list(record.data.values()) == [f"值{name[2:]}" for name in MANY]
    assert record.attempts == record.provenance.groups * record.provenance.chunks > 3


def test_few_fields_are_one_question() -> None:
    record = _record(_schema({name: MANY[name] for name in list(MANY)[:10]}))
    assert (record.attempts, record.provenance.groups) == (1, 1)


def test_every_field_is_in_exactly_one_group_and_a_field_that_fits_nowhere_is_alone() -> None:
    task = a_task(甲=STRING, 表={"type": "array", "items": STRING, "minItems": 50}, 乙=STRING, 丙=STRING)
    found = groups(task, lambda part: len(usual_answer(part, 10_000)) <= 80)
    assert [[field.name for field in group.fields] for group in found] == [["甲", "乙", "丙"], ["表"]]


def test_thousands_of_fields_take_few_questions_to_group() -> None:
    asked: list[int] = []

    def fits(part: Task) -> bool:
        asked.append(len(part.fields))
        return asked[-1] <= 40

    task = a_task(**{f"f{number}": STRING for number in range(1000)})
    found = groups(task, fits)
    assert [len(part.fields) for part in found] == [40] * 25
    assert [field.name for part in found for field in part.fields] == [field.name for field in task.fields]
    assert len(asked) < 25 * 20


def test_a_schema_that_refers_to_itself_is_expected_to_end_at_once() -> None:
    node: Schema = {"type": "object", "properties": {"名": STRING, "下": {"type": "array", "items": {"$ref": "#"}}}}
    assert len(usual_answer(make_task(node), 10_000)) < 400


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"required": ["字段00", "字段59"]}, ""),
        ({"dependentRequired": {"字段00": ["字段59"]}}, ""),
        ({"if": {"required": ["字段00"]}, "then": {"required": ["字段59"]}}, ""),
        ({"minProperties": 60}, ""),
        ({"dependentRequired": {"字段00": ["无"]}}, "/: lacks a value that another one asks for"),
        ({"if": {"required": ["字段00"]}, "then": {"required": ["无"]}}, "/无: required, not found in the document"),
        ({"allOf": [{"not": {"required": ["字段00", "字段59"]}}]}, "/: has a value that the schema excludes"),
        ({"maxProperties": 59}, "/: has more than 59 members"),
    ],
)
def test_what_holds_between_fields_holds_for_the_whole_and_for_no_group(more: Mapping[str, Json], error: str) -> None:
    record = _record(_schema({**MANY, "无": STRING}, **more), max_attempts=1)
    assert record.provenance.groups > 1
    missing = "required" in error or "lacks" in error
    status = "partial" if missing else "failed" if error else "ok"
    assert record.status == status
    assert [failure.problem.message.startswith(error) for failure in record.errors] == ([True] if error else [])


def test_references_hold_in_every_group() -> None:
    definitions = {"name": {"type": "string", "maxLength": 9}}
    properties = {
        "base": STRING,
        **MANY,
        "字段01": {"$ref": "#/$defs/name"},
        "字段58": {"$ref": "#/properties/base"},
        "字段59": {"type": "object", "properties": {"下": {"$ref": "#"}}},
    }
    task = make_task(_schema(properties, **{"$defs": definitions, "$id": "https://a.example/contract"}))
    parts = Pipeline(task, Backend(context=4_096)).budget.groups
    assert len(parts) > 1
    for part in parts:
        for field in part.fields:
            assert part.validate({field.name: 1}) != ()
    (last,) = [part for part in parts if "字段59" in part.schema["properties"]]
    assert last.validate({"字段59": {"下": {"字段01": "一二三"}}}) == ()
    assert last.validate({"字段59": {"下": {"字段01": "一二三四五六七八九十"}}}) != ()


def test_a_group_that_has_no_answer_fails_the_document_and_is_named() -> None:
    def answer(prompt: Prompt) -> str:
        return "no" if "字段59" in prompt.task.schema["properties"] else _reader(prompt)

    backend = Backend(answer=answer, context=4_096)
    (record,) = Pipeline(make_task(_schema(MANY)), backend, RunConfig(max_attempts=2)).run([a_document(TEXT)])
    assert record.status == "failed"
    assert record.data is not None
    assert record.data["字段00"] == "值00"
    assert record.errors[-1].problem.code == "parse"
    assert "字段59: no usable answer" in record.errors[-1].problem.message


def test_instructions_too_long_for_the_context_are_split_as_well() -> None:
    told = {name: {**STRING, "description": "说明" * 40} for name in list(MANY)[:12]}
    record = _record(_schema(told), context=1_500)
    assert record.status == "ok"
    assert record.provenance.groups > 1
    with pytest.raises(UsageError, match="no room for text"):
        Pipeline(make_task(_schema({"甲": {**STRING, "description": "说明" * 900}})), Backend(context=1_500)).check()


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"甲": STRING}, 16),
        ({"甲": {**STRING, "maxLength": 30}, "乙": {**STRING, "maxLength": 100}}, 116),
        ({"甲": {"type": "array", "items": {**STRING, "maxLength": 30}}}, 46),
        ({"行": {"items": {"properties": {"名": {**STRING, "maxLength": 9}, "址": {**STRING, "maxLength": 50}}}}}, 75),
        ({"甲": {"anyOf": [{**STRING, "maxLength": 7}, {"type": "null"}]}, "数": INTEGER}, 23),
    ],
)
def test_the_longest_value_follows_from_the_schema(properties: Mapping[str, Json], expected: int) -> None:
    assert longest_value(a_task(**properties)) == expected


def test_the_overlap_holds_the_longest_value_twice_if_there_is_room() -> None:
    def overlap(task: Task, **config: Json) -> int:
        return Pipeline(task, Backend(context=4_096), RunConfig(**config)).budget.overlap

    long = a_task(地址={**STRING, "maxLength": 100})
    assert overlap(long) == 2 * 116
    assert overlap(long, overlap=10) == 10
    assert overlap(a_task(名=STRINGS)) == 64
    assert Pipeline(long, Backend(context=500), RunConfig(max_tokens=100)).budget.overlap < 100


def test_definitions_that_name_one_another_are_not_written_out() -> None:
    """Written out, these levels of forty members each would be trillions of characters."""
    task = make_task(levels(8, 40))
    answer = usual_answer(task, 10_000)
    assert json.loads(answer).keys() == {"x"}
    assert 10_000 < len(answer) < 100_000
    assert longest_value(make_task(levels(4, 40))) == LABEL + 20 * 40**4
