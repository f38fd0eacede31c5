"""Data and its schema side by side: which node a value answers to, and every scalar with what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from extractor.data import Ground, Json, Ungrounded
from extractor.task.schema_node import CompiledSchema, Name, SchemaNode
from extractor.task.validation import SchemaValidator, search_pattern
from extractor.text.json_pointer import escape_pointer

_TYPES: Mapping[type, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object", type(None): "null"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value inside data that is neither object nor array: where it is (JSON Pointer), and what is said of it."""

    pointer: str
    value: Json
    node: SchemaNode
    inherited: Ungrounded | None = None

    @property
    def ground(self) -> Ground:
        """How the value must occur: where the schema lets it be a number or text, what it is decides.

        An empty string that the schema allows in so many words (`minLength: 0`) occurs nowhere and says so.
        """
        if self.value == "" and self.node.bounds.min_length == 0:
            return "none"
        if self.node.annotations.ground is None and isinstance(self.value, int | float):
            return "none" if isinstance(self.value, bool) or self.node.values is not None else "normalized"
        return self.node.ground

    @property
    def title(self) -> str:
        return self.node.annotations.title

    @property
    def sensitive(self) -> bool:
        return self.node.annotations.sensitive

    @property
    def any_border(self) -> bool:
        return self.node.annotations.any_border

    @property
    def ungrounded(self) -> Ungrounded | None:
        """What the schema says is to be done with the value where it is not found; a list says it for its items."""
        return self.node.annotations.ungrounded or self.inherited


@dataclass(frozen=True)
class Walk:
    """Finds the node of each value.

    Of alternatives the first that accepts the value and describes all of it counts, as it is or without the nulls that
    stand for nothing; where none does, the one that it has most in common with.
    """

    schema: CompiledSchema
    validator: SchemaValidator

    def settle(self, name: Name, value: Json) -> SchemaNode:
        """Return the node without alternatives that a value answers to."""
        node = self.schema[name]
        if not node.alternatives:
            return node
        options = list(self.schema.options(node))
        loose: list[SchemaNode] = []
        for option in self.validator.accepting(options, value):
            if self._describes(option, value):
                return option
            loose.append(option)
        return max(loose or options, key=lambda option: self._affinity(option, value))

    def _describes(self, node: SchemaNode, value: Json) -> bool:
        """Tell whether a node says something of all members that a value has."""
        members = value.items() if isinstance(value, Mapping) else ()
        return all(item is None or self.member(node, member) is not None for member, item in members)

    def is_optional(self, node: SchemaNode, member: str) -> bool:
        """Tell whether null may stand for a member, because the object may be without it."""
        return self.validator.part or member not in node.required

    def member(self, node: SchemaNode, name: str) -> Name | None:
        """Return the node of an object's member; None where the schema says nothing of it."""
        if name in node.properties:
            return node.properties[name]
        for pattern, sub in node.pattern_properties.items():
            if search_pattern(pattern, name):
                return sub
        return node.additional

    def item(self, node: SchemaNode, index: int) -> Name | None:
        """Return the node of a list's item; None where the schema says nothing of it."""
        return node.prefix[index] if index < len(node.prefix) else node.items

    def without_nulls(self, value: Json, name: Name | None) -> Json:
        """Return a value without the members that are null for want of a value, at every depth.

        Such a one may be absent, or the schema does not say that it may be null.
        """
        if name is None or not isinstance(value, Mapping | list):
            return value
        node = self.settle(name, value)
        if isinstance(value, list):
            return [self.without_nulls(item, self.item(node, index)) for index, item in enumerate(value)]
        kept = {member: item for member, item in value.items() if item is not None or self._may_be_null(node, member)}
        return {member: self.without_nulls(item, self.member(node, member)) for member, item in kept.items()}

    def _may_be_null(self, node: SchemaNode, member: str) -> bool:
        """Tell whether null is a value of a member, not the want of one."""
        name = self.member(node, member)
        return not self.is_optional(node, member) and not (name is not None and self.schema[name].is_anything)

    def leaves(self, data: Json, name: Name | None = None) -> Iterator[Leaf]:
        """Yield all scalars of data in order, null ones included."""
        for each in self._visit("", data, self.schema.root_name if name is None else name, None):
            if not isinstance(each.value, Mapping | list | tuple):
                yield each

    def entries(self, data: Json) -> Iterator[str]:
        """Yield the pointers of the members that the schema does not name, which are those of maps."""
        for each in self._visit("", data, self.schema.root_name, None):
            if isinstance(each.value, Mapping):
                unnamed = (member for member in each.value if member not in each.node.properties)
                yield from (f"{each.pointer}/{escape_pointer(member)}" for member in unnamed)

    def _visit(self, pointer: str, value: Json, name: Name | None, passed: Ungrounded | None) -> Iterator[Leaf]:
        """Yield a value and all that is in it, each as a leaf is."""
        node = UNKNOWN if name is None else self.settle(name, value)
        yield Leaf(pointer, value, node, passed)
        passed = node.annotations.ungrounded or passed
        if isinstance(value, Mapping):
            for member, inner in value.items():
                yield from self._visit(f"{pointer}/{escape_pointer(member)}", inner, self.member(node, member), passed)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for index, inner in enumerate(value):
                yield from self._visit(f"{pointer}/{index}", inner, self.item(node, index), passed)

    def _affinity(self, node: SchemaNode, value: Json) -> tuple[int, int, int]:
        """Tell how near a value is to a node: by its type, the constants of its members, and the names of these."""
        fits = int(_TYPES.get(type(value), "") in node.types)
        if not isinstance(value, Mapping):
            return fits, 0, 0
        constants = 0
        for name, sub in node.properties.items():
            values = self.schema[sub].values
            if values is not None and name in value:
                constants += 1 if value[name] in values else -1
        return fits, constants, len(value.keys() & node.properties.keys())


UNKNOWN = SchemaNode("", (), frozenset(("string",)), stated=False)
"""What is said of a value that the schema does not name: text that is copied."""
