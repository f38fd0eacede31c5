"""The schema of what a model is asked to write, for engines that take a JSON Schema.

Every property, in order, null where the text has none, and nothing else. A node that is referred to more than once is a
definition, so the size is that of the schema. What engines disagree about (conditions, most formats, patterns beyond
plain ones) is left to the validator, which has the last word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extractor.data import Json
from extractor.task.schema_node import MOMENTS, CompiledSchema, Name, SchemaNode, children

if TYPE_CHECKING:
    from extractor.task.task import Task

_BEYOND = re.compile(r"\(\?|\\[bBAZzkKpP1-9]|[*+?}][?+]")


def answer_schema(task: Task) -> dict[str, Json]:
    """Return a self-contained schema of the answers about the fields of a task."""
    schema, names = task.compiled, task.names
    writer = _Writer(schema, _shared(schema))
    options = [node for node in schema.options(schema.root) if "object" in node.types]
    found = [writer.object_(node, names) for node in options]
    root = found[0] if len(found) == 1 else {"anyOf": found}
    writer.finish()
    return {**root, "$defs": writer.definitions} if writer.definitions else root


def _shared(schema: CompiledSchema) -> frozenset[Name]:
    """Return the nodes that several others lead to, or that lead back to themselves, and are no mere scalars."""
    below = {name: list(children(node)) for name, node in schema.nodes.items()}
    counts = Counter(child for subs in below.values() for child in subs)
    return frozenset(name for name, count in counts.items() if count > 1 and below[name]) | _in_circles(below)


def _in_circles(below: Mapping[Name, Sequence[Name]]) -> frozenset[Name]:
    """Return the nodes that lead back to themselves, and those on the way from one such circle to another.

    They are what is left when ends are taken away one after the other, from below and from above: in linear time.
    """
    above: dict[Name, list[Name]] = {name: [] for name in below}
    for name, subs in below.items():
        for sub in subs:
            above[sub].append(name)
    return _without_ends(below, above) & _without_ends(above, below)


def _without_ends(below: Mapping[Name, Sequence[Name]], above: Mapping[Name, Sequence[Name]]) -> frozenset[Name]:
    left = {name: len(subs) for name, subs in below.items()}
    ends = [name for name, count in left.items() if not count]
    while ends:
        for name in above[ends.pop()]:
            left[name] -= 1
            if not left[name]:
                ends.append(name)
    return frozenset(name for name, count in left.items() if count)


@dataclass
class _Writer:
    schema: CompiledSchema
    shared: frozenset[Name]
    definitions: dict[str, Json] = field(default_factory=dict)
    _open: list[Name] = field(default_factory=list)

    def object_(self, node: SchemaNode, names: frozenset[str] | None = None) -> dict[str, Json]:
        kept = {name: sub for name, sub in node.properties.items() if names is None or name in names}
        found: dict[str, Json] = {
            "type": "object",
            "properties": {name: {"anyOf": [self._value(sub), {"type": "null"}]} for name, sub in kept.items()},
            "required": list(kept),
            "additionalProperties": False if node.additional is None else self._nullable(node.additional),
        }
        if node.pattern_properties:
            found["patternProperties"] = {each: self._nullable(sub) for each, sub in node.pattern_properties.items()}
        return found

    def finish(self) -> None:
        """Write the definitions that were referred to."""
        while self._open:
            name = self._open.pop()
            self.definitions[name] = self._written(self.schema[name])

    def _value(self, name: Name) -> dict[str, Json]:
        if name not in self.shared:
            return self._written(self.schema[name])
        if name not in self.definitions:
            self.definitions[name] = {}
            self._open.append(name)
        return {"$ref": f"#/$defs/{name}"}

    def _nullable(self, name: Name) -> dict[str, Json]:
        return {"anyOf": [self._value(name), {"type": "null"}]}

    def _written(self, node: SchemaNode) -> dict[str, Json]:
        """Return the schema for the values of a node."""
        if node.alternatives:
            return {"anyOf": [self._value(name) for name in node.alternatives]}
        if node.values is not None:
            return {"enum": list(node.values)}
        kinds = [self._of_kind(node, kind) for kind in node.kinds]
        kinds += [{"type": "null"}] if node.nullable or not kinds else []
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}

    def _of_kind(self, node: SchemaNode, kind: str) -> dict[str, Json]:
        if kind == "object":
            return self.object_(node)
        if kind == "array":
            return self._list(node)
        return {"type": kind, **_bounds(node, kind)}

    def _list(self, node: SchemaNode) -> dict[str, Json]:
        bounds = {"minItems": node.bounds.min_items, "maxItems": node.bounds.max_items}
        found: dict[str, Json] = {"type": "array", **{key: each for key, each in bounds.items() if each is not None}}
        if node.prefix:
            found["prefixItems"] = [self._value(name) for name in node.prefix]
        if node.no_more_items:
            found["items"] = False
        elif node.items is not None:
            found["items"] = self._value(node.items)
        return found


def _bounds(node: SchemaNode, kind: str) -> dict[str, Json]:
    """Return the keywords that engines agree about."""
    bounds = node.bounds
    said: dict[str, Json] = {}
    if kind in ("integer", "number"):
        said = {"minimum": bounds.minimum, "maximum": bounds.maximum}
        said |= {"exclusiveMinimum": bounds.exclusive_minimum, "exclusiveMaximum": bounds.exclusive_maximum}
    elif kind == "string":
        plain = [pattern for pattern in bounds.patterns if not _BEYOND.search(pattern)]
        plain += [MOMENTS[each] for each in bounds.formats if each in MOMENTS and not plain]
        said = {
            "minLength": bounds.min_length,
            "maxLength": bounds.max_length,
            "format": "date" if "date" in bounds.formats else None,
            "pattern": plain[0] if len(plain) == 1 else None,
        }
    return {keyword: value for keyword, value in said.items() if value is not None}
