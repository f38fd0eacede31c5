"""A model that loops comes to the end of its lists, and one that does not is not disturbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.data import Json
from extractor.engine.constraint import Constraint, Vocabulary
from extractor.engine.list_ends import Commas, ListEnds, Places
from extractor.task.schema_node import CompiledSchema, SchemaNode
from extractor.task.task import make_task
from tests.builders import ring

STRINGS = {
    "type": "object",
    "properties": {"语言": {"type": "array", "items": {"type": "string"}}, "人": {"type": "string"}},
}
ROWS = {
    "type": "object",
    "properties": {
        "行": {
            "type": "array",
            "items": {"type": "object", "properties": {"品名": {"type": "string"}, "数量": {"type": "integer"}}},
        },
        "完": {"type": "boolean"},
    },
}
MAP = {"type": "object", "properties": {"表": {"type": "object", "additionalProperties": {"type": "string"}}}}
NUMBERS = {
    "type": "object",
    "properties": {"数": {"type": "array", "items": {"type": "integer"}}, "价": {"type": "number", "minimum": 0}},
}
"""Schemas with a list or a map without end, or numbers without end."""


@cache
def _vocabulary() -> tuple[Tokenizer, Vocabulary]:
    tokenizer = Tokenizer(DEMO_FOLDER / "tokenizer.model")
    return tokenizer, Vocabulary(tokenizer, json.loads((DEMO_FOLDER / "config.json").read_text())["padded_vocab_size"])


def _constraint(schema: Mapping[str, Json], text: str) -> Constraint:
    found = _vocabulary()[1].constrain(make_task(schema), text)
    assert found is not None
    return found


def _write(constraint: Constraint, choose: Callable[[list[int], bytes], int], most: int = 3000) -> str:
    """Decode with a model that is a function of what may come and what was written."""
    tokens = _vocabulary()[0]
    answer = b""
    for token in constraint.jump_forward():
        answer += tokens.piece_bytes(token)
    for _ in range(most):
        if constraint.done:
            return answer.decode()
        bits = np.unpackbits(constraint.masks()[0].view(np.uint8), bitorder="little").nonzero()[0].tolist()
        allowed = [token for token in bits if tokens.piece_bytes(token)]
        if not allowed:
            return answer.decode()
        token = choose(allowed, answer)
        assert constraint.advance(token)
        answer += b"".join(tokens.piece_bytes(each) for each in [token, *constraint.jump_forward()])
    pytest.fail(f"no end: {answer[:300]!r}")


def _looping(wanted: bytes) -> Callable[[list[int], bytes], int]:
    """A model that writes `wanted`, and where it cannot go on with it, whatever goes on with the list."""

    def choose(allowed: list[int], answer: bytes) -> int:
        tokens = _vocabulary()[0]
        texts = {token: tokens.piece_bytes(token) for token in allowed}
        for rest in (wanted[start:] for start in range(len(wanted))):
            done = wanted[: len(wanted) - len(rest)]
            if answer.endswith(done[-12:]) and (fits := [t for t, text in texts.items() if rest.startswith(text)]):
                return max(fits, key=lambda token: len(texts[token]))
        return min(allowed, key=lambda token: (b"," not in texts[token], b"]" in texts[token], token))

    return choose


def test_an_item_is_listed_once_more_than_it_stands_in_the_text_and_what_follows_the_list_is_written() -> None:
    constraint = _constraint(STRINGS, "支持 en 和 fr，负责人 李雷。")
    answer = json.loads(_write(constraint, _looping(b'{"\xe8\xaf\xad\xe8\xa8\x80": ["en", "en", "en", "en", "en", ')))
    assert answer["语言"][:2] == ["en", "en"]
    assert answer["语言"].count("en") == 2
    assert "人" in answer


@pytest.mark.parametrize("schema", [STRINGS, ROWS, MAP, NUMBERS])
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_every_model_comes_to_an_end(schema: Mapping[str, Json], seed: int) -> None:
    """Models that never end a list as long as they may go on with it."""
    rng = Random(seed)
    tokens = _vocabulary()[0]

    def choose(allowed: list[int], answer: bytes) -> int:
        some = rng.sample(allowed, min(8, len(allowed)))
        more = [token for token in allowed if b"," in tokens.piece_bytes(token)]
        return rng.choice(more or [token for token in some if b"]" not in tokens.piece_bytes(token)] or some)

    text = "品名 A4纸 数量 3 品名 笔"
    assert _write(_constraint(schema, text), choose).startswith(" {")


def _ends(schema: Mapping[str, Json], text: str) -> ListEnds:
    places = Places.of(make_task(schema).compiled, text)
    assert places is not None
    return ListEnds(places, Commas.of([b"a", b",", b'", "', b"}, {", b"]"], 5))


def _forbidden(ends: ListEnds, answer: str) -> list[bool]:
    """Whether tokens are forbidden after each character of an answer."""
    out = []
    for sign in answer:
        ends.append(sign.encode())
        out.append(ends.forbidden is not None)
    return out


def test_repeats_that_the_text_has_are_not_surplus() -> None:
    answer = '{"语言": ["x, y", "en", "en", "a\\"]", "fr"], "人": "en"}'
    assert not any(_forbidden(_ends(STRINGS, 'en fr x, y en a"]'), answer))
    assert any(_forbidden(_ends(STRINGS, 'en fr x, y a"]'), answer))


def test_numbers_and_values_that_cannot_be_counted_have_room() -> None:
    rows = ", ".join('{"品名": "纸", "数量": 2}' for _ in range(12))
    assert not any(_forbidden(_ends(ROWS, "纸"), f'{{"行": [{rows}]}}'))
    rows = ", ".join('{"品名": "纸", "数量": 2}' for _ in range(18))
    forbidden = _forbidden(_ends(ROWS, "纸"), f'{{"行": [{rows}]}}')
    assert forbidden[-3]
    assert not forbidden[-1]


def test_a_list_has_no_more_numbers_than_the_text() -> None:
    forbidden = _forbidden(_ends(NUMBERS, "共 100 元、八万元"), '{"数": [100, 80000, 3, 4]}')
    assert forbidden.index(True) == '{"数": [100, 80000, 3,'.index("3,") + 1


def test_only_schemas_with_endless_lists_are_followed() -> None:
    bounded = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "maxItems": 3}}}
    assert Places.of(make_task(bounded).compiled, "x") is None
    assert Places.of(make_task({"type": "object", "properties": {"a": {"type": "string"}}}).compiled, "x") is None


def _allowed(row: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> list[int]:
    return np.unpackbits(row.view(np.uint8), bitorder="little").nonzero()[0].tolist()


def test_a_draft_is_masked_as_it_would_be_token_by_token() -> None:
    tokens = _vocabulary()[0]
    first, second = (_constraint(STRINGS, "en fr") for _ in range(2))
    target = ' {"语言": ["fr", "en", "en"'.encode()
    written = b"".join(map(tokens.piece_bytes, first.jump_forward()))
    second.jump_forward()
    draft = []
    while rest := target[len(written) :]:
        token = max(
            (
                each
                for each in _allowed(first.masks()[0])
                if tokens.piece_bytes(each) and rest.startswith(tokens.piece_bytes(each))
            ),
            key=lambda each: len(tokens.piece_bytes(each)),
        )
        assert first.advance(token)
        draft.append([token, *first.jump_forward()])
        written += b"".join(map(tokens.piece_bytes, draft[-1]))
    rows = second.masks(draft)
    for row, part in zip(rows, draft, strict=False):
        assert (row == second.masks()[0]).all()
        assert second.advance(part[0])
        assert second.jump_forward() == part[1:]
    assert (rows[-1] == second.masks()[0]).all()
    assert len(draft) > 4
    last = {tokens.piece_bytes(token) for token in _allowed(rows[-1])}
    assert not any(b"," in piece for piece in last)
    assert any(piece.startswith(b"]") for piece in last)


def test_what_is_listed_is_looked_for_once_not_once_for_each_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the square of the nodes, for each document: minutes with a schema of FHIR."""
    found: list[str] = []
    reachable = CompiledSchema.reachable

    def counting(schema: CompiledSchema, *names: str) -> Iterator[SchemaNode]:
        for node in reachable(schema, *names):
            found.append(node.name)
            yield node

    monkeypatch.setattr(CompiledSchema, "reachable", counting)
    schema = make_task(ring(300)).compiled
    found.clear()
    assert Places.of(schema, "甲乙") is not None
    assert Places.of(schema, "丙") is not None
    assert len(found) <= 2 * len(schema.nodes)
