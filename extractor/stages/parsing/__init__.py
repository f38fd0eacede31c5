"""A Completion becomes an Extraction, or a Rejection that says why not.

The answer is read (`ladder`), brought into the shape of the task (`shape`) and then judged by the schema, which has the
last word whatever produced the text. An answer that was cut off is never taken for a whole one. This module does not
know whether a value stands in the document; `grounding` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extractor.data import Completion, Extraction, Json, Outcome, Rejection
from extractor.stages.parsing.extract_json import LOSSY, is_unclosed, read_bare, read_json
from extractor.task.coerce import Coercer, folded, unwrapped
from extractor.task.schema_node import SchemaNode
from extractor.task.task import Schema, Task
from extractor.text.strict_json import Reading, plain, value_ranges

__all__ = ["parse", "read_json", "read_value", "value_ranges"]

_GAVE_UP = {"overflow": "the prompt exceeds the model's context", "error": "the backend gave up on this prompt"}
_CUT_OFF = "the answer was cut off at the limit of tokens"
_NO_JSON, _EMPTY = "the answer holds no JSON", "the answer is empty"


def parse(completion: Completion) -> Outcome:
    """Read a backend's answer as data of its task."""
    if completion.finish == "overflow" or completion.finish == "error":
        return Rejection.of(completion, completion.finish, completion.detail or _GAVE_UP[completion.finish])
    task = completion.prompt.task
    reading = read_json(completion.text, _names(task))
    if completion.finish == "length" and not _is_whole(reading, completion.text):
        return Rejection.of(completion, "length", _CUT_OFF)
    if reading is None:
        return Rejection.of(completion, "parse", _NO_JSON if completion.text.strip() else _EMPTY)
    reading = _unpacked(reading, task)
    if not isinstance(reading.value, dict):
        return Rejection.of(completion, "parse", f"the answer must be one JSON object, not {_kind(reading.value)}")
    if _is_guess(reading) and not _names_a_field(reading.value, task):
        return Rejection.of(completion, "parse", "the answer names no field")
    return _judged(completion, _shaped(reading, task))


def read_value(text: str, schema: Schema | None = None) -> Reading | None:
    """Any JSON value that a text holds, in the shape of a schema if one is given; None where neither can be had."""
    reading = read_json(text) or read_bare(text)
    if reading is None or schema is None:
        return reading._replace(value=plain(reading.value)) if reading else None
    holder = _holder(schema)
    shaped = _shaped(reading._replace(value={"value": reading.value}), holder)
    if not holder.validate(shaped.value):
        return shaped._replace(value=plain(shaped.value["value"]))
    option = _mentioned(text, holder.fields[0].node)
    return None if option is None else Reading(option, "mention")


def _is_whole(reading: Reading | None, text: str) -> bool:
    return reading is not None and not is_unclosed(text) and not LOSSY & set(reading.rung.split("+"))


def _is_guess(reading: Reading) -> bool:
    return bool(LOSSY & set(reading.rung.split("+")))


def _names_a_field(value: Mapping[str, Json], task: Task) -> bool:
    return not set(map(folded, _names(task))).isdisjoint(map(folded, value))


def _names(task: Task) -> tuple[str, ...]:
    """What may stand for a field in an answer: names, then titles."""
    return tuple(
        dict.fromkeys([*(each.name for each in task.fields), *(each.title for each in task.fields if each.title)])
    )


def _unpacked(reading: Reading, task: Task) -> Reading:
    """The one object of the answer, out of a string or a wrapper that may hold it."""
    if isinstance(reading.value, str):
        inner = read_json(reading.value, _names(task))
        reading = inner.under("encoded") if inner else reading
    value = unwrapped(reading.value, _names(task))
    return reading if value is reading.value else Reading(value, f"{reading.rung}+wrapped")


def _shaped(reading: Reading, task: Task) -> Reading:
    coercer = Coercer(task.walk)
    value = coercer.coerce(reading.value, task.compiled.root_name)
    if isinstance(value, dict) and task.names is not None:
        value = {name: item for name, item in value.items() if item is not None or name in task.names}
    return Reading(value, "+".join([reading.rung, *coercer.steps]))


def _judged(completion: Completion, reading: Reading) -> Outcome:
    """The schema has the last word."""
    problems = completion.prompt.task.problems(reading.value)
    if problems:
        return Rejection(completion, problems)
    return Extraction(completion, plain(reading.value), reading.rung)


def _kind(value: Json) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "null" if value is None else f"a {'string' if isinstance(value, str) else 'single value'}"


def _holder(schema: Schema) -> Task:
    """A task with one required field that must be of the schema."""
    wrapped: dict[str, Json] = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    return Task("value", wrapped | {key: schema[key] for key in ("$defs", "definitions") if key in schema}, "", "")


def _mentioned(text: str, node: SchemaNode) -> Json:
    """Return the one option of an enum that the text names as a word of its own, or None."""
    options = node.values or ()
    named = [
        option
        for option in options
        if isinstance(option, str) and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text, re.IGNORECASE)
    ]
    return named[0] if len(named) == 1 else None
