"""A draft beside its schema as a list of lines to fill in: one walk over the nodes, every property in order.

What may be added, removed or chosen is what the nodes say. This module does not know the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from extractor.data import Json
from extractor.review.draft import Draft, at, parts
from extractor.task.schema_node import Name, SchemaNode
from extractor.task.task import Task
from extractor.task.walk import UNKNOWN, Walk
from extractor.text.json_pointer import escape_pointer

Kind = Literal["value", "list", "object"]


@dataclass(frozen=True, slots=True)
class Line:
    """A value, list or object of a draft. `field` numbers the entity type; `removable` is an item or entry, `named` an
    object whose further entries need names, `missing` what the schema requires and is null."""

    pointer: str
    label: str
    depth: int
    kind: Kind
    field: int
    node: SchemaNode
    value: Json
    removable: bool
    missing: bool

    @property
    def named(self) -> bool:
        return self.kind == "object" and self.node.is_map

    @property
    def addable(self) -> bool:
        """Whether something can be added: an item, an entry, or the object itself where it is null."""
        if self.kind == "list":
            limit = self.node.bounds.max_items
            return limit is None or len(self.value or ()) < limit
        return self.named or (self.kind == "object" and self.value is None)

    @property
    def options(self) -> list[Json] | None:
        """The values that may be chosen; None where they are written."""
        if self.kind != "value":
            return None
        if self.node.values is not None:
            return [value for value in self.node.values if not isinstance(value, dict | list | type(None))]
        return [True, False] if self.node.kinds == ("boolean",) else None

    def as_json(self) -> dict[str, Json]:
        """Return the line as the page shows it; the value is in the draft."""
        said = self.node.annotations
        return {
            "pointer": self.pointer,
            "label": self.label,
            "depth": self.depth,
            "kind": self.kind,
            "field": self.field,
            "type": self.node.type,
            "description": said.description,
            "ground": self.node.ground if self.kind == "value" else None,
            "options": self.options,
            "value": self.value if self.kind == "value" else None,
            "count": len(self.value or ()) if self.kind == "list" else None,
            "there": self.value is not None,
            "removable": self.removable,
            "addable": self.addable,
            "named": self.named,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Form:
    """Lines of a draft, and the node of each pointer in it."""

    task: Task

    def lines(self, draft: Draft) -> list[Line]:
        """Return all lines in order."""
        found: list[Line] = []
        root = self._facing(self.task.compiled.root_name, draft.data)
        for number, name in enumerate(_members(root, draft.data)):
            found += self._lines(root, draft.data, name, "", (0, number))
        return found

    def node(self, data: Json, pointer: str) -> SchemaNode:
        """Return the node that a value at a pointer answers to."""
        name: Name | None = self.task.compiled.root_name
        for part in parts(pointer):
            node = self._facing(name, data)
            if isinstance(data, list):
                index = int(part)
                name, data = self._walk.item(node, index), data[index] if index < len(data) else None
            else:
                name, data = self._walk.member(node, part), data.get(part) if isinstance(data, Mapping) else None
        return self._facing(name, data)

    def blank(self, data: Json, pointer: str, member: str | None) -> Json:
        """Return what an item or entry begins as that is added at a pointer: null, an empty list or an object.

        Without a name, in what is null, that is the list or object itself.
        """
        node, value = self.node(data, pointer), at(data, pointer)
        if isinstance(value, list):
            return self._begun(self._walk.item(node, len(value)))
        if member is not None:
            return self._begun(self._walk.member(node, member))
        return [self._begun(self._walk.item(node, 0))] if _kind(node, None) == "list" else {}

    @property
    def _walk(self) -> Walk:
        return self.task.walk

    def _begun(self, name: Name | None) -> Json:
        kind = _kind(self._facing(name, None), None)
        return {"list": [], "object": {}}.get(kind)

    def _lines(
        self, parent: SchemaNode, data: Json, key: str | int, above: str, place: tuple[int, int]
    ) -> Iterator[Line]:
        """Yield the line of a member or item, and of all in it. `place` is its depth and the number of its field."""
        is_item = isinstance(key, int)
        name = self._walk.item(parent, key) if isinstance(key, int) else self._walk.member(parent, key)
        value = data[key] if isinstance(key, int) else data.get(key)
        node, pointer = self._facing(name, value), f"{above}/{escape_pointer(str(key))}"
        label = str(key + 1) if isinstance(key, int) else node.annotations.title or str(key)
        removable = is_item or key not in parent.properties
        missing = not is_item and value is None and key in parent.required and not node.nullable
        kind = _kind(node, value)
        yield Line(pointer, label, place[0], kind, place[1], node, value, removable, missing)
        inside: list[str] | range = range(len(value)) if isinstance(value, list) else _members(node, value)
        for each in inside if kind != "value" and value is not None else ():
            yield from self._lines(node, value, each, pointer, (place[0] + 1, place[1]))

    def _facing(self, name: Name | None, value: Json) -> SchemaNode:
        """Return the node that a value answers to; for null the first that has something to fill in."""
        if name is None:
            return UNKNOWN
        if value is not None:
            return self._walk.settle(name, value)
        node = self.task.compiled[name]
        return next((option for option in self.task.compiled.options(node) if option.kinds), node)


def _members(node: SchemaNode, value: Json) -> list[str]:
    """Return the members of an object in the order of the schema, those that it does not name last."""
    return list(dict.fromkeys((*node.properties, *(value if isinstance(value, Mapping) else ()))))


def _kind(node: SchemaNode, value: Json) -> Kind:
    if isinstance(value, list) or (value is None and node.kinds == ("array",)):
        return "list"
    return "object" if isinstance(value, Mapping) or (value is None and node.kinds == ("object",)) else "value"
