"""Brings a parsed value to the types of a schema, as far as that loses and invents nothing.

Keys are matched to property names, scalars become lists of one, `"12"` becomes 12 where an integer is asked for, and
words for "there is none" become null. What does not fit stays as it is, for the validator to complain about. This
module does not know how the value was read.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extractor.data import Json
from extractor.task.task import Schema, Task, value_type
from extractor.text.strict_json import ParsedJson, WrittenFloat, WrittenInt

NULL_WORDS = frozenset(
    "null none nil n/a undefined notmentioned notfound notprovided - -- —— "
    "无 没有 暂无 未提及 未提供 未知 不详 不适用 文中未提及 原文未提及 未找到".split()
)
"""How models write that the text has no such value, as `fold` leaves it."""

_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_LONGEST_NUMBER = 300  # characters
_BOOLEANS = {"true": True, "yes": True, "是": True, "false": False, "no": False, "否": False}


def coerce(parsed: ParsedJson, task: Task) -> ParsedJson:
    """Return the value with the types of the task's schema; a missing optional property becomes null."""
    coercer = Coercer(task.resolve, task.accepts)
    value = coercer.coerce(parsed.value, task.schema)
    return parsed.then(value, *coercer.steps)


def fold(text: str) -> str:
    """Return the text without differences of width, case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class Coercer:
    """Coerces one value. `resolve` follows references; `accepts` asks the validator about a part of the schema.

    `complete` makes a null of every property that is missing. `steps` collects what had to be changed, once each:
    `keys`, `types`, `null-words`, `enum`.
    """

    resolve: Callable[[Json], Schema]
    accepts: Callable[[Schema, Json], bool]
    complete: bool = True
    steps: dict[str, None] = field(default_factory=dict)

    def coerce(self, value: Json, schema: Json, optional: bool = False) -> Json:
        """Return the value as the schema asks for it; `optional` if null may take its place."""
        sub = self.resolve(schema)
        branches = (*sub.get("anyOf", ()), *sub.get("oneOf", ()))
        if branches:
            return self._any_of(value, sub, branches, optional)
        if _is_null_word(value) and (optional or _is_nullable(sub)) and value not in sub.get("enum", ()):
            return self._changed("null-words", None)
        if "enum" in sub or "const" in sub:
            return self._option(value, sub.get("enum", [sub.get("const")]))
        if value is None or isinstance(sub.get("type"), list) and self.accepts(sub, value):
            return value
        by_type = self._BY_TYPE.get(value_type(sub) if sub else "")
        return by_type(self, value, sub) if by_type else value

    def _any_of(self, value: Json, sub: Schema, branches: Sequence[Json], optional: bool) -> Json:
        """Return the value if it fits, else what the first branch that can make it fit makes of it."""
        if self.accepts(sub, value) and not (optional and _is_null_word(value)):
            return value
        rest = {key: item for key, item in sub.items() if key not in ("anyOf", "oneOf")}
        for branch in branches:
            # A trial adds no nulls: `accepts` would not take them for those of optional properties of the branch.
            trial = Coercer(self.resolve, self.accepts, complete=False)
            coerced = trial.coerce(value, {**rest, **self.resolve(branch)}, optional)
            if self.accepts(sub, coerced) or (optional and coerced is None):
                self.steps.update(trial.steps)
                return coerced
        return value

    def _option(self, value: Json, options: Sequence[Json]) -> Json:
        if value in options or not isinstance(value, str):
            return value
        alike = [option for option in options if isinstance(option, str) and fold(option) == fold(value)]
        return self._changed("enum", alike[0]) if len(alike) == 1 else value

    def _string(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        if isinstance(value, WrittenInt | WrittenFloat):
            return self._changed("types", value.written)
        return value

    def _number(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
        if len(text) < _LONGEST_NUMBER and _NUMBER.fullmatch(text):
            digits = text.replace(",", "")
            number = int(digits) if re.fullmatch(r"[+-]?\d+", digits) else float(digits)
            return self._changed("types", number) if math.isfinite(number) else value
        return value

    def _boolean(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        truth = _BOOLEANS.get(fold(value)) if isinstance(value, str) else None
        return value if truth is None else self._changed("types", truth)

    def _scalar(self, value: Json) -> Json:
        """Take the one item out of a list of one."""
        if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict | list):
            return self._changed("types", value[0])
        return value

    def _list(self, value: Json, sub: Schema) -> Json:
        """Coerce the items; null words are dropped, so that one without a list around it makes an empty list."""
        items = value if isinstance(value, list) else self._changed("types", [value])
        schema = self.resolve(sub.get("items", {}))
        options = schema.get("enum", ())
        kept = [item for item in items if not _is_null_word(item) or item in options]
        if len(kept) < len(items):
            self._changed("null-words", None)
        return [self.coerce(item, schema) for item in kept]

    def _object(self, value: Json, sub: Schema) -> Json:
        """Coerce the properties in the order of the schema; members that it does not know follow as they are.

        A missing property that may be null becomes null (with `complete`); a missing one that may not is left out, for
        the validator to name.
        """
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = self._changed("types", value[0])
        if not isinstance(value, dict) or "properties" not in sub:
            return value
        properties: Mapping[str, Json] = sub["properties"]
        required = sub.get("required", ())
        members = self._by_property(value, properties)
        coerced: dict[str, Json] = {}
        for name, schema in properties.items():
            may_be_null = name not in required or _is_nullable(self.resolve(schema))
            item = self.coerce(members[name], schema, name not in required) if name in members else None
            if item is not None or (may_be_null and self.complete) or (name in members and not may_be_null):
                coerced[name] = item
        return coerced | {key: item for key, item in members.items() if key not in properties}

    def _by_property(self, value: dict[str, Json], properties: Mapping[str, Json]) -> dict[str, Json]:
        """Return the members under the names of the properties that their keys mean, keeping the first not null."""
        aliases = dict(self._aliases(properties))
        members: dict[str, Json] = {name: item for name, item in value.items() if name in properties}
        for key, item in value.items():
            name = key if key in properties else aliases.get(fold(key), key)
            if members.get(name) is None:
                members[name] = item
            if name != key:
                self._changed("keys", None)
        return members

    def _aliases(self, properties: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
        """Yield what a key may look like, folded, and its property: titles first, so that names override them."""
        for name, schema in properties.items():
            yield fold(str(self.resolve(schema).get("title", name))), name
        for name in properties:
            yield fold(name), name

    def _changed(self, step: str, value: Json) -> Json:
        """Note a step and return the value that it led to."""
        self.steps[step] = None
        return value

    _BY_TYPE = {
        "string": _string,
        "integer": _number,
        "number": _number,
        "boolean": _boolean,
        "array": _list,
        "object": _object,
    }


def _is_null_word(value: Json) -> bool:
    return isinstance(value, str) and (not value.strip() or fold(value).strip("()") in NULL_WORDS)


def _is_nullable(sub: Schema) -> bool:
    kinds = sub.get("type", ())
    return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
