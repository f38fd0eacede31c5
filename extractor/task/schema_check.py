"""Whether a compiled schema can be used at all: of an object with fields, and satisfiable.

A schema that nothing can satisfy is refused when it is loaded, by keyword and place, not document by document. Of
several alternatives those that nothing can satisfy are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import regex

from extractor.data import GROUNDS, NORMALIZATIONS, UNGROUNDED
from extractor.errors import SchemaError
from extractor.task.schema_node import CompiledSchema, Name, SchemaNode, refuse
from extractor.task.schema_source import SchemaSource
from extractor.task.validation import search_pattern
from extractor.text.json_pointer import ANY_ITEM, steps

LONGEST_PATTERN = 10_000

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "x-ground": GROUNDS,
    "x-ungrounded": UNGROUNDED,
    "x-border": ("word", "any"),
    "x-normalize": NORMALIZATIONS,
}


def checked(source: SchemaSource, compiled: CompiledSchema) -> CompiledSchema:
    """Return a schema without the alternatives that nothing can satisfy.

    Raises SchemaError, with keyword and place, for one that cannot be used.
    """
    _check_annotations(source)
    _check_patterns(source)
    root = compiled.root
    if "object" not in root.types:
        raise SchemaError(f'The schema\'s type must be "object", not {root.type!r}.')
    if not any(_describes(source, node) for node in compiled.options(root)):
        raise SchemaError(
            'A schema describes an object: {"type": "object", "properties": {"手机号": {"type": "string"}}}'
        )
    _check_required(source, compiled)
    _check_references(compiled)
    return _satisfiable(compiled)


def _describes(source: SchemaSource, node: SchemaNode) -> bool:
    """Tell whether an object has fields, or is said to be a map. One of which nothing is said may be a slip."""
    return bool(node.properties or node.pattern_properties) or (_says_more(source, node) and not node.closed)


def _says_more(source: SchemaSource, node: SchemaNode) -> bool:
    """Tell whether the schema says a word about members that no property describes."""
    return any("additionalProperties" in source.at(place) for place in node.sources)


def _check_required(source: SchemaSource, compiled: CompiledSchema) -> None:
    """Refuse a required field that is described nowhere: a slip, unless the schema says that there are others."""
    root = compiled.root
    if root.alternatives or _says_more(source, root):
        return
    for name in sorted(root.required & root.properties.keys()):
        if compiled[root.properties[name]].sources == (source.anything,):
            what = f"required names {name!r}, which no property describes"
            raise refuse(_place(root), f"{what}: describe it, or say additionalProperties: true for any value")


def _check_annotations(source: SchemaSource) -> None:
    for pointer, schema in source.by_pointer.items():
        for keyword, values in _CHOICES.items():
            if keyword in schema and schema[keyword] not in values:
                raise refuse(pointer, f"{keyword} is {schema[keyword]!r}; it must be one of {', '.join(values)}")
        if not str(schema.get("x-ref", "/")).startswith("/") or not isinstance(schema.get("x-ref", ""), str):
            raise refuse(pointer, f"x-ref is {schema['x-ref']!r}; it must be a pointer to values, as /实体/*/名称")
        for keyword in ("x-normalize", "x-ref"):
            if keyword in schema and schema.get("type") in ("array", "object", "boolean"):
                raise refuse(pointer, f"{keyword} is for text and numbers: say it of the items or properties inside")


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


def _satisfiable(compiled: CompiledSchema) -> CompiledSchema:
    """Leave out alternatives that nothing can satisfy; refuse what cannot be satisfied and is no alternative.

    What can be satisfied grows from the leaves up until nothing is added (a least fixed point), so a required object
    that requires itself without an end is not among it: no finite value is one.
    """
    wrong = {node.name: what for node in compiled.nodes.values() if (what := next(_contradictions(node), ""))}
    met: set[str] = set()
    grown = True
    while grown:
        left = (node for node in compiled.nodes.values() if node.name not in met and node.name not in wrong)
        added = {node.name for node in left if _is_met(node, met)}
        met |= added
        grown = bool(added)
    kept = CompiledSchema(compiled.root_name, {name: _without(node, met) for name, node in compiled.nodes.items()})
    reached = list(kept.reachable(kept.root_name))
    for node in sorted(reached, key=lambda node: node.name not in wrong):
        if node.name in wrong:
            raise refuse(_place(node), wrong[node.name])
        if node.name not in met:
            raise refuse(_place(node), "it requires itself without an end, so nothing can satisfy it")
    return kept


def _without(node: SchemaNode, met: Set[str]) -> SchemaNode:
    """Return a node with those of its alternatives that can be satisfied, or all where none can."""
    kept = tuple(name for name in node.alternatives if name in met)
    return replace(node, alternatives=kept) if kept and len(kept) < len(node.alternatives) else node


def _is_met(node: SchemaNode, met: Set[str]) -> bool:
    if node.alternatives:
        return any(name in met for name in node.alternatives)
    if node.types - {"object", "array"}:
        return True
    if "array" in node.types and not (node.bounds.min_items and node.items and node.items not in met):
        return True
    return "object" in node.types and all(
        node.properties[name] in met for name in node.required if name in node.properties
    )


def _check_references(compiled: CompiledSchema) -> None:
    """Refuse a reference (`x-ref`) that leads to no scalar of the schema."""
    for node in compiled.nodes.values():
        if node.annotations.ref and not _leads_to_scalar(compiled, compiled.root_name, steps(node.annotations.ref)):
            what = "leads to no text or number of the schema; lists have a * for their items, as /实体/*/名称"
            raise refuse(_place(node), f"x-ref {node.annotations.ref!r} {what}")


def _leads_to_scalar(compiled: CompiledSchema, name: Name | None, parts: Sequence[str]) -> bool:
    if name is None:
        return False
    options = list(compiled.options(compiled[name]))
    if not parts:
        return any({"string", "integer", "number"} & set(option.kinds) for option in options)
    found = [option.properties.get(parts[0], option.additional) for option in options]
    found += [inner for option in options for inner in (*option.prefix, option.items) if parts[0] == ANY_ITEM]
    return any(_leads_to_scalar(compiled, inner, parts[1:]) for inner in found)


def _place(node: SchemaNode) -> str:
    return next(iter(node.sources), "")
