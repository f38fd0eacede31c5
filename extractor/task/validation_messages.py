"""What the validator has against data, in words that name the place and the rule, but never the value: they go to logs,
records and the next prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import jsonschema

from extractor.data import Json
from extractor.task.json_pointer import escape_pointer

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
    "additionalProperties": "has a property that the schema does not know",
}


def message(error: jsonschema.ValidationError) -> str:
    """One line about one error."""
    where = "".join(f"/{escape_pointer(str(part))}" for part in error.absolute_path) or "/"
    if error.validator is None:  # `false` is the schema of something inside
        return f"{where}: has a value where the schema allows none"
    if error.validator == "required":
        missing = [name for name in cast(list[str], error.validator_value) if name not in cast(Json, error.instance)]
        return f"{where}: {', '.join(map(str, missing))} is required"
    rule = _RULES.get(str(error.validator), f"violates {error.validator} {{}}")
    return f"{where}: {rule.format(json.dumps(error.validator_value, ensure_ascii=False))}"
