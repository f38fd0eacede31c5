"""How much room the answers to a task take, and how its fields are asked for where that is more than one answer holds.

All of it is an estimate from the schema, made before the first document is read: the usual size of an answer, not its
largest. An answer that turns out longer is asked for again with more room. This module counts no tokens itself.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from extractor.data import Json
from extractor.task.schema_node import CompiledSchema, Name, SchemaNode, entries
from extractor.task.task import Task

USUAL_ITEMS = 4
"""Items of a list that an answer is expected to hold, where the schema allows so many."""

USUAL_LENGTH = 12
"""Characters of a string that an answer is expected to hold, where the schema allows so many."""

LABEL = 16
"""Characters in front of a value that say what it is."""

_SOME_TEXT = "北京市朝阳区建国路88号科技公司"
_DEEPEST = 4
_MOST_EXPECTED = 1000
"""Items or characters at least: a schema that asks for more is not believed to be answered so."""


def groups(task: Task, fits: Callable[[Task], bool]) -> tuple[Task, ...]:
    """Parts of a task that each ask for as many fields as fit into one answer, in the order of the schema.

    A group takes the fields that follow as long as there is room; one that fits into no answer has a group of its own.
    """
    whole = task.as_part()
    if fits(whole):
        return (whole,)
    left = [each.name for each in task.fields]
    order = {name: number for number, name in enumerate(left)}
    found: list[list[str]] = [[]]
    while left:
        taken = _longest_that_fits(left, partial(_fits_beside, task, fits, found[-1]))
        found[-1] += left[:taken]
        left = left[taken:]
        if left and not fits(task.part(left[:1])):
            found.insert(-1, [left.pop(0)])
        elif left:
            found.append([])
    groups = sorted(filter(None, found), key=lambda names: order[names[0]])
    return tuple(task.part(names) for names in groups) or (whole,)


def _fits_beside(task: Task, fits: Callable[[Task], bool], group: Sequence[str], names: Sequence[str]) -> bool:
    return fits(task.part([*group, *names]))


def _longest_that_fits(names: Sequence[str], fits: Callable[[Sequence[str]], bool]) -> int:
    """Return how many of the first names fit together, with O(log) questions."""
    step = 1
    while step < len(names) and fits(names[:step]):
        step *= 2
    counts = range(step // 2, min(step, len(names)) + 1)
    return counts[bisect_left(counts, True, lo=1, key=lambda count: not fits(names[:count])) - 1]


def usual_answer(task: Task) -> str:
    """Return an answer of the size that is to be expected."""
    usual = _Usual(task.compiled)
    fields = {each.name: usual.value(each.node.name) for each in task.fields}
    named = [usual.entries(option, 0) for option in task.compiled.options(task.compiled.root)]
    return json.dumps(fields | max(named, key=len), ensure_ascii=False)


def longest_value(task: Task) -> int:
    """Return the characters from the label to the end of the longest value, as far as the schema bounds lengths.

    The values of an object that is an item of a list count together.
    """
    names = [each.node.name for each in task.fields]
    names += [name for option in task.compiled.options(task.compiled.root) for name in entries(option)]
    return LABEL + max(_longest(task.compiled, name) for name in names)


@dataclass(frozen=True)
class _Usual:
    """Makes up values of the size that is to be expected, of each node once; a node inside itself is left out."""

    schema: CompiledSchema
    around: list[Name] = field(default_factory=list)
    known: dict[tuple[Name, int], Json] = field(default_factory=dict)

    def value(self, name: Name, depth: int = 0) -> Json:
        """Return the largest of the values that the alternatives of a node usually have."""
        if depth > _DEEPEST or name in self.around:
            return None
        if (name, depth) not in self.known:
            self.around.append(name)
            values = [self._value(node, depth) for node in self.schema.options(self.schema[name])]
            self.around.pop()
            self.known[name, depth] = max(values, key=lambda value: len(json.dumps(value)))
        return self.known[name, depth]

    def _value(self, node: SchemaNode, depth: int) -> Json:
        if node.values:
            return max(node.values, key=lambda value: len(json.dumps(value)))
        asked = ("string",) if node.is_anything else node.kinds
        kinds = [self._of_kind(node, kind, depth) for kind in asked] or [None]
        return max(kinds, key=lambda value: len(json.dumps(value)))

    def _of_kind(self, node: SchemaNode, kind: str, depth: int) -> Json:
        if kind == "array":
            return self._items(node, depth)
        if kind == "object":
            members = {name: self.value(sub, depth + 1) for name, sub in node.properties.items()}
            return members | self.entries(node, depth)
        if kind == "string":
            length = _within(USUAL_LENGTH, node.bounds.min_length, node.bounds.max_length)
            return (_SOME_TEXT * (length // len(_SOME_TEXT) + 1))[:length]
        return {"number": 12345.67, "integer": 1234567, "boolean": False}.get(kind)

    def entries(self, node: SchemaNode, depth: int) -> dict[str, Json]:
        """Return the members that a map usually has besides its properties."""
        values = [self.value(name, depth + 1) for name in entries(node)]
        return {f"{_SOME_TEXT[:LABEL]}{number}": each for number, each in enumerate(values * USUAL_ITEMS)}

    def _items(self, node: SchemaNode, depth: int) -> Json:
        first = [self.value(name, depth + 1) for name in node.prefix]
        if node.items is None or node.no_more_items:
            return first
        count = _within(USUAL_ITEMS, node.bounds.min_items, node.bounds.max_items)
        return [*first, *[self.value(node.items, depth + 1)] * max(0, count - len(first))]


def _within(usual: int, least: int | None, most: int | None) -> int:
    count = max(usual, min(least or 0, _MOST_EXPECTED))
    return count if most is None else min(count, most)


def _longest(schema: CompiledSchema, name: Name, depth: int = 0) -> int:
    """Return the characters of the longest stretch of text that is one value, or one item of a list."""
    if depth > _DEEPEST:
        return 0
    found = [0]
    for node in schema.options(schema[name]):
        found.append(node.bounds.max_length or 0)
        found.append(sum(_longest(schema, sub, depth + 1) for sub in node.properties.values()))
        inside = (*node.prefix, *([] if node.items is None else [node.items]), *entries(node))
        found += [_longest(schema, sub, depth + 1) for sub in inside]
    return max(found)
