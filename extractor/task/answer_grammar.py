"""A task and a text become a grammar: it accepts JSON objects of the task's schema whose verbatim values are copied.

The grammar is written in llguidance's dialect of Lark. Its skeleton is what `json.dumps` writes (`", "` and `": "`),
every property in order, `null` where the text has none. Each node of the schema is one rule, however often it is
referred to; only the terminals of the text are new for each document. A verbatim string is the intersection of
"pieces of the text, JSON-escaped" with the length and pattern that the schema asks for.

What the grammar cannot express costs the value its constraint and no other: it is decoded as any JSON of its type, and
the validator decides. `unconstrained` names the fields that this is true of.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import llguidance

from extractor.data import Json
from extractor.task.schema_node import MOMENTS, CompiledSchema, Name, SchemaNode, entries
from extractor.task.validation import search_pattern
from extractor.text.borders import pieces
from extractor.text.json_pointer import escape_pointer

if TYPE_CHECKING:
    from extractor.task.task import Task

ANY_LEAD = "/[\\n ]{0,2}/"
"""What an answer may begin with in other engines: one of ChatGLM3 begins with a line of its own."""

_UNIT = r'([^"\\\x00-\x1f]|\\(["\\\/bfnrt]|u[0-9a-f]{4}))'
_QUOTED = r'([^"\\\x00-\x1f]|\\["\\])'
_ANY_KEY = f'KEY: "\\"" /{_UNIT}{{0,200}}/ "\\""'
_ESCAPED_IN_PATTERN = re.compile(r'"|\\\\')
_LONGEST_COUNT = 256  # a bound above this is left to the validator: counting costs automaton states
_MOST_MEMBERS = 10_000
"""Members of objects in a grammar, which has room for 65,000 symbols in llguidance; objects after that are any JSON."""
_DIGITS = r"(0|[1-9][0-9]{0,29})"
_NUMBERS = {"integer": _DIGITS, "number": _DIGITS + r"(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"}
"""Numbers of no particular size. They end: a model that loops writes digits for ever."""
_PLAIN_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}
_LEFT_OUT = ("uniqueItems",)

PIECES, CHARACTERS = "PIECES", "CHARACTERS"
"""Terminals of the text: values that begin and end at borders, and those that may begin anywhere (`x-border: any`)."""


@dataclass(frozen=True, slots=True)
class AnswerGrammar:
    """What of a grammar is the same for all documents: the rules of the schema, the terminals of the text in use."""

    root: str
    rules: tuple[str, ...]
    terminals: frozenset[str]
    loose: frozenset[Name]

    def source(self, text: str, lead: str = '" "') -> str:
        """Return the Lark source for answers about a text; `lead` is what an answer begins with.

        By default that is the space which a chat answer of ChatGLM3 begins with.
        """
        cut: Mapping[str, Callable[[str], Iterable[str]]] = {PIECES: pieces, CHARACTERS: iter}
        texts = [
            f"{name}: %regex {_dump({'substring_chunks': [_escape(piece) for piece in cut[name](text)]})}"
            for name in sorted(self.terminals)
        ]
        return "\n".join([f"start: {lead} ({self.root})", *texts, *self.rules]) + "\n"


def grammar(task: Task, text: str, lead: str = '" "') -> str:
    """Return the Lark source for the answers of a task about a text (`AnswerGrammar.source`)."""
    return task.grammar.source(text, lead)


def compile_grammar(
    schema: CompiledSchema, names: frozenset[str] | None = None, *, part: bool = False
) -> AnswerGrammar:
    """Make the rules for a schema, of these of its fields (None: all); of a `part` no number of items is asked for."""
    writer = _Writer(schema, part)
    root = writer.root(names)
    return AnswerGrammar(root, tuple(writer.rules.values()), frozenset(writer.texts), frozenset(writer.loose))


def unconstrained(schema: CompiledSchema, grammar: AnswerGrammar) -> tuple[str, ...]:
    """Return pointers of the fields, some of whose values are not held to all that the schema says.

    The pointer of those that a document names itself is that of the whole.
    """
    found = []
    for node in schema.options(schema.root):
        parts = [(f"/{escape_pointer(name)}", sub) for name, sub in node.properties.items()]
        parts += [("", sub) for sub in entries(node)]
        found += [
            pointer for pointer, sub in parts if any(each.name in grammar.loose for each in schema.reachable(sub))
        ]
        found += [""] if node.is_map and node.name in grammar.loose else []
    return tuple(dict.fromkeys(found))


def _escape(piece: str) -> str:
    """Return a piece as it stands inside a JSON string. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    return _dump(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", piece))[1:-1]


@dataclass
class _Writer:
    """Collects rules, one for each node, and terminals, one for each kind of string."""

    schema: CompiledSchema
    part: bool
    rules: dict[str, str] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    jsons: dict[str, str] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    loose: set[Name] = field(default_factory=set)
    members: int = 0
    _open: deque[SchemaNode] = field(default_factory=deque)

    def root(self, names: frozenset[str] | None) -> str:
        """Return the expression for the whole answer, and write the rules that it needs."""
        options = [_only(node, names) for node in self.schema.options(self.schema.root) if "object" in node.types]
        root = self._either([self._object(node) for node in options])
        while self._open:
            node = self._open.popleft()  # those next to the root first
            self.members += len(node.properties)
            crowded = node.properties and self.members > _MOST_MEMBERS
            value = self._json(node, {"type": list(node.kinds)}, loose=True) if crowded else self._value(node)
            self.rules[node.name] = f"{node.name}: {value}"
        return root

    def _rule(self, name: Name) -> str:
        """Return the name of the rule for a value of a node that is not null, to be written once."""
        if name not in self.rules:
            self.rules[name] = ""
            self._open.append(self.schema[name])
        return name

    def _nullable(self, name: Name) -> str:
        return f"(NULL | {self._rule(name)})"

    def _property(self, name: Name) -> str:
        """Return the expression for a member, which may be null or, where that is a copied string, empty.

        Empty text is how some models say that there is none; if they could not, they would have to copy something.
        Items of a list may not: of nothing there is no end.
        """
        if not any(map(_may_be_empty, self.schema.options(self.schema[name]))):
            return self._nullable(name)
        self.rules["EMPTY"] = f"EMPTY: {_literal(_dump(''))}"
        return f"(EMPTY | NULL | {self._rule(name)})"

    def _item(self, name: Name) -> str:
        node = self.schema[name]
        nullable = any(option.nullable for option in self.schema.options(node))
        return self._nullable(name) if nullable else self._rule(name)

    def _value(self, node: SchemaNode) -> str:
        """Return the expression for the values of a node, null apart."""
        if node.unexpressed:
            self.loose.add(node.name)
        if node.alternatives:
            options = [self.schema[name] for name in node.alternatives]
            return self._either([self._rule(each.name) for each in options if each.types != {"null"}]) or "NULL"
        if node.values is not None:
            values = [value for value in node.values if value is not None]
            return self._json(node, {"enum": values}) if values else "NULL"
        return self._either([self._of_kind(node, kind) for kind in node.kinds]) or "NULL"

    def _of_kind(self, node: SchemaNode, kind: str) -> str:
        if kind == "object":
            return self._object(node)
        if kind == "array":
            return self._list(node)
        if kind == "string" and node.ground == "verbatim":
            return self._copied(node)
        bounds = _scalar_bounds(node, kind)
        if (
            kind in _NUMBERS
            and bounds.keys() <= {"minimum"}
            and bounds.get("minimum", 0) == 0
            and not _is_bounded(node)
        ):
            return self._terminal(f"/{'' if bounds else '-?'}{_NUMBERS[kind]}/")
        return self._json(node, {"type": kind, **bounds})

    def _object(self, node: SchemaNode) -> str:
        """Return the expression for an object: its properties in order, all of them, then what a map may hold."""
        members = [f"{_literal(_dump(name) + ': ')} {self._property(sub)}" for name, sub in node.properties.items()]
        pair = self._pair(node)
        if not members and not pair:
            return _literal("{}")
        comma = _literal(", ")
        if not members:
            return f"{_literal('{')} ({pair} ({comma} {pair})*)? {_literal('}')}"
        more = f" ({comma} {pair})*" if pair else ""
        return f"{_literal('{')} {f' {comma} '.join(members)}{more} {_literal('}')}"

    def _pair(self, node: SchemaNode) -> str:
        """Return the expression for a member that the document names; empty where there are none such."""
        pairs = []
        for pattern, sub in node.pattern_properties.items():
            inner = _anchored(pattern)
            if inner is None:
                self.loose.add(node.name)
            pairs.append(f"{self._key(inner)} {_literal(': ')} {self._property(sub)}")
        if node.additional is not None:
            pairs.append(f"{self._key(None)} {_literal(': ')} {self._property(node.additional)}")
        return f"({' | '.join(pairs)})" if pairs else ""

    def _key(self, pattern: str | None) -> str:
        if pattern is None:
            self.rules["KEY"] = _ANY_KEY
            return "KEY"
        return self._terminal(f'"\\"" (/{_QUOTED}{{0,200}}/ & /{pattern}/) "\\""')

    def _list(self, node: SchemaNode) -> str:
        """Return the expression for a list: a tuple's items one by one, then those that are all alike."""
        if node.bounds.unique_items:
            self.loose.add(node.name)
        least = 0 if self.part else (node.bounds.min_items or 0)
        most = node.bounds.max_items
        prefix = node.prefix if most is None else node.prefix[:most]
        left = None if most is None else most - len(prefix)
        return self._either([*self._tuples(node, prefix, least, left)])

    def _tuples(self, node: SchemaNode, prefix: tuple[Name, ...], least: int, left: int | None) -> Iterator[str]:
        """Yield the lists that a node allows, those with fewer items than its prefix first."""
        comma = f" {_literal(', ')} "
        items = [self._item(name) for name in prefix]
        for length in range(least, len(prefix)):
            yield f"{_literal('[')} {comma.join(items[:length])} {_literal(']')}" if length else _literal("[]")
        own = node.items is not None and not node.no_more_items and left != 0
        if own and node.items is not None:
            yield from self._repeated(self._item(node.items), items, max(0, least - len(prefix)), left)
        elif items:
            yield f"{_literal('[')} {comma.join(items)} {_literal(']')}"
        else:
            yield _literal("[]")

    def _repeated(self, item: str, before: list[str], least: int, most: int | None) -> Iterator[str]:
        comma = f" {_literal(', ')} "
        if not before and not least:
            yield _literal("[]")
            least = 1
        first = [*before, *([item] if not before else [])]
        least, most = (least, most) if before else (least - 1, None if most is None else most - 1)
        more = f" ({_literal(', ')} {item}){_count(least, most)}" if most != 0 else ""
        yield f"{_literal('[')} {comma.join(first)}{more} {_literal(']')}"

    def _copied(self, node: SchemaNode) -> str:
        """Return a terminal for quoted text of the document that keeps to length and patterns.

        The quotes are part of it, so that a string that no text can complete is never begun. A pattern is laid over
        the escaped text: an escaped quote or backslash counts as two characters, which the validator puts right.
        """
        text = CHARACTERS if node.annotations.any_border else PIECES
        self.texts.add(text)
        patterns = [_anchored(pattern) for pattern in node.bounds.patterns]
        usable = [each for each in patterns if each is not None and not _ESCAPED_IN_PATTERN.search(each)]
        if len(usable) < len(patterns):
            self.loose.add(node.name)
        unit = _QUOTED if patterns else _UNIT
        parts = [text, f"/{unit}{_length(node)}/", *(f"/{pattern}/" for pattern in usable)]
        copied = self._terminal(f'"\\"" ({" & ".join(parts)}) "\\""')
        return f'({copied} | "\\"\\"")' if node.bounds.min_length == 0 else copied

    def _terminal(self, body: str) -> str:
        if body not in self.strings:
            name = f"STRING_{len(self.strings)}"
            self.strings[body] = name
            self.rules[name] = f"{name}: {body}"
        return self.strings[body]

    def _json(self, node: SchemaNode, schema: Mapping[str, Json], *, loose: bool = False) -> str:
        """Leave a value to llguidance's JSON grammar, one rule for all alike; without bounds where it takes none."""
        if not _is_taken(_dump(schema)):
            loose, schema = True, {key: value for key, value in schema.items() if key in ("type", "enum")}
        if loose or (len(schema) == 1 and "type" in schema and _is_bounded(node)):
            self.loose.add(node.name)
        body = f"%json {_dump({**schema, 'x-guidance': _PLAIN_JSON})}"
        if body not in self.jsons:
            self.jsons[body] = f"json_{len(self.jsons)}"
            self.rules[self.jsons[body]] = f"{self.jsons[body]}: {body}"
        return self.jsons[body]

    def _either(self, expressions: list[str]) -> str:
        self.rules["NULL"] = 'NULL: "null"'
        return " | ".join(expressions)


def _only(node: SchemaNode, names: frozenset[str] | None) -> SchemaNode:
    if names is None:
        return node
    return replace(node, properties={name: sub for name, sub in node.properties.items() if name in names})


def _scalar_bounds(node: SchemaNode, kind: str) -> dict[str, Json]:
    """Return the bounds of a scalar as keywords, those that llguidance may know."""
    bounds = node.bounds
    said: dict[str, Json] = {}
    if kind in ("integer", "number"):
        said = {
            "minimum": bounds.minimum,
            "maximum": bounds.maximum,
            "exclusiveMinimum": bounds.exclusive_minimum,
            "exclusiveMaximum": bounds.exclusive_maximum,
            "multipleOf": bounds.multiples[0] if len(bounds.multiples) == 1 else None,
        }
    elif kind == "string":
        said = {
            "minLength": None if bounds.min_length is None else min(bounds.min_length, _LONGEST_COUNT),
            "maxLength": bounds.max_length if (bounds.max_length or 0) <= _LONGEST_COUNT else None,
            "pattern": bounds.patterns[0] if len(bounds.patterns) == 1 else None,
            **(_format(bounds.formats[0]) if len(bounds.formats) == 1 and not bounds.patterns else {}),
        }
    return {keyword: value for keyword, value in said.items() if value is not None}


def _format(name: str) -> dict[str, Json]:
    """Return the keyword for a format; moments have a pattern of ours, since llguidance asks for a time zone."""
    return {"pattern": MOMENTS[name]} if name in MOMENTS else {"format": name}


def _is_bounded(node: SchemaNode) -> bool:
    return bool(node.bounds.patterns or node.bounds.multiples)


@cache
def _is_taken(schema: str) -> bool:
    """Tell whether llguidance compiles a schema of a scalar, formats that it does not know left out."""
    loaded = {**json.loads(schema), "x-guidance": _PLAIN_JSON}
    if _has_many_states(str(loaded.get("pattern", ""))):
        return False
    return _compiles(f"start: %json {_dump(loaded)}")


def _length(node: SchemaNode) -> str:
    least = min(max(1, node.bounds.min_length or 1), _LONGEST_COUNT)
    most = node.bounds.max_length
    return f"{{{least},{most}}}" if most is not None and least <= most <= _LONGEST_COUNT else f"{{{least},}}"


def _count(least: int, most: int | None) -> str:
    if most is None or most > _LONGEST_COUNT:
        return f"{{{min(least, _LONGEST_COUNT)},}}" if least else "*"
    return f"{{{least},{most}}}"


@cache
def _anchored(pattern: str) -> str | None:
    """Return a `pattern`, which searches, as an expression for a whole string; None where it cannot be used.

    Look-around, back references and non-greedy or flagged groups are beyond the automaton, and nested counts make too
    many states: the validator alone checks these.
    """
    if re.search(r"\(\?(?!:)|\\[bBAZzkK1-9]|[*+?}][?+]", pattern) or _has_many_states(pattern):
        return None
    inner, front, back = pattern, ".*", ".*"
    if inner.startswith("^"):
        inner, front = inner[1:], ""
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner, back = inner[:-1], ""
    if re.search(r"(?<!\\)\$|(?<![\\\[])\^", inner):
        return None
    found = f"{front}({inner}){back}".replace("/", "\\/").replace("\\\\/", "\\/")
    return found if _compiles(f"start: A\nA: /{found}/\n") else None


def _compiles(source: str) -> bool:
    return not llguidance.LLMatcher.validate_grammar(llguidance.LLMatcher.grammar_from_lark(source))


def _has_many_states(pattern: str) -> bool:
    """Tell whether the counts of a pattern multiply to more states than are worth it."""
    ways = 1
    for _, most in re.findall(r"\{(\d+)?,?(\d+)?\}", pattern):
        ways *= max(1, int(most or 1))
    return ways > 4 * _LONGEST_COUNT


def _may_be_empty(node: SchemaNode) -> bool:
    """Tell whether a value is copied text, and nothing that is asked of it keeps an empty string out."""
    bounds = node.bounds
    copied = "string" in node.kinds and node.ground == "verbatim" and node.values is None
    return (
        copied
        and not bounds.min_length
        and not bounds.formats
        and all(search_pattern(each, "") for each in bounds.patterns)
    )


def _literal(text: str) -> str:
    return _dump(text)


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
