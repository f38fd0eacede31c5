"""How much room the answers to a task take, and how its fields are asked for where that is more than one answer holds.

All of it is an estimate from the schema, made before the first document is read: the usual size of an answer, not its
largest. An answer that turns out longer is asked for again with more room. This module counts no tokens itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from extractor.data import Json
from extractor.task.task import Schema, Task, value_type

USUAL_ITEMS = 4
"""Items of a list that an answer is expected to hold, where the schema allows so many."""

USUAL_LENGTH = 12
"""Characters of a string that an answer is expected to hold, where the schema allows so many."""

LABEL = 16
"""Characters in front of a value that say what it is."""

_SOME_TEXT = "北京市朝阳区建国路88号科技公司"
_DEEPEST = 4


def groups(task: Task, fits: Callable[[Task], bool]) -> tuple[Task, ...]:
    """Parts of a task that each ask for as many fields as fit into one answer, in the order of the schema.

    A field goes to the first group that has room for it; one that fits into no answer has a group of its own.
    """
    whole = task.part([field.name for field in task.fields])
    if fits(whole):
        return (whole,)
    found: list[list[str]] = []
    for field in task.fields:
        home = next((names for names in found if fits(task.part([*names, field.name]))), None)
        if home is None:
            found.append([field.name])
        else:
            home.append(field.name)
    return tuple(task.part(names) for names in found)


def usual_answer(task: Task) -> str:
    """An answer of the size that is to be expected."""
    return json.dumps({field.name: _usual(field.schema, task) for field in task.fields}, ensure_ascii=False)


def longest_value(task: Task) -> int:
    """Characters from the label to the end of the longest value, as far as the schema bounds lengths; the values of an
    object that is an item of a list count together."""
    return LABEL + max(_longest(field.schema, task) for field in task.fields)


def _usual(schema: Json, task: Task, depth: int = 0) -> Json:
    sub = task.resolve(schema)
    options = [*sub.get("enum", ()), *([sub["const"]] if "const" in sub else [])]
    if options:
        return max(options, key=lambda option: len(json.dumps(option)))
    branches = (*sub.get("anyOf", ()), *sub.get("oneOf", ()))
    if branches and depth < _DEEPEST:
        several = [_usual(branch, task, depth + 1) for branch in branches]
        return max(several, key=lambda value: len(json.dumps(value)))
    return _of_type(sub, task, depth)


def _of_type(sub: Schema, task: Task, depth: int) -> Json:
    kind = value_type(sub)
    if kind == "array" and depth < _DEEPEST:
        most = min(int(sub.get("maxItems", USUAL_ITEMS)), max(USUAL_ITEMS, int(sub.get("minItems", 0))))
        return [_usual(sub.get("items", {}), task, depth + 1)] * most
    if kind == "object" and depth < _DEEPEST:
        return {name: _usual(member, task, depth + 1) for name, member in sub.get("properties", {}).items()}
    if kind == "string":
        length = min(int(sub.get("maxLength", USUAL_LENGTH)), max(USUAL_LENGTH, int(sub.get("minLength", 0))))
        return (_SOME_TEXT * (length // len(_SOME_TEXT) + 1))[:length]
    return {"number": 12345.67, "integer": 1234567, "boolean": False}.get(kind)


def _longest(schema: Json, task: Task, depth: int = 0) -> int:
    """Characters of the longest stretch of text that is one value, or one item of a list."""
    sub = task.resolve(schema)
    if depth > _DEEPEST:
        return 0
    branches = [*sub.get("anyOf", ()), *sub.get("oneOf", ())]
    inside = [_longest(branch, task, depth + 1) for branch in branches]
    if "items" in sub:
        inside.append(_longest(sub["items"], task, depth + 1))
    members = sum(_longest(member, task, depth + 1) for member in sub.get("properties", {}).values())
    return max([int(sub.get("maxLength", 0)), members, *inside])
