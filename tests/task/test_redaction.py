"""Sensitive values are masked wherever a record holds values."""

import pytest

from extractor.data import Conflict, FailedDocument, Json, Provenance, Record, Source, Withheld
from extractor.errors import Problem
from extractor.stages.merging import merge
from extractor.task.redaction import MASK, mask, redact
from extractor.task.task import Schema, Task, load_task
from tests.builders import INTEGER, RUN, STRING, STRINGS, a_task

SECRET: Schema = {"type": "string", "x-sensitive": True}


@pytest.mark.parametrize(
    ("schema", "value", "masked"),
    [
        (STRING, "x", "x"),
        (SECRET, "x", MASK),
        (SECRET, None, None),
        ({**INTEGER, "x-sensitive": True}, 7, MASK),
        ({**STRINGS, "x-sensitive": True}, ["x", "y"], [MASK, MASK]),
        ({"type": "array", "items": SECRET}, ["x"], [MASK]),
        ({"type": "object", "properties": {"p": SECRET, "q": STRING}}, {"p": "x", "q": "y"}, {"p": MASK, "q": "y"}),
        (
            {"type": "object", "x-sensitive": True, "properties": {"q": STRING}},
            {"q": "y", "r": 1},
            {"q": MASK, "r": MASK},
        ),
        ({"anyOf": [SECRET, {"type": "null"}]}, "x", MASK),
        ({"anyOf": [{"type": "object", "properties": {"p": SECRET}}, {"type": "null"}]}, {"p": "x"}, {"p": MASK}),
    ],
)
def test_what_is_sensitive_or_below_it_is_masked(schema: Schema, value: Json, masked: Json) -> None:
    assert mask({"a": value}, a_task(a=schema)) == {"a": masked}


def test_references_are_followed() -> None:
    task = Task("t", {"properties": {"a": {"$ref": "#/$defs/s"}}, "$defs": {"s": SECRET}}, "zh", "")
    assert mask({"a": "x"}, task) == {"a": MASK}


def test_conflicts_are_masked_and_the_rest_of_the_record_stays() -> None:
    row: Schema = {"type": "object", "properties": {"a/b": SECRET, "c": STRING}}
    record = Record(
        id="d",
        status="ok",
        source=Source("d", "0" * 64),
        run=RUN,
        data={"行": {"a/b": "x", "c": "y"}},
        spans={"/行/a~1b": ((0, 1),)},
        conflicts={"/行/a~1b": (Conflict("z", (3, 4)),), "/行/c": (Conflict("w"),)},
    )
    redacted = redact(record, a_task(行=row))
    assert redacted.data == {"行": {"a/b": MASK, "c": "y"}}
    assert redacted.conflicts == {
        "/行/a~1b": (Conflict(MASK, (3, 4)),),
        "/行/c": (Conflict("w"),),
    }
    assert redacted.spans == record.spans


def test_a_record_without_data_has_nothing_to_mask() -> None:
    record = merge(FailedDocument("x", Source("x", ""), Problem("empty", "is empty")), (), RUN)
    assert redact(record, a_task(a=SECRET)) == record


def test_the_bundled_password_is_sensitive() -> None:
    assert mask({"账号": "root", "密码": "xiaohua123"}, load_task("contact")) == {"账号": "root", "密码": MASK}


def test_what_was_withheld_is_masked_as_its_field_is() -> None:
    row: Schema = {"type": "object", "properties": {"密": SECRET, "名": STRING}}
    task = a_task(行={"type": "array", "items": row}, 密=SECRET, 表={"type": "array", "items": SECRET})
    withheld = tuple(Withheld(field, "x", "confidence") for field in ("行/密", "行/名", "密", "表"))
    record = Record("d", "ok", Source("d", "0" * 64), RUN, data={}, provenance=Provenance(withheld=withheld))
    assert [each.value for each in redact(record, task).provenance.withheld] == [MASK, "x", MASK, MASK]
