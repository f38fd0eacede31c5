"""What the validator has against data, in words that name the place and the rule, but never the value: they go to logs,
records and the next prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import jsonschema

from extractor.data import Json
from extractor.errors import Problem
from extractor.task.validation import FITS_NONE
from extractor.text.json_pointer import escape_pointer

NOT_FOUND = "required, not found in the document"
LONGEST_RULE = 200

_RULES: Mapping[str, str] = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "pattern": "must match the pattern {}",
    "format": "must have the format {}",
    "minLength": "is shorter than {} characters",
    "maxLength": "is longer than {} characters",
    "minItems": "has fewer than {} items",
    "maxItems": "has more than {} items",
    "minimum": "is less than {}",
    "maximum": "is more than {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minProperties": "has fewer than {} members",
    "maxProperties": "has more than {} members",
    "uniqueItems": "has an item twice",
    "additionalProperties": "is not known to the schema",
    "not": "has a value that the schema excludes",
    "contains": "has no item of the kind that the schema asks for",
    "dependentRequired": "lacks a value that another one asks for",
    "propertyNames": "has a name that the schema does not allow",
}
_LACKING = ("minItems", "minProperties", "contains", "dependentRequired")
"""Rules that are broken for want of a value: the document may just not have it, and what there is holds."""

_OF_ALTERNATIVES = ("anyOf", "oneOf")
_TELLING = ("const", "enum", "type")
"""Rules that tell alternatives apart: the alternative that breaks none of them is the one that was meant."""


def problems(errors: Sequence[jsonschema.ValidationError]) -> tuple[Problem, ...]:
    """Return what errors say, once each: `required` for a value that is not there, `schema` for one that is wrong."""
    found = {each for error in errors for each in _problems(error)}
    return tuple(sorted(found, key=lambda problem: (problem.message, problem.code)))


def _problems(error: jsonschema.ValidationError) -> Iterator[Problem]:
    where = "".join(f"/{escape_pointer(str(part))}" for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in cast(list[str], error.validator_value) if name not in cast(Json, error.instance)]
        yield from (Problem("required", f"{where}/{escape_pointer(name)}: {NOT_FOUND}") for name in missing)
    elif error.instance is None and error.absolute_path:
        yield Problem("required", f"{where}: {NOT_FOUND}")
    elif error.validator in _OF_ALTERNATIVES and error.context:
        for inner in _meant(error.context):
            yield from _problems(inner)
    else:
        yield Problem("required" if error.validator in _LACKING else "schema", f"{where or '/'}: {_rule(error)}")


def _rule(error: jsonschema.ValidationError) -> str:
    if error.validator is None or error.message.startswith("takes too long"):
        return error.message if error.validator is not None else "has a value where the schema allows none"
    if error.message == FITS_NONE:
        return FITS_NONE
    if error.validator in _OF_ALTERNATIVES:
        return "fits several alternatives of which only one may hold"
    rule = _RULES.get(str(error.validator), f"breaks the rule {error.validator}")
    value = json.dumps(error.validator_value, ensure_ascii=False)
    return rule.format(value if len(value) <= LONGEST_RULE else f"{value[:LONGEST_RULE]}...")


def _meant(context: Sequence[jsonschema.ValidationError]) -> list[jsonschema.ValidationError]:
    """Return the errors of the alternative that was meant: it breaks fewest of the rules that tell them apart.

    A value that is null breaks none of them, since any may be missing; where no value tells, the names of members do.
    """
    branches: dict[Json, list[jsonschema.ValidationError]] = {}
    for error in context:
        branches.setdefault(error.schema_path[0] if error.schema_path else None, []).append(error)
    if len(branches) > 1:
        branches.pop(None, None)  # `false`, which allows nothing, has no path
    return min(branches.values(), key=_strangeness)


def _strangeness(errors: Sequence[jsonschema.ValidationError]) -> tuple[int, int, int]:
    told = sum(each.validator in _TELLING and each.instance is not None for each in errors)
    named = sum(each.validator in ("additionalProperties", "required") for each in errors)
    return told, named, len(errors)
