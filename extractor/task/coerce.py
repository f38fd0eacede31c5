"""A value read from an answer is brought into the form that a schema asks for, losing and inventing nothing.

Keys are matched to property names, scalars become lists of one, `"12"` becomes 12 where an integer is asked for, words
for "there is none" become null, a list that is required and null becomes empty. What does not fit stays as it is, for
the validator to complain about.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from extractor.data import Json
from extractor.task.schema_compile import equality_key
from extractor.task.schema_node import Name, SchemaNode
from extractor.task.task import Task
from extractor.task.walk import Walk
from extractor.text.meaning import amount
from extractor.text.strict_json import ParsedJson, WrittenFloat, WrittenInt

NULL_WORDS = frozenset(
    {
        *("null", "none", "nil", "n/a", "undefined", "notmentioned", "notfound", "notprovided", "-", "--", "——"),
        *("无", "没有", "暂无", "未提及", "未提供", "未知", "不详", "不适用", "文中未提及", "原文未提及", "未找到"),
    }
)
"""How models write that the text has no such value, as `fold` leaves it."""

_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_BOOLEANS = {"true": True, "yes": True, "是": True, "false": False, "no": False, "否": False}
_LONGEST_NUMBER = 300
_LARGEST_NUMBER = Decimal(10) ** 300  # a float holds it; `1e999` is infinity in one


def coerce(parsed: ParsedJson, task: Task) -> ParsedJson:
    """Coerce an answer to the schema of its task; the steps say what had to be changed."""
    coercer = Coercer(task.walk)
    value = coercer.coerce(parsed.value, task.compiled.root_name)
    if isinstance(value, dict) and task.names is not None:  # of a group of fields the others were not asked for
        value = {name: item for name, item in value.items() if item not in (None, []) or name in task.names}
    return parsed.then(value, *coercer.steps)


class _Tried(NamedTuple):
    """What became of a value for a node with alternatives. It holds the value, so that its `id` stays its own."""

    value: Json
    formed: Json
    steps: dict[str, None]


@dataclass(frozen=True)
class Coercer:
    """Brings values into form.

    `steps` collects what had to be changed or noted: `keys`, `types`, `null-words`, `enum`, `repeats`, `unknown-keys`.
    """

    walk: Walk
    steps: dict[str, None] = field(default_factory=dict)
    _known: dict[tuple[Name, int, bool], _Tried] = field(default_factory=dict)

    def coerce(self, value: Json, name: Name, optional: bool = False) -> Json:
        """Return the value as a node asks for it; `optional` if null may stand for it."""
        node = self.walk.schema[name]
        if node.alternatives:
            return self._any_of(value, node, optional)
        if self._is_nothing(value, node, optional):
            return self._noted("null-words", None)
        if node.values is not None:
            return self._option(value, node)
        if value is None:
            return value
        if len(node.kinds) > 1 and self._accepts(node, value):
            kind = "object" if isinstance(value, dict) else "array"
            return self._FORMS[kind](self, value, node) if isinstance(value, dict | list) else value
        return self._in_form(value, node)

    def _is_nothing(self, value: Json, node: SchemaNode, optional: bool) -> bool:
        """Tell whether a value says that there is none. Of what is copied an empty string does, wherever it is."""
        if not _is_null_word(value) or _is_listed(value, node):
            return False
        empty = value == "" and node.ground == "verbatim" and node.values is None
        return optional or empty or (node.nullable and not node.is_anything)

    def _in_form(self, value: Json, node: SchemaNode) -> Json:
        """Return what the first of the node's kinds that can take the value makes of it."""
        for kind in node.kinds:
            formed = self._FORMS[kind](self, value, node)
            if len(node.kinds) == 1 or self._accepts(node, formed):
                return formed
        return value

    def _any_of(self, value: Json, node: SchemaNode, optional: bool) -> Json:
        """Return the value if it fits, else what the first alternative that can make it fit makes of it.

        Each value is tried once, though alternatives lead to one another. While it is, it stays as it is: it is not
        made a list of itself without an end.
        """
        key = node.name, id(value), optional
        if key not in self._known:
            self._known[key] = _Tried(value, value, {})
            trial = Coercer(self.walk, _known=self._known)
            self._known[key] = _Tried(value, trial._one_of(value, node, optional), trial.steps)
        self.steps.update(self._known[key].steps)
        return self._known[key].formed

    def _one_of(self, value: Json, node: SchemaNode, optional: bool) -> Json:
        options = list(self.walk.schema.options(node))
        listed = any(_is_listed(value, option) for option in options)
        if listed or (self._accepts(node, value) and not (optional and _is_null_word(value))):
            return self._settled(value, node)
        for option in options:
            trial = Coercer(self.walk, _known=self._known)
            formed = trial.coerce(value, option.name, optional)
            if self._accepts(node, formed) or (optional and formed is None):
                self.steps.update(trial.steps)
                return formed
        return self._settled(value, node)

    def _settled(self, value: Json, node: SchemaNode) -> Json:
        """Return the value in the form of the alternative that it answers to, its members in order."""
        option = self.walk.settle(node.name, value)
        return self.coerce(value, option.name) if isinstance(value, dict | list) else value

    def _accepts(self, node: SchemaNode, value: Json) -> bool:
        return self.walk.validator.accepts(node, value)

    def _option(self, value: Json, node: SchemaNode) -> Json:
        """Return the one value of a list that is written alike, but for width, case and white space."""
        options = node.values or ()
        if _is_listed(value, node):
            return value
        if isinstance(value, str):
            alike = [each for each in options if isinstance(each, str) and fold(each) == fold(value)]
            if not alike:
                alike = [each for each in options if not isinstance(each, str) and _written(each) == value.strip()]
            return self._noted("enum", alike[0]) if len(alike) == 1 else value
        written = getattr(value, "written", None)
        return self._noted("types", written) if written is not None and written in options else value

    def _string(self, value: Json, node: SchemaNode) -> Json:
        value = self._scalar(value)
        if isinstance(value, WrittenInt | WrittenFloat):
            return self._noted("types", value.written)
        return value

    def _number(self, value: Json, node: SchemaNode) -> Json:
        value = self._scalar(value)
        text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
        if len(text) >= _LONGEST_NUMBER:
            return value
        number = Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else amount(text) if text else None
        if number is None or abs(number) > _LARGEST_NUMBER:
            return value
        whole = number == number.to_integral_value()
        if not whole and "number" not in node.types:
            return value
        pointed = "number" in node.types and re.search(r"[.eE]", text)  # `3.0` stays a float where it may be one
        return self._noted("types", int(number) if whole and not pointed else float(number))

    def _boolean(self, value: Json, node: SchemaNode) -> Json:
        value = self._scalar(value)
        truth = _BOOLEANS.get(fold(value)) if isinstance(value, str) else None
        return value if truth is None else self._noted("types", truth)

    def _scalar(self, value: Json) -> Json:
        """Return the one item of a list of one."""
        if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict | list):
            return self._noted("types", value[0])
        return value

    def _list(self, value: Json, node: SchemaNode) -> Json:
        """Leave out null words that are no items of their own; alone they are no list of one."""
        items = value if isinstance(value, list) else self._noted("types", [value])
        if node.prefix:
            return [self._member(item, self.walk.item(node, index)) for index, item in enumerate(items)]
        option = None if node.items is None else self.walk.schema[node.items]
        options = [] if option is None else list(self.walk.schema.options(option))
        kept = [item for item in items if not _is_null_word(item) or any(_is_listed(item, each) for each in options)]
        if len(kept) < len(items):
            self._noted("null-words", None)
        formed = [self._member(item, node.items) for item in kept]
        return self._without_repeats(formed) if node.bounds.unique_items else formed

    def _without_repeats(self, items: list[Json]) -> Json:
        """Return the items without those that equal an earlier one, as `uniqueItems` asks."""
        distinct: dict[str, Json] = {}
        for item in items:
            distinct.setdefault(equality_key(item), item)
        return self._noted("repeats", list(distinct.values())) if len(distinct) < len(items) else items

    def _member(self, value: Json, name: Name | None, optional: bool = False) -> Json:
        return value if name is None else self.coerce(value, name, optional)

    def _object(self, value: Json, node: SchemaNode) -> Json:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = self._noted("types", value[0])
        if not isinstance(value, dict):
            return value
        named = self._named(value, node)
        formed: dict[str, Json] = {}
        for name, sub in node.properties.items():
            optional = self.walk.is_optional(node, name)
            item = self.coerce(named[name], sub, optional) if name in named else None
            formed[name] = [] if item is None and name in node.required and self._is_list(sub) else item
        others = {key: item for key, item in named.items() if key not in node.properties}
        if any(self.walk.member(node, key) is None for key in others):
            self._noted("unknown-keys", None)
        return formed | {key: self._member(item, self.walk.member(node, key)) for key, item in others.items()}

    def _is_list(self, name: Name) -> bool:
        """Tell whether nothing but a list will do, so that null can only mean that it is empty."""
        options = list(self.walk.schema.options(self.walk.schema[name]))
        return all(option.types == {"array"} and option.values is None for option in options)

    def _named(self, value: dict[str, Json], node: SchemaNode) -> dict[str, Json]:
        """Return the members under the names of the properties that their keys mean; of two the first that is not null.

        A key that means no property stays, unless the schema says what others may be called.
        """
        meant = dict(self._meanings(node))
        named: dict[str, Json] = {name: item for name, item in value.items() if name in node.properties}
        for key, item in value.items():
            name = key if key in node.properties else meant.get(_bare(key), key)
            if named.get(name) is None:
                named[name] = item
            if name != key:
                self._noted("keys", None)
        return named

    def _meanings(self, node: SchemaNode) -> Iterator[tuple[str, str]]:
        """Yield what a key may look like, and the property that it means: titles first, so that names win."""
        for name, sub in node.properties.items():
            yield _bare(self.walk.schema[sub].annotations.title or name), name
        for name in node.properties:
            yield _bare(name), name

    def _noted(self, step: str, value: Json) -> Json:
        self.steps[step] = None
        return value

    _FORMS = {
        "string": _string,
        "integer": _number,
        "number": _number,
        "boolean": _boolean,
        "array": _list,
        "object": _object,
    }


def fold(text: str) -> str:
    """Return the text without differences of width, case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _bare(key: str) -> str:
    """Return a key without what models put around it: `邮箱：`, `"邮箱"`, `**邮箱**`."""
    return fold(key).strip(":*\"'“”「」【】-·.")


def _written(value: Json) -> str:
    return "" if isinstance(value, dict | list) else json.dumps(value)


def _is_listed(value: Json, node: SchemaNode) -> bool:
    """Tell whether a node names the very value (1 is not true), or allows it in so many words."""
    if value == "" and node.bounds.min_length == 0:
        return True
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in node.values or ())


def _is_null_word(value: Json) -> bool:
    return isinstance(value, str) and (not value.strip() or fold(value).strip("()") in NULL_WORDS)
