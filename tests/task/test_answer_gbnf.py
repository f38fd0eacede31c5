"""The grammar in GBNF accepts the answers of a task about a text, and no copied value that is not in it.

It is read by a recogniser of the notation that is written here, so that no server is needed.
"""

import json
import re
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.data import Json
from extractor.task.answer_gbnf import MOST_CHARACTERS, gbnf
from extractor.task.task import Task, make_task
from extractor.text.borders import Borders

TEXT = 'Order CK-5518-204, pass it\'s"OK"\\2\nDate: 2024-10-14, total 742.30, tel 13812345678, CK-5518-999 订单号：88'
STRING = {"type": "string"}


def _task(**properties: Mapping[str, Json]) -> Task:
    return make_task({"type": "object", "properties": properties})


def _write(data: Json) -> str:
    return json.dumps(data, ensure_ascii=False)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{[0-9,]+\}|[\w-]+|[()|*?]')


class _Recogniser:
    """Follows all ways at once: each step takes the places in an answer to those behind what an expression accepts."""

    def __init__(self, source: str) -> None:
        self.rules = dict(line.split(" ::= ", 1) for line in source.splitlines())
        self.read: dict[str, list[list[tuple[str, object, str]]]] = {}

    def accepts(self, answer: str) -> bool:
        return len(answer) in self._rule("root", answer, frozenset({0}))

    def _rule(self, name: str, answer: str, places: frozenset[int]) -> frozenset[int]:
        if name not in self.read:
            tokens = iter(_TOKEN.findall(self.rules[name]))
            self.read[name] = _alternatives(tokens)
        return self._either(self.read[name], answer, places)

    def _either(self, options: list, answer: str, places: frozenset[int]) -> frozenset[int]:  # type: ignore[type-arg]
        found: set[int] = set()
        for parts in options:
            left = places
            for part in parts:
                left = self._repeated(part, answer, left) if left else left
            found |= left
        return frozenset(found)

    def _repeated(self, part: tuple[str, object, str], answer: str, places: frozenset[int]) -> frozenset[int]:
        kind, what, times = part
        least, most = {"": (1, 1), "*": (0, 10**6), "?": (0, 1)}.get(times) or _counts(times)
        found = places if least == 0 else frozenset()
        for count in range(1, most + 1):
            places = self._once(kind, what, answer, places)
            if not places or (count > least and places <= found):
                break
            found = found | places if count >= least else found
        return found

    def _once(self, kind: str, what: object, answer: str, places: frozenset[int]) -> frozenset[int]:
        if kind == "group":
            return self._either(what, answer, places)  # type: ignore[arg-type]
        if kind == "rule":
            return self._rule(str(what), answer, places)
        if kind == "class":
            return frozenset(place + 1 for place in places if re.match(str(what), answer[place : place + 1]))
        literal = str(what)
        return frozenset(place + len(literal) for place in places if answer.startswith(literal, place))


def _alternatives(tokens: Iterator[str]) -> list[list[tuple[str, object, str]]]:
    found: list[list[tuple[str, object, str]]] = [[]]
    for token in tokens:
        if token == ")":
            break
        if token == "|":
            found.append([])
        elif token in "*?" or token[0] == "{":
            kind, what, _ = found[-1][-1]
            found[-1][-1] = (kind, what, token)
        elif token == "(":
            found[-1].append(("group", _alternatives(tokens), ""))
        elif token[0] == "[":
            found[-1].append(("class", token, ""))
        else:
            found[-1].append(("literal", json.loads(token), "") if token[0] == '"' else ("rule", token, ""))
    return found


def _counts(times: str) -> tuple[int, int]:
    least, _, most = times[1:-1].partition(",")
    return int(least), int(most or least)


def _accepts(task: Task, data: Json, text: str = TEXT) -> bool:
    return _Recogniser(gbnf(task, text)).accepts(_write(data))


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        (STRING, "CK-5518", True),
        (STRING, "CK-5518-204", True),
        (STRING, "CK-5518-999 订单号", True),
        (STRING, None, True),
        (STRING, "", True),
        (STRING, "CK-5519", False),
        (STRING, "Ord", False),
        (STRING, "1381234", False),
        (STRING, 'it\'s"OK"\\2', True),
        (STRING, "2\nDate", True),
        (STRING, TEXT, True),
        (STRING, TEXT + TEXT, False),
        ({**STRING, "x-border": "any"}, "rde", True),
        ({**STRING, "x-ground": "normalized"}, "anything", True),
        ({"type": "integer"}, -12, True),
        ({"type": "integer"}, 1.5, False),
        ({"type": "number"}, 742.3, True),
        ({"type": "boolean"}, False, True),
        ({"enum": ["a", 'b"', 3]}, 'b"', True),
        ({"enum": ["a", 'b"', 3]}, "c", False),
        ({"type": "array", "items": STRING}, ["total", "tel"], True),
        ({"type": "array", "items": STRING}, [], True),
        ({"type": "array", "items": STRING}, ["none"], False),
        ({"type": "array", "items": STRING, "maxItems": 1}, ["total", "tel"], False),
        ({"type": "object", "properties": {"b": STRING}}, {"b": "tel"}, True),
        ({"type": "object", "properties": {"b": STRING}}, {"b": "no"}, False),
        ({"type": "object", "additionalProperties": STRING}, {"any": "tel", "key": None}, True),
        ({"type": "object"}, {"free": [1, {"x": "tel"}]}, True),
        ({"type": "object"}, {"free": "fax"}, False),
        ({"anyOf": [STRING, {"type": "integer"}]}, 5, True),
        ({"type": ["string", "null"], "format": "date"}, "2024-10-14", True),
    ],
)
def test_a_value_is_accepted_or_not(schema: Mapping[str, Json], value: Json, accepted: bool) -> None:
    assert _accepts(_task(a=schema), {"a": value}) is accepted


def test_every_property_is_asked_for_in_order_and_nothing_else() -> None:
    task = _task(a=STRING, b=STRING)
    assert _accepts(task, {"a": "tel", "b": None})
    assert not _accepts(task, {"b": None, "a": "tel"})
    assert not _accepts(task, {"a": "tel"})
    assert not _accepts(task, {"a": "tel", "b": None, "c": None})


def test_a_schema_that_refers_to_itself_is_one_rule() -> None:
    node = {"type": "object", "properties": {"name": STRING, "next": {"$ref": "#/$defs/node"}}}
    task = make_task({"type": "object", "properties": {"first": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    assert _accepts(task, {"first": {"name": "tel", "next": {"name": "total", "next": None}}})
    assert not _accepts(task, {"first": {"name": "tel", "next": {"name": "nobody", "next": None}}})


@settings(max_examples=60, deadline=None)
@given(st.text("ab1 ,\n中", min_size=1, max_size=24), st.integers(0, 24), st.integers(0, 24))
def test_exactly_what_begins_and_ends_at_borders_is_accepted(text: str, start: int, end: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    value = text[start:end]
    places = [at for at in range(len(text)) if value and text.startswith(value, at)]
    stands = any(Borders(text).fit((at, at + len(value))) for at in places)
    assert _accepts(_task(a=STRING), {"a": value}, text) is (stands or not value)


def test_a_text_without_anything_has_no_value() -> None:
    assert _accepts(_task(a=STRING), {"a": None}, "")
    assert not _accepts(_task(a=STRING), {"a": "x"}, "")


@pytest.mark.parametrize("part", ["-", "a", "a ", "中", "甲乙丙丁", "1,", '"\\'])
def test_the_rules_of_a_text_that_repeats_itself_stay_in_proportion(part: str) -> None:
    once, twice = (gbnf(_task(a=STRING), (part * count)[:count]) for count in (MOST_CHARACTERS // 2, MOST_CHARACTERS))
    assert len(twice) < 2.5 * len(once) < 1_500_000
