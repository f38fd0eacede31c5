"""How much room the answers to a task take, and how its fields are asked for where that is more than one answer holds.

All of it is an estimate from the schema, made before the first document is read: the usual size of an answer, not its
largest. An answer that turns out longer is asked for again with more room. This module counts no tokens itself.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

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


def usual_answer(task: Task, most: int) -> str:
    """Return an answer of the size that is to be expected; what comes after so many characters is left out."""
    usual = _Usual(task.compiled, most)
    fields = ((each.name, usual.value(each.node.name)) for each in task.fields)
    named = [usual.entries(option, 0) for option in task.compiled.options(task.compiled.root)]
    largest = max(named, key=len)
    return usual.object(chain(fields, largest))


def longest_value(task: Task) -> int:
    """Return the characters from the label to the end of the longest value, as far as the schema bounds lengths.

    The values of an object that is an item of a list count together.
    """
    names = [each.node.name for each in task.fields]
    names += [name for option in task.compiled.options(task.compiled.root) for name in entries(option)]
    return LABEL + max(map(_Longest(task.compiled).of, names))


@dataclass(frozen=True)
class _Usual:
    """Makes up the JSON of values of the size that is to be expected; a node inside itself is left out.

    So are the members of a value that `most` characters have passed: definitions that name one another, each with
    hundreds of members, would go on to billions.
    """

    schema: CompiledSchema
    most: int
    around: list[Name] = field(default_factory=list)
    known: dict[tuple[Name, int], str] = field(default_factory=dict)

    def value(self, name: Name, depth: int = 0) -> str:
        """Return the longest of the values that the alternatives of a node usually have."""
        if depth > _DEEPEST or name in self.around:
            return "null"
        if (name, depth) not in self.known:
            self.around.append(name)
            values = (self._value(node, depth) for node in self.schema.options(self.schema[name]))
            self.known[name, depth] = max(values, key=len)
            self.around.pop()
        return self.known[name, depth]

    def _value(self, node: SchemaNode, depth: int) -> str:
        if node.values:
            return max(map(_json, node.values), key=len)
        asked = ("string",) if node.is_anything else node.kinds
        return max((self._of_kind(node, kind, depth) for kind in asked), key=len, default="null")

    def _of_kind(self, node: SchemaNode, kind: str, depth: int) -> str:
        if kind == "array":
            return self._items(node, depth)
        if kind == "object":
            members = ((name, self.value(sub, depth + 1)) for name, sub in node.properties.items())
            return self.object(chain(members, self.entries(node, depth)))
        if kind == "string":
            length = _within(USUAL_LENGTH, node.bounds.min_length, node.bounds.max_length)
            return _json((_SOME_TEXT * (length // len(_SOME_TEXT) + 1))[:length])
        return {"number": "12345.67", "integer": "1234567", "boolean": "false"}.get(kind, "null")

    def entries(self, node: SchemaNode, depth: int) -> list[tuple[str, str]]:
        """Return the members that a map usually has besides its properties."""
        values = [self.value(name, depth + 1) for name in entries(node)]
        return [(f"{_SOME_TEXT[:LABEL]}{number}", each) for number, each in enumerate(values * USUAL_ITEMS)]

    def _items(self, node: SchemaNode, depth: int) -> str:
        items = [self.value(name, depth + 1) for name in node.prefix]
        if node.items is not None and not node.no_more_items:
            count = _within(USUAL_ITEMS, node.bounds.min_items, node.bounds.max_items)
            items += [self.value(node.items, depth + 1)] * max(0, count - len(items))
        return f"[{self._joined(items)}]"

    def object(self, members: Iterable[tuple[str, str]]) -> str:
        return f"{{{self._joined(f'{_json(name)}: {value}' for name, value in members)}}}"

    def _joined(self, parts: Iterable[str]) -> str:
        taken, length = [], 0
        for part in parts:
            taken.append(part)
            length += len(part)
            if length > self.most:
                break
        return ", ".join(taken)


_json = partial(json.dumps, ensure_ascii=False)


def _within(usual: int, least: int | None, most: int | None) -> int:
    count = max(usual, min(least or 0, _MOST_EXPECTED))
    return count if most is None else min(count, most)


@dataclass(frozen=True)
class _Longest:
    """Finds the characters of the longest stretch of text that is one value, or one item of a list."""

    schema: CompiledSchema
    known: dict[tuple[Name, int], int] = field(default_factory=dict)

    def of(self, name: Name, depth: int = 0) -> int:
        if depth > _DEEPEST:
            return 0
        if (name, depth) not in self.known:
            self.known[name, depth] = max(self._of(node, depth + 1) for node in self.schema.options(self.schema[name]))
        return self.known[name, depth]

    def _of(self, node: SchemaNode, depth: int) -> int:
        together = sum(self.of(sub, depth) for sub in node.properties.values())
        inside = (*node.prefix, *([] if node.items is None else [node.items]), *entries(node))
        return max(node.bounds.max_length or 0, together, *(self.of(sub, depth) for sub in inside))
