"""A JSON Schema compiled once: a graph of frozen nodes, each of which says all that holds for one value.

`$ref` and `allOf` are resolved when a node is made (`schema_compile`), so a node never refers: its children are names
of other nodes, and recursion is a cycle of names. Everything that interprets a schema (answer grammar, answer schema,
coercion, redaction, column types, field groups, the walk over values) is a fold over these nodes and handles no
keyword itself. What a value must be in the end is for `validation` to say, which sees the schema as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from extractor.data import Ground, Json, Normalization, Ungrounded
from extractor.errors import SchemaError

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
DATE_FORMATS = ("date", "date-time", "time", "duration")

_CLOCK = r"[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?(Z|[+\-][0-2][0-9]:[0-5][0-9])?"
MOMENTS = {
    "date-time": rf"^[0-9]{{4}}-[01][0-9]-[0-3][0-9]T{_CLOCK}$",
    "time": rf"^{_CLOCK}$",
    "duration": r"^P[0-9YMWDTHS.]{2,24}$",
}
"""Patterns of moments that need not name a time zone (one without stays without), and of lengths of time that end."""

Name = str
"""The name of a node within its schema."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What bounds a value of its type; None where nothing does. `patterns` and `multiples` must all hold."""

    min_length: int | None = None
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiples: tuple[float, ...] = ()
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool | None = None


@dataclass(frozen=True, slots=True)
class Annotations:
    """What is said of a value besides what it must be."""

    title: str = ""
    description: str = ""
    ground: Ground | None = None
    ungrounded: Ungrounded | None = None
    sensitive: bool = False
    any_border: bool = False
    normalize: Normalization | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """All that holds for one value.

    `types` are the JSON types that it may have (integers apart from other numbers); `stated` says whether the schema
    names them, or they follow from its other keywords. `values` are those of `enum` and `const`, None where there is no
    such list. `alternatives` (of `anyOf`, `oneOf`) are nodes that hold in full: the rest of this node is part of each.
    `items` is None where no item is described, `additional` where no further property is. A list or object of which
    nothing is described holds anything: text, numbers, booleans, and lists and objects of these.
    `unexpressed` names keywords that only the validator knows (`not`, `if`, `contains`, ...). `sources` are the places
    in the schema, as JSON Pointers, that hold together here.
    """

    name: Name
    sources: tuple[str, ...]
    types: frozenset[str]
    stated: bool = True
    values: tuple[Json, ...] | None = None
    bounds: Bounds = Bounds()
    annotations: Annotations = Annotations()
    properties: Mapping[str, Name] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    additional: Name | None = None
    closed: bool = False
    pattern_properties: Mapping[str, Name] = field(default_factory=dict)
    prefix: tuple[Name, ...] = ()
    items: Name | None = None
    no_more_items: bool = False
    alternatives: tuple[Name, ...] = ()
    unexpressed: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        return "null" in self.types

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types beside null, in a fixed order; `number` stands for integers too."""
        found = self.types - {"null"}
        return tuple(kind for kind in TYPES if kind in found and not (kind == "integer" and "number" in found))

    @property
    def type(self) -> str:
        """The type that is asked for beside null, in one word: `enum`, a type, or several joined with ` or `.

        Where the schema says nothing it is `string`, as most of what is extracted is.
        """
        if self.values is not None and not self.stated:
            return "enum"
        if self.is_anything:
            return "string"
        return " or ".join(self.kinds) or "null"

    @property
    def is_anything(self) -> bool:
        """Whether the schema says nothing of the type of its values."""
        return self.nullable and not self.stated and self.values is None and not self.alternatives

    @property
    def is_map(self) -> bool:
        """Whether its members are named by the document, at least some of them."""
        return self.additional is not None or bool(self.pattern_properties)

    @property
    def ground(self) -> Ground:
        """How a scalar of this node must occur in the document."""
        if self.annotations.ground is not None:
            return self.annotations.ground
        if self.values is not None or set(self.kinds) <= {"boolean"}:
            return "none"
        if "string" not in self.kinds or any(each in DATE_FORMATS for each in self.bounds.formats):
            return "normalized"
        return "verbatim"


@dataclass(frozen=True, eq=False)
class CompiledSchema:
    """The nodes of a schema by name, and the one that the whole answers to."""

    root_name: Name
    nodes: Mapping[Name, SchemaNode]

    @cached_property
    def root(self) -> SchemaNode:
        return self.nodes[self.root_name]

    def __getitem__(self, name: Name) -> SchemaNode:
        return self.nodes[name]

    def reachable(self, *names: Name) -> Iterator[SchemaNode]:
        """Yield nodes and all that their values may consist of, each once."""
        waiting, seen = list(names), set(names)
        while waiting:
            node = self.nodes[waiting.pop()]
            yield node
            for child in children(node):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)

    def options(self, node: SchemaNode) -> Iterator[SchemaNode]:
        """Yield the nodes without alternatives that a value of this one may answer to: itself, or those inside it."""
        if not node.alternatives:
            yield node
        for name in node.alternatives:
            yield from self.options(self.nodes[name])

    def type_of(self, node: SchemaNode) -> str:
        """Return the type that is asked for beside null, in one word; of alternatives those of all."""
        words = dict.fromkeys(option.type for option in self.options(node))
        return " or ".join(word for word in words if word != "null") or "null"


def entries(node: SchemaNode) -> Iterator[Name]:
    """Yield the names of the nodes that the members of a map answer to, those that a document names."""
    yield from node.pattern_properties.values()
    if node.additional is not None:
        yield node.additional


def children(node: SchemaNode) -> Iterator[Name]:
    """Yield the names of the nodes that a node leads to."""
    yield from node.alternatives
    yield from node.properties.values()
    yield from entries(node)
    yield from node.prefix
    yield from () if node.items is None else (node.items,)


def refuse(pointer: str, what: str) -> SchemaError:
    """Return the error for a schema that cannot be used, with the place in it."""
    return SchemaError(f"The schema at {pointer or 'its top'}: {what}.")
