"""A normalized schema becomes a graph of nodes (`schema_node`): the one place where keywords are read.

A node is made for a set of places in the schema that hold together: a place, what its `$ref` and `allOf` lead to, and
a chosen branch of each `anyOf` or `oneOf`. It is named by that set, so what is referred to twice is one node, and a
schema that refers to itself gives a cycle of names. Size and time grow with the schema, not with its depth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from extractor.data import Ground, Json, Normalization, Ungrounded
from extractor.errors import SchemaError
from extractor.task.schema_node import TYPES, Annotations, Bounds, CompiledSchema, Name, SchemaNode, refuse
from extractor.task.schema_source import NOTHING, Schema, SchemaSource, pointer_of
from extractor.text.json_pointer import escape_pointer

MOST_NODES = 100_000
"""A schema whose alternatives combine to more is refused."""

MOST_COMBINED = 64
"""Branches of alternatives that hold together are combined up to so many; beyond that the validator alone decides."""

DEEPEST_ANYTHING = 8
"""Lists and objects inside of each other where a schema says nothing. JSON goes on for ever, and a model with it."""

_SCALARS = frozenset(("null", "boolean", "integer", "number", "string"))

SAME_VALUE = ("allOf", "anyOf", "oneOf")
"""Keywords whose schemas are about the very value that the schema is about."""

UNEXPRESSED = (
    *("not", "if", "dependentRequired", "dependentSchemas", "contains", "propertyNames", "minProperties"),
    *("maxProperties", "unevaluatedProperties", "unevaluatedItems"),
)
"""Keywords that only the validator knows."""

_OF_OBJECTS = (
    *("properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties"),
    *("propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
)
_OF_LISTS = ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems")
_OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_OF_STRINGS = ("pattern", "format", "minLength", "maxLength")
_IMPLIED = {"object": _OF_OBJECTS, "array": _OF_LISTS, "number": _OF_NUMBERS, "string": _OF_STRINGS}

Places = tuple[str, ...]
"""Pointers of schemas that hold together, in the order in which they count for annotations."""


def compile_schema(source: SchemaSource) -> CompiledSchema:
    """Compile a schema. Raises SchemaError, with the place, for one that refers to itself without an end."""
    _check_cycles(source)
    compiler = _Compiler(source)
    root = compiler.node(("",))
    return CompiledSchema(root, compiler.finish())


def _check_cycles(source: SchemaSource) -> None:
    """Raise SchemaError where a schema is said to be itself: checking a value would go round without an end."""
    done: set[str] = set()
    for start in source.by_pointer:
        stack: list[tuple[str, Iterator[str]]] = [(start, _same_value(source, start))] if start not in done else []
        on_path = {start} if stack else set()
        while stack:
            pointer, following = stack[-1]
            step = next(following, None)
            if step is None:
                stack.pop()
                on_path.discard(pointer)
                done.add(pointer)
            elif step in on_path:
                raise refuse(step, "it refers to itself without an end")
            elif step not in done:
                on_path.add(step)
                stack.append((step, _same_value(source, step)))


def _same_value(source: SchemaSource, pointer: str) -> Iterator[str]:
    """Yield the schemas that are checked on the same value as this one."""
    schema = source.at(pointer)
    if "$ref" in schema:
        yield pointer_of(schema["$ref"])
    for keyword in SAME_VALUE:
        yield from (f"{pointer}/{keyword}/{index}" for index in range(len(schema.get(keyword, ()))))
    for keyword in ("not", "if", "then", "else"):
        if keyword in schema and schema is not NOTHING:
            yield f"{pointer}/{keyword}"


class _Compiler:
    """Makes nodes. A node waits in a list until it is made, so depth costs no stack."""

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self._names: dict[tuple[frozenset[str], frozenset[str]], Name] = {}
        self._waiting: list[tuple[Name, Places, frozenset[str]]] = []
        self._nodes: dict[Name, SchemaNode] = {}

    def node(self, places: Iterable[str], decided: frozenset[str] = frozenset()) -> Name:
        """Return the name of the node for places that hold together, `decided` being alternatives that were chosen."""
        together = self._together(places)
        relevant = frozenset(group for group in decided if group.rpartition("/")[0] in together)
        key = frozenset(together), relevant
        if key not in self._names:
            if len(self._names) >= MOST_NODES:
                raise SchemaError(f"The schema combines its alternatives in more than {MOST_NODES:,} ways.")
            self._names[key] = name = f"n{len(self._names)}"
            self._waiting.append((name, together, relevant))
        return self._names[key]

    def finish(self) -> Mapping[Name, SchemaNode]:
        """Make all nodes that were named."""
        while self._waiting:
            name, places, decided = self._waiting.pop()
            self._nodes[name] = self._make(name, places, decided)
        return self._nodes

    def _together(self, places: Iterable[str]) -> Places:
        """Return places with all that their references and `allOf` lead to; what refers comes before its target."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = list(places)[::-1]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            schema = self._source.at(place)
            if schema.keys() != {"$ref"}:  # a mere reference is what it refers to
                found[place] = None
            more = [f"{place}/allOf/{index}" for index in range(len(schema.get("allOf", ())))]
            if "$ref" in schema:
                more.append(pointer_of(schema["$ref"]))
            waiting += more[::-1]
        return tuple(found)

    def _make(self, name: Name, places: Places, decided: frozenset[str]) -> SchemaNode:
        schemas = [self._source.at(place) for place in places]
        groups = [
            (place, keyword)
            for place, schema in zip(places, schemas, strict=True)
            for keyword in ("anyOf", "oneOf")
            if keyword in schema and f"{place}/{keyword}" not in decided
        ]
        alternatives = self._alternatives(places, groups, decided)
        values = _values(schemas)
        types, stated = _types(schemas, values)
        if stated and values is not None:
            values = tuple(value for value in values if _type_of(value) in types) or values
        if alternatives and not stated and values is None:
            types = frozenset(TYPES)  # the alternatives say
        inside = _inside(self._source, places)
        if inside is None and not stated and values is None:
            types &= _SCALARS
        if alternatives or values is not None:
            inside = None  # what is in them, these say
        return SchemaNode(
            name,
            places,
            types,
            stated,
            values,
            _bounds(schemas),
            _annotations(schemas),
            alternatives=alternatives,
            unexpressed=_unexpressed(schemas, groups, bool(alternatives)),
            **self._members(places, schemas, inside if "object" in types else None),
            **self._items(places, schemas, inside if "array" in types else None),
        )

    def _alternatives(self, places: Places, groups: list[tuple[str, str]], decided: frozenset[str]) -> tuple[Name, ...]:
        """Return a node for each branch of the first alternatives that are not chosen yet."""
        if not groups:
            return ()
        ways = 1
        for place, keyword in groups:
            ways *= len(self._source.at(place)[keyword])
        chosen = groups if ways > MOST_COMBINED else groups[:1]
        place, keyword = groups[0]
        now = decided | {f"{at}/{word}" for at, word in chosen}
        branches = range(len(self._source.at(place)[keyword]))
        return tuple(dict.fromkeys(self.node((*places, f"{place}/{keyword}/{index}"), now) for index in branches))

    def _members(self, places: Places, schemas: list[Schema], inside: str | None) -> dict[str, Json]:
        """Return what a node says of an object's members; where that is nothing, they are what is `inside`."""
        parts: dict[str, list[str]] = {}
        patterns: dict[str, list[str]] = {}
        additional: list[str] = []
        for place, schema in zip(places, schemas, strict=True):
            for property_name in schema.get("properties", {}):
                parts.setdefault(property_name, []).append(f"{place}/properties/{escape_pointer(property_name)}")
            for pattern in schema.get("patternProperties", {}):
                patterns.setdefault(pattern, []).append(f"{place}/patternProperties/{escape_pointer(pattern)}")
            if isinstance(schema.get("additionalProperties"), Mapping):
                additional.append(f"{place}/additionalProperties")
        closed = any(schema.get("additionalProperties") is False for schema in schemas)
        required = dict.fromkeys(each for schema in schemas for each in schema.get("required", ()))
        if not closed and not patterns:  # what is required and nowhere described may be anything
            for missing in (each for each in required if each not in parts):
                parts[missing] = list(additional) or [self._source.anything]
        if inside is not None and not (parts or patterns or additional):
            additional.append(inside)
        return {
            "properties": {each: self.node(found) for each, found in parts.items()},
            "required": frozenset(required),
            "additional": self.node(additional) if additional and not closed else None,
            "closed": closed,
            "pattern_properties": {each: self.node(found) for each, found in patterns.items()},
        }

    def _items(self, places: Places, schemas: list[Schema], inside: str | None) -> dict[str, Json]:
        """Return what a node says of a list's items; where that is nothing, they are what is `inside`."""
        longest = max((len(schema.get("prefixItems", ())) for schema in schemas), default=0)
        prefix: list[list[str]] = [[] for _ in range(longest)]
        items: list[str] = []
        for place, schema in zip(places, schemas, strict=True):
            own = len(schema.get("prefixItems", ()))
            for index in range(longest):
                if index < own:
                    prefix[index].append(f"{place}/prefixItems/{index}")
                elif isinstance(schema.get("items"), Mapping):
                    prefix[index].append(f"{place}/items")
            if isinstance(schema.get("items"), Mapping):
                items.append(f"{place}/items")
        no_more = any(schema.get("items") is False for schema in schemas)
        if inside is not None and not (items or longest or no_more):
            items.append(inside)
        return {
            "prefix": tuple(self.node(found) for found in prefix),
            "items": self.node(items) if items else None,
            "no_more_items": no_more,
        }


def _inside(source: SchemaSource, places: Places) -> str | None:
    """Return the place of what is in a list or object of which nothing is said; None where there is no room for it."""
    depth = max((place.count("/") for place in places if source.is_anything(place)), default=-1) + 1
    return source.anything + "/in" * depth if depth <= DEEPEST_ANYTHING else None


def _values(schemas: list[Schema]) -> tuple[Json, ...] | None:
    """Return the values that `enum` and `const` of all schemas leave, null included; None where there are none."""
    lists = [schema["enum"] for schema in schemas if "enum" in schema]
    lists += [[schema["const"]] for schema in schemas if "const" in schema]
    if not lists:
        return None
    known = [{equality_key(value) for value in each} for each in lists[1:]]
    return tuple(value for value in lists[0] if all(equality_key(value) in each for each in known))


def equality_key(value: Json) -> str:
    """Return a key that two values share if they are equal as JSON: 1 and 1.0, but not 1 and true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _types(schemas: list[Schema], values: tuple[Json, ...] | None) -> tuple[frozenset[str], bool]:
    """Return the types that are left, and whether they are named; what names none is told by its other keywords.

    What these do not tell either may be anything.
    """
    if any(schema is NOTHING for schema in schemas):
        return frozenset(("null",)), True
    named = [_spread(schema["type"]) for schema in schemas if "type" in schema]
    if named:
        return frozenset.intersection(*named), True
    if values is not None:
        return frozenset(_type_of(value) for value in values), False
    implied = [kind for kind, words in _IMPLIED.items() if any(word in schema for schema in schemas for word in words)]
    return _spread(implied or list(TYPES)), False


def _spread(types: str | list[str]) -> frozenset[str]:
    """Return a set of types in which a number may be an integer as well."""
    names = {types} if isinstance(types, str) else set(types)
    return frozenset(names | ({"integer"} if "number" in names else set()))


def _type_of(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    kinds = {str: "string", float: "number", list: "array", dict: "object", type(None): "null"}
    return kinds[type(value)]


def _bounds(schemas: list[Schema]) -> Bounds:
    def most(keyword: str) -> Json:
        return max((schema[keyword] for schema in schemas if keyword in schema), default=None)

    def least(keyword: str) -> Json:
        return min((schema[keyword] for schema in schemas if keyword in schema), default=None)

    def every(keyword: str) -> tuple[Json, ...]:
        return tuple(dict.fromkeys(schema[keyword] for schema in schemas if keyword in schema))

    unique = [schema["uniqueItems"] for schema in schemas if "uniqueItems" in schema]
    return Bounds(
        min_length=_whole(most("minLength")),
        max_length=_whole(least("maxLength")),
        patterns=every("pattern"),
        formats=every("format"),
        minimum=most("minimum"),
        maximum=least("maximum"),
        exclusive_minimum=most("exclusiveMinimum"),
        exclusive_maximum=least("exclusiveMaximum"),
        multiples=every("multipleOf"),
        min_items=_whole(most("minItems")),
        max_items=_whole(least("maxItems")),
        unique_items=any(unique) if unique else None,
    )


def _whole(count: Json) -> int | None:
    return None if count is None else int(count)


def _annotations(schemas: list[Schema]) -> Annotations:
    """Of what is said several times the first counts: what refers overrides what it refers to."""

    def first(keyword: str) -> Json:
        return next((schema[keyword] for schema in schemas if keyword in schema), None)

    return Annotations(
        title=str(first("title") or ""),
        description=str(first("description") or ""),
        ground=cast(Ground | None, first("x-ground")),
        ungrounded=cast(Ungrounded | None, first("x-ungrounded")),
        sensitive=any(schema.get("x-sensitive") is True for schema in schemas),
        any_border=first("x-border") == "any",
        normalize=cast(Normalization | None, first("x-normalize")),
        ref=cast(str | None, first("x-ref")),
    )


def _unexpressed(schemas: list[Schema], groups: list[tuple[str, str]], several: bool) -> tuple[str, ...]:
    found = [keyword for keyword in UNEXPRESSED for schema in schemas if _says(schema, keyword)]
    if several and len(groups) > 1:
        found += [keyword for _, keyword in groups[1:]]
    return tuple(dict.fromkeys(found))


def _says(schema: Schema, keyword: str) -> bool:
    """Tell whether a keyword is there and excludes anything."""
    return keyword in schema and schema[keyword] is not True and schema[keyword] not in ({}, 0)
