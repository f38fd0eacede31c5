"""Whether a compiled schema can be used at all: of an object with fields, and satisfiable.

A schema that nothing can satisfy is refused when it is loaded, by keyword and place, not document by document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import regex

from extractor.data import GROUNDS, UNGROUNDED
from extractor.errors import SchemaError
from extractor.task.schema_node import CompiledSchema, SchemaNode, refuse
from extractor.task.schema_source import SchemaSource
from extractor.task.validation import search_pattern

LONGEST_PATTERN = 10_000

_CHOICES: Mapping[str, tuple[str, ...]] = {"x-ground": GROUNDS, "x-ungrounded": UNGROUNDED, "x-border": ("word", "any")}


def check_schema(source: SchemaSource, compiled: CompiledSchema) -> None:
    """Raise SchemaError, with keyword and place, for a schema that cannot be used."""
    _check_annotations(source)
    _check_patterns(source)
    root = compiled.root
    if "object" not in root.types or (root.stated and root.types != {"object"} and root.types != {"object", "null"}):
        raise SchemaError(f'The schema\'s type must be "object", not {root.type!r}.')
    if not any(node.properties for node in compiled.options(root)):
        raise SchemaError(
            'A schema describes an object: {"type": "object", "properties": {"手机号": {"type": "string"}}}'
        )
    for node in compiled.nodes.values():
        for what in _contradictions(node):
            raise refuse(_place(node), what)
    _check_satisfiable(compiled)


def _check_annotations(source: SchemaSource) -> None:
    for pointer, schema in source.by_pointer.items():
        for keyword, values in _CHOICES.items():
            if keyword in schema and schema[keyword] not in values:
                raise refuse(pointer, f"{keyword} is {schema[keyword]!r}; it must be one of {', '.join(values)}")


def _check_patterns(source: SchemaSource) -> None:
    """Refuse patterns that do not compile. How long they take to match is bounded where they are matched."""
    for pointer, schema in source.by_pointer.items():
        own = [schema["pattern"]] if "pattern" in schema else []
        for pattern in (*own, *schema.get("patternProperties", {})):
            if len(pattern) > LONGEST_PATTERN:
                raise refuse(pointer, f"a pattern has more than {LONGEST_PATTERN:,} characters")
            try:
                regex.compile(pattern)
            except (regex.error, OverflowError, RecursionError) as error:
                raise refuse(pointer, f"pattern {pattern[:60]!r} is not a regular expression ({error})") from error


def _contradictions(node: SchemaNode) -> Iterator[str]:
    """Yield what no value can satisfy about this very node."""
    bounds = node.bounds
    if node.values is not None and not node.values:
        yield "enum leaves no value"
    if not node.types:
        yield "type leaves no type: what holds together asks for different ones"
    for word, least, most in (
        ("Length", bounds.min_length, bounds.max_length),
        ("Items", bounds.min_items, bounds.max_items),
    ):
        if least is not None and most is not None and least > most:
            yield f"min{word} ({least}) is greater than max{word} ({most})"
    if bounds.minimum is not None and bounds.maximum is not None and bounds.minimum > bounds.maximum:
        yield f"minimum ({bounds.minimum:g}) is greater than maximum ({bounds.maximum:g})"
    if "object" in node.types and node.closed and node.properties:
        yield from (f"required names {name!r}, which no property describes" for name in sorted(_undescribed(node)))


def _undescribed(node: SchemaNode) -> Iterator[str]:
    """Yield required names that a closed object cannot have."""
    for name in node.required - node.properties.keys():
        if all(search_pattern(pattern, name) is False for pattern in node.pattern_properties):
            yield name


def _check_satisfiable(compiled: CompiledSchema) -> None:
    """Refuse a required object that requires itself without an end: no finite value is one.

    What can be satisfied grows from the leaves up until nothing is added (a least fixed point).
    """
    satisfiable: set[str] = set()
    grown = True
    while grown:
        left = (node for node in compiled.nodes.values() if node.name not in satisfiable)
        added = {node.name for node in left if _is_met(node, satisfiable)}
        satisfiable |= added
        grown = bool(added)
    for node in compiled.nodes.values():
        if node.name not in satisfiable:
            raise refuse(_place(node), "it requires itself without an end, so nothing can satisfy it")


def _is_met(node: SchemaNode, satisfiable: set[str]) -> bool:
    if node.alternatives:
        return any(name in satisfiable for name in node.alternatives)
    if node.types - {"object", "array"}:
        return True
    if "array" in node.types and not (node.bounds.min_items and node.items and node.items not in satisfiable):
        return True
    return "object" in node.types and all(
        node.properties[name] in satisfiable for name in node.required if name in node.properties
    )


def _place(node: SchemaNode) -> str:
    return next(iter(node.sources), "")
