"""A task and a text become a grammar in GBNF, the notation of llama.cpp.

It accepts the answers that `answer_grammar` accepts, with two exceptions: GBNF knows no intersection, so lengths and
patterns are left to the validator, and values that are not copied are any JSON of their type. A copied string is a walk
through an automaton of the text whose states are rules: so at each character the server has few of them to try, however
often a word occurs.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from extractor.data import Json
from extractor.task.schema_node import CompiledSchema, Name, SchemaNode
from extractor.text.borders import pieces

if TYPE_CHECKING:
    from extractor.task.task import Task

MOST_CHARACTERS = 12_000
"""Characters of a text above which a server takes longer to read its grammar than to answer."""

_LONGEST_REPEATED = 300  # characters of a value that the text holds more than once, up to where the places differ
_MOST_PLACES = (
    200_000  # looked at in all: a text of words has some thousands, one that repeats itself without end any number
)
_JSON: Mapping[str, str] = {
    "string": r'"\"" ([^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]){0,300} "\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,20})',
    "number": 'integer ("." [0-9]{1,20})?',
    "boolean": '"true" | "false"',
}
_PIECES, _CHARACTERS = "p", "c"  # what rules of the text are called: of values at borders, and of `x-border: any`
_CUTS: Mapping[str, Callable[[str], Iterable[str]]] = {_PIECES: pieces, _CHARACTERS: iter}

Positions = tuple[int, ...]


def gbnf(task: Task, text: str) -> str:
    """Return the GBNF source for the answers of a task about a text."""
    writer = _Writer(task.compiled)
    root = writer.root(task.names)
    rules = {"root": rf"[\n ]{{0,2}} ({root})", **_JSON, **writer.rules}
    for kind in sorted(writer.texts):
        rules.update(_Automaton(kind, text, tuple(_CUTS[kind](text))).rules())
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


@dataclass
class _Writer:
    """Collects a rule for each node of a schema, and which rules of the text these need."""

    schema: CompiledSchema
    rules: dict[str, str] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    _open: list[SchemaNode] = field(default_factory=list)

    def root(self, names: frozenset[str] | None) -> str:
        """Return the expression for the whole answer, and write the rules that it needs."""
        options = [node for node in self.schema.options(self.schema.root) if "object" in node.types]
        root = " | ".join(self._object(_only(node, names)) for node in options)
        while self._open:
            node = self._open.pop()
            self.rules[node.name] = self._value(node)
        return root

    def _rule(self, name: Name) -> str:
        if name not in self.rules:
            self.rules[name] = ""
            self._open.append(self.schema[name])
        return name

    def _value(self, node: SchemaNode) -> str:
        """Return the expression for the values of a node, null apart."""
        if node.alternatives:
            found = [self._rule(name) for name in node.alternatives if self.schema[name].types != {"null"}]
        elif node.values is not None:
            found = [_literal(_dump(value)) for value in node.values if value is not None]
        else:
            found = [self._of_kind(node, kind) for kind in node.kinds]
        return " | ".join(found) or '"null"'

    def _of_kind(self, node: SchemaNode, kind: str) -> str:
        if kind == "object":
            return self._object(node)
        if kind == "array":
            return self._list(node)
        if kind == "string" and node.ground == "verbatim":
            return self._copied(node)
        return kind

    def _copied(self, node: SchemaNode) -> str:
        kind = _CHARACTERS if node.annotations.any_border else _PIECES
        self.texts.add(kind)
        return rf'"\"" {kind}'

    def _property(self, name: Name) -> str:
        """Return the expression for a property: null, too, and empty where it is copied, as `answer_grammar` has it."""
        copied = any("string" in each.kinds and each.values is None for each in self.schema.options(self.schema[name]))
        return f"({_literal(_dump(''))} | {self._nullable(name)})" if copied else f"({self._nullable(name)})"

    def _nullable(self, name: Name) -> str:
        return f'"null" | {self._rule(name)}'

    def _object(self, node: SchemaNode) -> str:
        """Return the expression for an object: its properties in order, all of them, then what a map may hold."""
        members = [f"{_literal(_dump(name) + ': ')} {self._property(sub)}" for name, sub in node.properties.items()]
        valued = [*node.pattern_properties.values(), *([] if node.additional is None else [node.additional])]
        pair = f'string ": " ({" | ".join(map(self._property, valued))})' if valued else ""
        named = ' ", " '.join(members)
        if not pair:
            return f'"{{" {named} "}}"' if named else '"{}"'
        more = f'(", " {pair})*' if named else f'({pair} (", " {pair})*)?'
        return f'"{{" {named} {more} "}}"'

    def _list(self, node: SchemaNode) -> str:
        """Return the expression for a list of any length; what stands where in it and how often, validation says."""
        names = [*node.prefix, *([] if node.items is None or node.no_more_items else [node.items])]
        if not names:
            return '"[]"'
        item = f"({' | '.join(map(self._item, names))})"
        most = node.bounds.max_items
        more = "*" if most is None or most > _LONGEST_REPEATED else f"{{0,{max(0, most - 1)}}}"
        return f'("[" ({item} (", " {item}){more})? "]")'

    def _item(self, name: Name) -> str:
        nullable = any(option.nullable for option in self.schema.options(self.schema[name]))
        return self._nullable(name) if nullable else self._rule(name)


@dataclass
class _Automaton:
    """The rest of a string after its opening quote, as rules: one for each set of places that may be meant.

    Such a set is where the same characters have been read; once only one place is left, the rules go on piece by
    piece, and all strings share them. Sets are followed in the order of their length, as far as `_MOST_PLACES` reach:
    in a text that repeats itself without end longer values than that are not told apart.
    """

    kind: str
    text: str
    cut: tuple[str, ...]
    _names: dict[Positions, str] = field(default_factory=dict)
    _waiting: deque[tuple[Positions, int]] = field(default_factory=deque)
    _left: int = _MOST_PLACES

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield the names and bodies of all rules, the first of which is named as the kind."""
        ends = self._ends()
        starts = tuple(sorted(ends)[:-1])
        yield self.kind, self._branches(starts, 0) or r'"\""'
        while self._waiting:
            places, depth = self._waiting.popleft()
            closing = [r'"\""'] if not ends.isdisjoint(places) else []
            self._left -= len(places)
            further = self._branches(places, depth) if depth < _LONGEST_REPEATED and self._left > 0 else ""
            yield self._names[places], " | ".join(filter(None, [*closing, further])) or r'"\""'
        yield from self._single()

    def _ends(self) -> frozenset[int]:
        found = [0]
        for piece in self.cut:
            found.append(found[-1] + len(piece))
        return frozenset(found)

    def _branches(self, places: Positions, depth: int) -> str:
        """Return what may follow where any of some places is meant: a character, and the places that it leaves."""
        after: dict[str, list[int]] = {}
        for place in places:
            if place < len(self.text):
                after.setdefault(_escape(self.text[place]), []).append(place + 1)
        return " | ".join(f"{_literal(each)} {self._name(tuple(left), depth + 1)}" for each, left in after.items())

    def _name(self, places: Positions, depth: int) -> str:
        if len(places) == 1:
            return f"{self.kind}-{places[0]}"
        if places not in self._names:
            self._names[places] = f"{self.kind}s-{len(self._names)}"
            self._waiting.append((places, depth))
        return self._names[places]

    def _single(self) -> Iterator[tuple[str, str]]:
        """Yield the rules of single places: at a border the string may end, inside of a piece it goes on."""
        start = 0
        for piece in self.cut:
            end = start + len(piece)
            whole = _literal("".join(map(_escape, piece)))
            yield f"{self.kind}-{start}", rf'"\"" | {whole} {self.kind}-{end}'
            for place in range(start + 1, end):
                yield f"{self.kind}-{place}", f"{_literal(_escape(self.text[place]))} {self.kind}-{place + 1}"
            start = end
        yield f"{self.kind}-{start}", r'"\""'


def _only(node: SchemaNode, names: frozenset[str] | None) -> SchemaNode:
    if names is None:
        return node
    return replace(node, properties={name: sub for name, sub in node.properties.items() if name in names})


def _escape(character: str) -> str:
    """Return a character as it stands inside a JSON string. A lone surrogate becomes U+FFFD."""
    return _dump(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", character))[1:-1]


def _literal(text: str) -> str:
    """Return a literal for JSON text, which holds no control character that GBNF could not write."""
    return _dump(text)


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
