"""The last word on data: `jsonschema`, on the schema as it was written.

Three things are not jsonschema's own. Patterns are matched by an engine that can be stopped, so that one that
backtracks without an end is an error of its document and no hang. Moments without a time zone are moments. And for a
part of a document, or some of the fields, what must hold only for the whole is left out.

Which of several alternatives a value answers to is asked of it as a model writes it as well, with null for what there
is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, time
from functools import cached_property
from itertools import islice
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

FITS_NONE = "fits none of the alternatives"

DEEPEST_EXPLAINED = 3
"""Alternatives inside alternatives of which is said what each has against a value: there are as many as that power."""

_LEVEL: ContextVar[int] = ContextVar("level", default=0)
_VERDICTS: ContextVar[dict[tuple[type, int, int], bool]] = ContextVar("verdicts")
"""Which values fit which branches, by their ids: of one check, during which these do not change."""

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


def _explained(keyword: str) -> Any:
    """Return a check of alternatives that says what each has against a value; deep inside, only that none fits."""
    explain, judge = Draft202012Validator.VALIDATORS[keyword], {"anyOf": _one_fits, "oneOf": _only_one_fits}[keyword]

    def check(validator: Any, branches: list[Json], instance: Json, schema: Schema) -> Iterator[ValidationError]:
        level = _LEVEL.get()
        if level >= DEEPEST_EXPLAINED:
            yield from judge(validator, branches, instance, schema)
            return
        token = _LEVEL.set(level + 1)
        try:
            found = list(explain(validator, branches, instance, schema))
        finally:
            _LEVEL.reset(token)
        yield from found

    return check


def _given_properties(
    validator: Any, properties: Mapping[str, Json], instance: Json, schema: Schema
) -> Iterator[ValidationError]:
    """Of properties those that are null and need not be there are not."""
    required = schema.get("required", ())
    for name, sub in properties.items() if isinstance(instance, Mapping) else ():
        if name in instance and (instance[name] is not None or name in required):
            yield from validator.descend(instance[name], sub, path=name, schema_path=name)


def _given_additional(validator: Any, sub: Json, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, Mapping):
        instance = {name: value for name, value in instance.items() if value is not None}
    yield from _additional_properties(validator, sub, instance, schema)


def _given_required(
    validator: Any, required: Sequence[str], instance: Json, schema: Schema
) -> Iterator[ValidationError]:
    """Take what is required as given where it is not null, or is null and described beside."""
    described = schema.get("properties", {})
    for name in required if isinstance(instance, Mapping) else ():
        if instance.get(name) is None and (name not in instance or name not in described):
            yield ValidationError("is required")


def _nothing(validator: Any, value: Json, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    return iter(())


def _one_fits(validator: Any, branches: list[Json], instance: Json, schema: Schema) -> Iterator[ValidationError]:
    if not any(_fits(validator, branch, instance) for branch in branches):
        yield ValidationError(FITS_NONE)


def _only_one_fits(validator: Any, branches: list[Json], instance: Json, schema: Schema) -> Iterator[ValidationError]:
    fitting = sum(_fits(validator, branch, instance) for branch in branches)
    if fitting != 1:
        yield ValidationError("fits several alternatives" if fitting else FITS_NONE)


def _fits(validator: Any, branch: Json, instance: Json) -> bool:
    """Tell whether a value fits a branch, which is found out once: alternatives may lead to one another."""
    known, key = _VERDICTS.get(), (type(validator), id(branch), id(instance))
    if key not in known:
        known[key] = next(validator.descend(instance, branch), None) is None
    return known[key]


_Whole: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "anyOf": _explained("anyOf"),
        "oneOf": _explained("oneOf"),
    },
)
_Part: Any = validators.extend(  # type: ignore[no-untyped-call]
    _Whole, {**dict.fromkeys(OF_THE_WHOLE, _nothing), "oneOf": _explained("anyOf")}
)


def _judge(part: bool, nulls: bool) -> Any:
    """Return the class of validators that only say yes or no, with `nulls` of values with null for what there is not.

    They stop at the first thing that is wrong, where those that say what is wrong go through all alternatives.
    """
    changed: dict[str, Any] = {"anyOf": _one_fits, "oneOf": _one_fits if part else _only_one_fits}
    if nulls:
        changed |= {"properties": _given_properties, "additionalProperties": _given_additional}
        changed |= {} if part else {"required": _given_required}
    return validators.extend(_Part if part else _Whole, changed)  # type: ignore[no-untyped-call]


_JUDGES: Mapping[tuple[bool, bool], Any] = {
    (part, nulls): _judge(part, nulls) for part in (False, True) for nulls in (False, True)
}

FORMATS = FormatChecker(formats=())
FORMATS.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)
"""All formats that jsonschema checks, but for moments, which need not name a time zone."""


@FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: Json) -> bool:
    return not isinstance(value, str) or (len(value) > 10 and datetime.fromisoformat(value) is not None)


@FORMATS.checks("time", raises=ValueError)
def _is_time(value: Json) -> bool:
    return not isinstance(value, str) or (value[2:3] == ":" and time.fromisoformat(value) is not None)


def _found(validator: Any, value: Json, most: int | None = None) -> list[ValidationError]:
    """Return what a validator has against a value, so many errors at most."""
    token = _VERDICTS.set({})
    try:
        return list(islice(validator.iter_errors(value), most))
    finally:
        _VERDICTS.reset(token)


class SchemaValidator:
    """Validates data and parts of data against one schema; with `part` on the terms of a part of a document.

    There every property is optional: another part may have what this one lacks.
    """

    def __init__(self, source: SchemaSource, *, part: bool = False) -> None:
        self.part = part
        self._source = source

    @cached_property
    def _validator(self) -> Any:
        return self._made(_Part if self.part else _Whole)

    @cached_property
    def _judges(self) -> tuple[Any, ...]:
        parts = (False, True) if self.part else (False,)
        return tuple(self._made(_JUDGES[part, nulls]) for part in parts for nulls in (False, True))

    def _made(self, kind: Any) -> Any:
        return kind(cast(Json, self._source.document), registry=referencing.Registry(), format_checker=FORMATS)

    def errors(self, data: Json) -> Iterator[jsonschema.ValidationError]:
        """Yield what the schema has against data."""
        yield from _found(self._validator, data)

    def accepts(self, node: SchemaNode, value: Json) -> bool:
        """Tell whether a value keeps to all that holds together in a node."""
        return not _found(self._of(node, self._judges[-2]), value, most=1)

    def accepting(self, nodes: Sequence[SchemaNode], value: Json) -> Iterator[SchemaNode]:
        """Yield the nodes that accept a value, those first that take it as it is and for a whole.

        Then come those that do where a member that is null is not there, which is how a model writes it, and those that
        do on the terms of a part.
        """
        judges = self._judges if isinstance(value, Mapping | list) else self._judges[-2:-1]
        for judge in judges:
            yield from (node for node in nodes if not _found(self._of(node, judge), value, most=1))

    def errors_of(self, node: SchemaNode, value: Json) -> Iterator[jsonschema.ValidationError]:
        """Yield what a node has against a value."""
        yield from _found(self._of(node, self._validator), value)

    def _of(self, node: SchemaNode, validator: Any) -> Any:
        places = [place for place in node.sources if not self._source.is_anything(place)]
        if places == [""]:
            return validator
        return validator.evolve(schema={"allOf": [{"$ref": uri_of(place)} for place in places]})
