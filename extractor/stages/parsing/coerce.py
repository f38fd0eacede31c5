"""A value that was read from an answer is brought into the shape of a schema, as far as that loses and invents nothing.

Keys are matched to property names, scalars become lists of one, `"12"` becomes 12 where an integer is asked for, and
words for "there is none" become null. What does not fit stays as it is, for the validator to complain about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extractor.data import Json
from extractor.task.task import Schema, value_type
from extractor.text.strict_json import WrittenFloat, WrittenInt

NULL_WORDS = frozenset(
    {
        "null",
        "none",
        "nil",
        "n/a",
        "undefined",
        "notmentioned",
        "notfound",
        "notprovided",
        "-",
        "--",
        "——",
        "无",
        "没有",
    }
    | {"暂无", "未提及", "未提供", "未知", "不详", "不适用", "文中未提及", "原文未提及", "未找到"}
)
"""How models write that the text has no such value, as `folded` leaves it."""

_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_BOOLEANS = {"true": True, "yes": True, "是": True, "false": False, "no": False, "否": False}


@dataclass(frozen=True)
class Shaper:
    """Brings values into shape. `resolve` follows references; `accepts` asks the validator about a part.

    `complete` makes a null of every property that is missing. `notes` collects what had to be changed: `keys`, `types`,
    `null-words`, `enum`.
    """

    resolve: Callable[[Json], Schema]
    accepts: Callable[[Schema, Json], bool]
    complete: bool = True
    notes: dict[str, None] = field(default_factory=dict)

    def shape(self, value: Json, schema: Json, optional: bool = False) -> Json:
        """The value as the schema asks for it; `optional` if null may stand for it."""
        sub = self.resolve(schema)
        branches = (*sub.get("anyOf", ()), *sub.get("oneOf", ()))
        if branches:
            return self._any_of(value, sub, branches, optional)
        if _is_null_word(value) and (optional or _is_nullable(sub)) and value not in sub.get("enum", ()):
            return self._noted("null-words", None)
        if "enum" in sub or "const" in sub:
            return self._option(value, sub.get("enum", [sub.get("const")]))
        if value is None or isinstance(sub.get("type"), list) and self.accepts(sub, value):
            return value
        shape = self._SHAPES.get(value_type(sub) if sub else "")
        return shape(self, value, sub) if shape else value

    def _any_of(self, value: Json, sub: Schema, branches: Sequence[Json], optional: bool) -> Json:
        """The value if it fits, else what the first branch that can make it fit makes of it."""
        if self.accepts(sub, value) and not (optional and _is_null_word(value)):
            return value
        rest = {key: item for key, item in sub.items() if key not in ("anyOf", "oneOf")}
        for branch in branches:
            trial = Shaper(self.resolve, self.accepts, complete=False)
            shaped = trial.shape(value, {**rest, **self.resolve(branch)}, optional)
            if self.accepts(sub, shaped) or (optional and shaped is None):
                self.notes.update(trial.notes)
                return shaped
        return value

    def _option(self, value: Json, options: Sequence[Json]) -> Json:
        if value in options or not isinstance(value, str):
            return value
        alike = [option for option in options if isinstance(option, str) and folded(option) == folded(value)]
        return self._noted("enum", alike[0]) if len(alike) == 1 else value

    def _string(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        if isinstance(value, WrittenInt | WrittenFloat):
            return self._noted("types", value.written)
        return value

    def _number(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
        if len(text) < 300 and _NUMBER.fullmatch(text):
            number = float(text.replace(",", ""))
            exact = int(text.replace(",", "")) if re.fullmatch(r"[+-]?[\d,]+", text) else number
            return self._noted("types", exact)
        return value

    def _boolean(self, value: Json, sub: Schema) -> Json:
        value = self._scalar(value)
        truth = _BOOLEANS.get(folded(value)) if isinstance(value, str) else None
        return value if truth is None else self._noted("types", truth)

    def _scalar(self, value: Json) -> Json:
        """The one item of a list of one."""
        if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict | list):
            return self._noted("types", value[0])
        return value

    def _list(self, value: Json, sub: Schema) -> Json:
        """Null words in a list are no items, and alone no list of one."""
        items = value if isinstance(value, list) else self._noted("types", [value])
        schema = self.resolve(sub.get("items", {}))
        named = schema.get("enum", ())
        kept = [item for item in items if not _is_null_word(item) or item in named]
        if len(kept) < len(items):
            self._noted("null-words", None)
        return [self.shape(item, schema) for item in kept]

    def _object(self, value: Json, sub: Schema) -> Json:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = self._noted("types", value[0])
        if not isinstance(value, dict) or "properties" not in sub:
            return value
        properties: Mapping[str, Json] = sub["properties"]
        required = sub.get("required", ())
        named = self._named(value, properties)
        shaped: dict[str, Json] = {}
        for name, schema in properties.items():
            absent = name not in required or _is_nullable(self.resolve(schema))
            item = self.shape(named[name], schema, name not in required) if name in named else None
            if item is not None or (absent and self.complete) or (name in named and not absent):
                shaped[name] = item
        return shaped | {key: item for key, item in named.items() if key not in properties}

    def _named(self, value: dict[str, Json], properties: Mapping[str, Json]) -> dict[str, Json]:
        """The members under the names of the properties that their keys mean; of two the first that is not null."""
        meant = dict(self._meanings(properties))
        named: dict[str, Json] = {name: item for name, item in value.items() if name in properties}
        for key, item in value.items():
            name = key if key in properties else meant.get(folded(key), key)
            if named.get(name) is None:
                named[name] = item
            if name != key:
                self._noted("keys", None)
        return named

    def _meanings(self, properties: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
        """What a key may look like, and the property that it means: titles first, so that names win."""
        for name, schema in properties.items():
            yield folded(str(self.resolve(schema).get("title", name))), name
        for name in properties:
            yield folded(name), name

    def _noted(self, note: str, value: Json) -> Json:
        self.notes[note] = None
        return value

    _SHAPES = {
        "string": _string,
        "integer": _number,
        "number": _number,
        "boolean": _boolean,
        "array": _list,
        "object": _object,
    }


def folded(text: str) -> str:
    """The text without differences of width, case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def unwrapped(value: Json, names: Sequence[str]) -> Json:
    """The one object of an answer that wraps it, splits it or lists it as pairs; else the value as it is.

    `[{...}]` and `{"result": {...}}` hold one object; `[{"手机号": ..}, {"邮箱": ..}]` are the members of one;
    `[{"keyword": "手机号", "content": ..}, ..]` are its pairs (the prompt of the book invites this).
    """
    known = {folded(name) for name in names}
    for _ in range(3):
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            inner = value[0] if len(value) == 1 else None
            value = _from_pairs(value, known) or inner or _joined(value)
        elif isinstance(value, dict) and len(value) == 1 and not known & set(map(folded, value)):
            (inner,) = value.values()
            if not _is_about(inner, known):
                break
            value = inner
        else:
            break
    return value


def _is_about(value: Json, known: set[str]) -> bool:
    """Whether the value is an object with a known key, or a list of objects one of which has or names one."""
    if isinstance(value, list):
        return any(isinstance(item, dict) and (_is_about(item, known) or _from_pairs([item], known)) for item in value)
    return isinstance(value, dict) and bool(known & set(map(folded, value)))


def _from_pairs(items: Sequence[dict[str, Json]], known: set[str]) -> dict[str, Json] | None:
    """`[{"keyword": name, "content": value}, ...]` as an object, if every first value is a known name, once."""
    pairs = [tuple(item.values()) for item in items if len(item) == 2 and not known & set(map(folded, item))]
    names = [pair[0] for pair in pairs if isinstance(pair[0], str) and folded(pair[0]) in known]
    if len(names) < len(items) or len(set(names)) < len(names):
        return None
    return dict(zip(names, (pair[1] for pair in pairs), strict=True))


def _joined(items: Sequence[dict[str, Json]]) -> Json:
    """The objects as one if none contradicts another, else the list."""
    joined: dict[str, Json] = {}
    for item in items:
        for key, value in item.items():
            if joined.get(key) not in (None, value) and value is not None:
                return items
            joined[key] = joined[key] if joined.get(key) is not None else value
    return joined


def _is_null_word(value: Json) -> bool:
    return isinstance(value, str) and (not value.strip() or folded(value).strip("()") in NULL_WORDS)


def _is_nullable(sub: Schema) -> bool:
    kinds = sub.get("type", ())
    return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
