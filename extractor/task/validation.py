"""The last word on data: `jsonschema`, on the schema as it was written.

Three things are not jsonschema's own. Patterns are matched by an engine that can be stopped, so that one that
backtracks without an end is an error of its document and no hang. Moments without a time zone are moments. And for a
part of a document, or some of the fields, what must hold only for the whole is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from functools import cached_property
from typing import Any, cast

import jsonschema
import referencing
import regex
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from extractor.data import Json
from extractor.task.schema_node import SchemaNode
from extractor.task.schema_source import Schema, SchemaSource, uri_of

PATTERN_SECONDS = 1.0
"""What matching one pattern against one value may take."""

_MOST_HALVINGS = 7
_TIMEOUTS: Counter[str] = Counter()
"""How often each pattern of a schema ran out of time in this process."""

OF_THE_WHOLE = (
    *("required", "dependentRequired", "dependentSchemas", "if", "not", "contains", "minProperties", "minItems"),
    *("unevaluatedProperties", "unevaluatedItems"),
)
"""Keywords that a part of a document may break though the whole keeps them."""

TOO_SLOW = "takes too long to check: simplify the pattern"


def _pattern(validator: Any, pattern: str, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, str):
        found = search_pattern(pattern, instance)
        if found is None:
            yield ValidationError(TOO_SLOW)
        elif not found:
            yield ValidationError("does not match")


def search_pattern(pattern: str, text: str) -> bool | None:
    """Tell whether a pattern occurs in a text; None where that takes too long.

    Each time that a pattern runs out of time it gets half as much from then on, so that hundreds of items cost seconds.
    """
    try:
        return (
            regex.search(pattern, text, timeout=PATTERN_SECONDS / 2 ** min(_TIMEOUTS[pattern], _MOST_HALVINGS))
            is not None
        )
    except TimeoutError:
        _TIMEOUTS[pattern] += 1
        return None


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Json], instance: Json, schema: Schema
) -> Iterator[ValidationError]:
    for name, value in instance.items() if isinstance(instance, Mapping) else ():
        for pattern, sub in patterns.items():
            found = search_pattern(pattern, name)
            if found is None:
                yield ValidationError(TOO_SLOW)
            elif found:
                yield from validator.descend(value, sub, path=name, schema_path=pattern)


def _additional_properties(validator: Any, sub: Json, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [
        name for name in instance if name not in known and not any(search_pattern(each, name) for each in patterns)
    ]
    if isinstance(sub, Mapping):
        for name in extras:
            yield from validator.descend(instance[name], sub, path=name)
    elif sub is False:
        for name in extras:
            yield ValidationError("is not known to the schema", path=[name])


def _any_of_one(validator: Any, branches: list[Json], instance: Json, schema: Schema) -> Iterator[ValidationError]:
    """Of a part several branches may hold that exclude each other in the whole."""
    yield from Draft202012Validator.VALIDATORS["anyOf"](validator, branches, instance, schema)


def _nothing(validator: Any, value: Json, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    return iter(())


_Whole: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)
_Part: Any = validators.extend(  # type: ignore[no-untyped-call]
    _Whole, {**dict.fromkeys(OF_THE_WHOLE, _nothing), "oneOf": _any_of_one}
)

FORMATS = FormatChecker(formats=())
FORMATS.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)
"""All formats that jsonschema checks, but for moments, which need not name a time zone."""


@FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: Json) -> bool:
    return not isinstance(value, str) or (len(value) > 10 and datetime.fromisoformat(value) is not None)


@FORMATS.checks("time", raises=ValueError)
def _is_time(value: Json) -> bool:
    return not isinstance(value, str) or (value[2:3] == ":" and time.fromisoformat(value) is not None)


class SchemaValidator:
    """Validates data and parts of data against one schema; with `part` on the terms of a part of a document.

    There every property is optional: another part may have what this one lacks.
    """

    def __init__(self, source: SchemaSource, *, part: bool = False) -> None:
        self.part = part
        self._source = source
        self._class: Any = _Part if part else _Whole

    @cached_property
    def _validator(self) -> Any:
        return self._class(cast(Json, self._source.document), registry=referencing.Registry(), format_checker=FORMATS)

    def errors(self, data: Json) -> Iterator[jsonschema.ValidationError]:
        """Yield what the schema has against data."""
        yield from self._validator.iter_errors(data)

    def accepts(self, node: SchemaNode, value: Json) -> bool:
        """Tell whether a value keeps to all that holds together in a node."""
        return bool(self._node(node).is_valid(value))

    def errors_of(self, node: SchemaNode, value: Json) -> Iterator[jsonschema.ValidationError]:
        """Yield what a node has against a value."""
        yield from self._node(node).iter_errors(value)

    def _node(self, node: SchemaNode) -> Any:
        places = [place for place in node.sources if place != self._source.anything]
        if places == [""]:
            return self._validator
        return self._validator.evolve(schema={"allOf": [{"$ref": uri_of(place)} for place in places]})
