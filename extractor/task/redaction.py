"""Sensitive values (`x-sensitive`) are replaced by `***`, for logs, reports and `--redact`.

What is below a sensitive property is sensitive as well, and so is what one alternative of several calls so. Places
stay: they name ranges of the document, not its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from extractor.data import Json, Record
from extractor.task.schema_node import Name, SchemaNode
from extractor.task.task import Task
from extractor.task.walk import Walk
from extractor.text.json_pointer import unescape_pointer

MASK = "***"


def redact(record: Record, task: Task) -> Record:
    """Return the record without its sensitive values: in data, normalized, in conflicts and in what was withheld."""
    if record.data is None:
        return record
    masker = _Masker(task.walk)
    conflicts = {
        pointer: tuple(replace(other, value=masker.beside(other.value, pointer)) for other in others)
        for pointer, others in record.conflicts.items()
    }
    withheld = tuple(
        replace(each, value=masker.beside(each.value, f"/{each.field}")) for each in record.provenance.withheld
    )
    normalized = {pointer: str(masker.beside(form, pointer)) for pointer, form in record.normalized.items()}
    provenance = replace(record.provenance, withheld=withheld)
    data = mask(record.data, task)
    return replace(record, data=data, normalized=normalized, conflicts=conflicts, provenance=provenance)


def mask(data: Mapping[str, Json], task: Task) -> dict[str, Json]:
    """Return the data with `***` for each sensitive value that is not null."""
    masked: dict[str, Json] = _Masker(task.walk).mask(data, (task.compiled.root_name,))
    return masked


class _Masker:
    """Masks values. A value is followed through all alternatives at once: what any of them calls sensitive is."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._schema = walk.schema

    def mask(self, value: Json, names: Iterable[Name], sensitive: bool = False) -> Json:
        nodes = list(self._options(names))
        sensitive = sensitive or any(node.annotations.sensitive for node in nodes)
        if isinstance(value, Mapping):
            return {key: self.mask(item, self._members(nodes, key), sensitive) for key, item in value.items()}
        if isinstance(value, list):
            return [self.mask(item, self._items(nodes, index), sensitive) for index, item in enumerate(value)]
        return MASK if sensitive and value is not None else value

    def beside(self, value: Json, pointer: str) -> Json:
        """Mask a value that is kept beside the data. Its pointer may leave out list indices."""
        names: list[Name] = [self._schema.root_name]
        sensitive = False
        for part in pointer.split("/")[1:]:
            nodes = list(self._options(names))
            sensitive = sensitive or any(node.annotations.sensitive for node in nodes)
            names = self._below(nodes, unescape_pointer(part))
        if not isinstance(value, list):
            names = [*names, *self._items(list(self._options(names)), 0)]
        return self.mask(value, names, sensitive)

    def _below(self, nodes: list[SchemaNode], part: str) -> list[Name]:
        """Return the nodes one step down: a member, or an item whose index may have been left out."""
        found = self._members(nodes, part)
        if part.isdecimal():
            found += self._items(nodes, int(part))
        seen: set[Name] = set()
        while not found:
            items = [name for name in self._items(nodes, 0) if name not in seen]
            if not items:
                return []
            seen.update(items)
            nodes = list(self._options(items))
            found = self._members(nodes, part)
        return found

    def _options(self, names: Iterable[Name]) -> Iterable[SchemaNode]:
        """Yield nodes and all their alternatives."""
        for name in names:
            node = self._schema[name]
            yield node
            yield from self._options(node.alternatives)

    def _members(self, nodes: list[SchemaNode], name: str) -> list[Name]:
        return [sub for node in nodes if (sub := self._walk.member(node, name)) is not None]

    def _items(self, nodes: list[SchemaNode], index: int) -> list[Name]:
        found = [sub for node in nodes if (sub := self._walk.item(node, index)) is not None]
        return list(dict.fromkeys(found))
