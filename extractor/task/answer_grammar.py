"""A task and a text become a grammar: the only answers it accepts are JSON objects of the task's schema whose
verbatim values stand in the text.

The grammar is written in llguidance's dialect of Lark. Its skeleton is exactly what `json.dumps` writes (`", "` and
`": "`), every property in order, `null` where the text has none. A verbatim string is the intersection of
"some part of the text, JSON-escaped" with the length and pattern that the schema asks for. What the grammar cannot
express (most keywords beside type, enum, pattern and lengths) is left to the validator, which has the last word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from extractor.data import Json
from extractor.task.task import Schema, Task, ground_of, value_type

ANY_LEAD = "/[\\n ]{0,2}/"
"""What an answer may begin with in other engines: one of ChatGLM3 begins with a line of its own."""

_UNIT = r'([^"\\\x00-\x1f]|\\(["\\\/bfnrt]|u[0-9a-f]{4}))'
_QUOTED = r'([^"\\\x00-\x1f]|\\["\\])'
_ESCAPED_IN_PATTERN = re.compile(r'"|\\\\')
_LONGEST_COUNT = 256  # a bound above this is left to the validator: counting characters costs automaton states
_DEEPEST = 16
_PLAIN_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def grammar(task: Task, text: str, lead: str = '" "') -> str:
    """The Lark source for answers about `text`. It begins with the space that a chat answer of ChatGLM3 begins with."""
    writer = _Writer(task)
    root = writer.object_(task.schema, 0)
    rules = [f"start: {lead} {root}", f"TEXT: %regex {_dump({'substring_chunks': escaped_characters(text)})}"]
    return "\n".join([*rules, *writer.rules, *writer.terminals.values()]) + "\n"


def escaped_characters(text: str) -> list[str]:
    """Each character as it stands inside a JSON string. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    return [_escape(character) for character in text]


def _escape(character: str) -> str:
    return "\N{REPLACEMENT CHARACTER}" if "\ud800" <= character <= "\udfff" else _dump(character)[1:-1]


@dataclass(slots=True)
class _Writer:
    """Collects rules (one for each property or list) and terminals (one for each kind of string)."""

    task: Task
    rules: list[str] = field(default_factory=list)
    terminals: dict[str, str] = field(default_factory=dict)

    def object_(self, schema: Schema, depth: int) -> str:
        """The expression for an object: its properties in order, all of them."""
        members = []
        for name, sub in schema.get("properties", {}).items():
            members.append(f"{_literal(_dump(name) + ': ')} {self._nullable(sub, depth + 1)}")
        if not members:
            return self._other(schema)
        inner = f" {_literal(', ')} ".join(members)
        return f"{_literal('{')} {inner} {_literal('}')}"

    def _nullable(self, schema: Json, depth: int) -> str:
        return self._rule(f"{_literal('null')} | {self._value(schema, depth)}")

    def _value(self, schema: Json, depth: int) -> str:
        sub = self.task.resolve(schema)
        branches = (*sub.get("anyOf", ()), *sub.get("oneOf", ()))
        if depth > _DEEPEST:
            return self._other(sub)
        if branches:
            return self._rule(
                " | ".join(self._value({**_own(sub), **self.task.resolve(b)}, depth + 1) for b in branches)
            )
        kind = value_type(sub)
        if kind == "object" and sub.get("properties"):
            return self.object_(sub, depth)
        if kind == "array" and "items" in sub:
            return self._list(sub, depth)
        if kind == "string" and ground_of(sub) == "verbatim":
            return self._string(sub)
        return self._other(sub)

    def _list(self, schema: Schema, depth: int) -> str:
        item = self._rule(self._value(schema["items"], depth + 1))
        most = schema.get("maxItems")
        more = f"({_literal(', ')} {item})" + (f"{{0,{most - 1}}}" if isinstance(most, int) and most > 0 else "*")
        empty = "" if schema.get("minItems") else f"{_literal('[]')} | "
        return self._rule(f"{empty}{_literal('[')} {item} {more} {_literal(']')}")

    def _string(self, schema: Schema) -> str:
        """A terminal for quoted text of the document that is not empty and keeps to length and pattern.

        The quotes are part of it, so that a string that no text can complete is never begun. A pattern is laid over
        the escaped text: an escaped quote or backslash counts as two characters, which the validator puts right.
        """
        length = _length(schema)
        pattern = _anchored(schema.get("pattern"))
        if pattern is None:
            inner = f"TEXT & /{_UNIT}{length}/"
        elif _ESCAPED_IN_PATTERN.search(pattern):  # such characters are escaped in the text: the validator decides
            inner = f"TEXT & /{_QUOTED}{length}/"
        else:
            inner = f"TEXT & /{_QUOTED}{length}/ & /{pattern}/"
        body = f'"\\"" ({inner}) "\\""'
        name = f"STRING_{len(self.terminals)}"
        known = {line.partition(": ")[2]: terminal for terminal, line in self.terminals.items()}
        if body in known:
            return known[body]
        self.terminals[name] = f"{name}: {body}"
        return name

    def _other(self, schema: Schema) -> str:
        """Leave a value that need not stand in the text to llguidance's own JSON grammar."""
        definitions = {key: self.task.schema[key] for key in ("$defs", "definitions") if key in self.task.schema}
        return self._rule(f"%json {_dump({**definitions, **_own(schema), 'x-guidance': _PLAIN_JSON})}")

    def _rule(self, body: str) -> str:
        name = f"rule_{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name


def _own(schema: Schema) -> dict[str, Json]:
    """A schema without its annotations and branches."""
    dropped = ("anyOf", "oneOf", "title", "description", "examples", "default")
    return {key: value for key, value in schema.items() if key not in dropped and not key.startswith("x-")}


def _length(schema: Schema) -> str:
    least = max(1, int(schema.get("minLength", 1)))
    most = schema.get("maxLength")
    least = min(least, _LONGEST_COUNT)
    return f"{{{least},{most}}}" if isinstance(most, int) and least <= most <= _LONGEST_COUNT else f"{{{least},}}"


def _anchored(pattern: Json) -> str | None:
    """A `pattern` keyword, which searches, as an expression for the whole string; None where it cannot be used.

    Look-around, back references and non-greedy or flagged groups are beyond the automaton: the validator alone
    checks these.
    """
    if not isinstance(pattern, str) or re.search(r"\(\?|\\[bBAZzkK1-9]|[*+?}][?+]", pattern):
        return None
    inner, front, back = pattern, ".*", ".*"
    if inner.startswith("^"):
        inner, front = inner[1:], ""
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner, back = inner[:-1], ""
    if "|" in inner and re.search(r"[\^$]", inner):
        return None
    return f"{front}({inner}){back}".replace("/", "\\/").replace("\\\\/", "\\/")


def _literal(text: str) -> str:
    return _dump(text)


def _dump(value: Mapping[str, Json] | Json) -> str:
    return json.dumps(value, ensure_ascii=False)
