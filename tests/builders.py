"""Builders of the records that flow through the stages, for tests."""

import json
from collections.abc import Sequence

from extractor.data import (
    GREEDY,
    Chunk,
    Completion,
    Document,
    Extraction,
    Json,
    Outcome,
    Prompt,
    Rejection,
    RunInfo,
    Sampling,
    Source,
)
from extractor.stages.grounding import ground
from extractor.stages.parsing import parse
from extractor.stages.prompting import render
from extractor.task.task import Schema, Task

RUN = RunInfo("0123456789abcdef", "scripted", "custom", "zh")
STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "array", "items": STRING}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
DATE: Schema = {"type": "string", "format": "date"}


def a_document(text: str, name: str = "d") -> Document:
    return Document(name, text, Source(name, "0" * 64, "utf-8", len(text)))


def a_task(required: Sequence[str] = (), **properties: Schema) -> Task:
    """Return a task with these properties and no others."""
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return Task("custom", schema, "zh", "")


def a_chunk(text: str, start: int = 0, end: int | None = None, index: int = 0) -> Chunk:
    return Chunk(a_document(text), index, start, len(text) if end is None else end)


def a_prompt(chunk: Chunk, task: Task, *rejected: Rejection, sampling: Sampling = GREEDY) -> Prompt:
    return Prompt(chunk, task, (), max_tokens=100, rejected=rejected, sampling=sampling)


def rendered(task: Task, chunk: Chunk, max_tokens: int = 64, **more: Json) -> Prompt:
    """Return the prompt of a chunk, rendered from the task's template."""
    return render(Prompt(chunk, task, (), max_tokens, **more))


def an_answer(answer: Json, task: Task, text: str = "", **more: Json) -> Completion:
    """Return a completion about a text; an answer that is not a string is written as JSON."""
    written = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return Completion(a_prompt(a_chunk(text), task), written, **more)


def grounded(prompt: Prompt, answer: Json, **more: Json) -> Outcome:
    """Return the outcome of parsing and grounding an answer to a prompt."""
    outcome = parse(Completion(prompt, json.dumps(answer, ensure_ascii=False), **more))
    return ground(outcome) if isinstance(outcome, Extraction) else outcome


def levels(count: int, members: int) -> Schema:
    """Return a schema with a field `x`: levels of objects with so many members each, the last of which are strings."""
    inner = {f"l{n}": {f"m{i}": {"$ref": f"#/$defs/l{n + 1}"} for i in range(members)} for n in range(count)}
    objects: Schema = {name: {"type": "object", "properties": properties} for name, properties in inner.items()}
    definitions = objects | {f"l{count}": {"type": "string", "maxLength": 20}}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/l0"}}, "$defs": definitions}


def ring(count: int) -> Schema:
    """Return a schema with a field `x`, of so many objects; each has lists of the next one and of the first."""
    definitions: Schema = {
        f"n{number}": {
            "type": "object",
            "properties": {
                "名": STRING,
                "next": {"type": "array", "items": {"$ref": f"#/$defs/n{(number + 1) % count}"}},
                "first": {"type": "array", "items": {"$ref": "#/$defs/n0"}},
            },
        }
        for number in range(count)
    }
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/n0"}}, "$defs": definitions}
