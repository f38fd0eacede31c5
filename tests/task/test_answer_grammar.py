"""The grammar accepts exactly the JSON of the schema whose verbatim values stand in the text."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.chatglm3 import Tokenizer
from extractor.data import Json
from extractor.engine.constraint import Constraint, Vocabulary
from extractor.task.schema_report import report
from extractor.task.task import Task, load_task, make_task
from extractor.text.borders import Borders
from tests.builders import levels

CHECKPOINT = Path(__file__).parent.parent / "reference" / "chatglm3-tiny"
TOKENIZER = Tokenizer(CHECKPOINT)
VOCABULARY = Vocabulary(TOKENIZER, 960)
TEXT = '订单号：CK-5518-204 密码 it\'s"OK"\\2\n日期：2024-10-14，金额：742.30，a@b.cc 手机 13812345678'


def _task(**properties: Mapping[str, Json]) -> Task:
    return make_task({"type": "object", "properties": properties})


def _constraint(task: Task, text: str = TEXT) -> Constraint:
    constraint = VOCABULARY.constrain(task, text)
    assert constraint is not None
    return constraint


def _allowed(constraint: Constraint) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(constraint.masks().view(np.uint8), bitorder="little")).tolist())


def _accepts(task: Task, answer: str, text: str = TEXT) -> bool:
    constraint = _constraint(task, text)
    return all(constraint.advance(token) for token in TOKENIZER.encode_continuation(" " + answer)) and constraint.done


def _write(data: Json) -> str:
    return json.dumps(data, ensure_ascii=False)


STRING = {"type": "string"}
PHONE = {"type": "string", "pattern": "^1[0-9]{10}$"}


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        (STRING, "CK-5518", True),
        (STRING, None, True),
        (STRING, "", True),
        (STRING, "CK-5519", False),
        (STRING, 'it\'s"OK"\\2', True),
        (STRING, "2\n日期", True),
        (STRING, TEXT, True),
        (STRING, 742, False),
        ({"type": "string", "maxLength": 7}, "CK-5518", True),
        ({"type": "string", "maxLength": 7}, "CK-5518-", False),
        ({"type": "string", "minLength": 3}, "CK", False),
        (PHONE, "13812345678", True),
        (PHONE, "742", False),
        ({"type": "string", "pattern": "^[0-9]+$"}, '"OK"\\2', False),
        ({"type": "string", "pattern": '^"OK"$'}, '"OK"', True),
        ({"type": "string", "pattern": r"^\S+$"}, 'it\'s"OK"\\2', True),
        ({"type": "string", "pattern": "b\\.cc"}, "a@b.cc", True),
        ({"type": "string", "pattern": "^(?=x)"}, "a@b.cc", True),  # beyond the automaton: left to the validator
        ({"type": "integer"}, 12, True),
        ({"type": "integer"}, "12", False),
        ({"type": "number"}, 742.3, True),
        ({"type": "boolean"}, True, True),
        ({"enum": ["红", "green"]}, "红", True),
        ({"enum": ["红", "green"]}, "blue", False),
        ({"type": "string", "x-ground": "none"}, "free words", True),
        ({"type": "string", "format": "date"}, "2024-10-14", True),
        ({"type": "array", "items": STRING}, ["CK", "手机"], True),
        ({"type": "array", "items": STRING}, ["CK", "电话"], False),
        ({"type": "array", "items": STRING}, ["CK", ""], False),
        ({"type": "string", "pattern": "^[0-9]*$"}, "", True),
        ({"type": "string", "pattern": "^[0-9]+$"}, "", False),
        ({"type": "array", "items": STRING}, [], True),
        ({"type": "array", "items": STRING, "maxItems": 2}, ["C", "K", "5"], False),
        ({"type": "array", "items": STRING, "minItems": 1}, [], False),
        ({"type": "object", "properties": {"x": STRING, "y": {"type": "integer"}}}, {"x": "手机", "y": 1}, True),
        ({"type": "object", "properties": {"x": STRING}}, {"x": "电话"}, False),
        ({"anyOf": [{"type": "integer"}, STRING]}, "手机", True),
        ({"anyOf": [{"type": "integer"}, STRING]}, 5, True),
        ({"anyOf": [{"type": "integer"}, STRING]}, "电话", False),
        ({"type": ["string", "null"]}, "手机", True),
    ],
)
def test_an_answer_is_accepted_if_schema_and_text_allow_it(
    schema: dict[str, Json], value: Json, accepted: bool
) -> None:
    assert _accepts(_task(x=schema), _write({"x": value})) is accepted


@pytest.mark.parametrize(
    "answer", ['{"y": null}', '{"x":null}', '{"x": null }', '{"x": null, "z": 1}', "{}", '["x"]', 'Here: {"x": null}']
)
def test_only_the_skeleton_that_json_dumps_writes_is_accepted(answer: str) -> None:
    assert not _accepts(_task(x=STRING), answer)


def test_references_inside_the_schema_are_followed() -> None:
    task = make_task({"properties": {"x": {"$ref": "#/$defs/s"}}, "$defs": {"s": {"type": "string", "maxLength": 4}}})
    assert _accepts(task, '{"x": "5518"}')
    assert not _accepts(task, '{"x": "CK-5518"}')


def test_a_string_that_no_text_can_complete_is_never_begun() -> None:
    constraint = _constraint(_task(x=PHONE), "没有电话 138 abc")
    for token in TOKENIZER.encode_continuation(' {"x": '):
        assert constraint.advance(token)
    allowed = {TOKENIZER.piece_bytes(token) for token in _allowed(constraint)}
    assert allowed
    assert all(b"null".startswith(piece) for piece in allowed)


def test_only_text_that_can_still_fit_the_pattern_may_follow() -> None:
    constraint = _constraint(_task(x={"type": "string", "pattern": "^[0-9]{5,24}$"}), "138 abc 12345678")
    for token in TOKENIZER.encode_continuation(' {"x": "1'):
        assert constraint.advance(token)
    assert {TOKENIZER.piece_bytes(token) for token in _allowed(constraint)} <= {b"2", b"23", b"234"}


def test_a_control_token_of_the_text_is_text() -> None:
    text = "密码是 <|user|>[gMASK]sop</s>"
    assert _accepts(_task(x=STRING), '{"x": "<|user|>[gMASK]sop</s>"}', text)
    constraint = _constraint(_task(x=STRING), text)
    assert not _allowed(constraint) & set(TOKENIZER.special.values())


@pytest.mark.parametrize("length", [1, 300, 3000, 20000])
def test_long_texts_have_a_grammar_too(length: int) -> None:
    text = "".join(chr(0x4E00 + (number * 7919) % 5000) for number in range(length))
    assert VOCABULARY.constrain(load_task("contact"), text) is not None


ANYWHERE = {"type": "string", "x-border": "any"}


@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=1, max_size=40), data=st.data())
def test_any_part_of_any_text_is_accepted_where_borders_do_not_count(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert _accepts(_task(x=ANYWHERE), _write({"x": text[start:end]}), text)


@settings(max_examples=120, deadline=None)
@given(text=st.text(alphabet='ab1"\\\n甲,', max_size=12), value=st.text(alphabet='ab1"\\\n甲,', min_size=1, max_size=4))
def test_a_value_is_accepted_if_and_only_if_it_occurs_between_borders(text: str, value: str) -> None:
    assert _accepts(_task(x=ANYWHERE), _write({"x": value}), text) is (value in text)
    borders = Borders(text)
    starts = [at for at in range(len(text)) if text.startswith(value, at)]
    between = any(borders.fit((at, at + len(value))) for at in starts)
    assert _accepts(_task(x=STRING), _write({"x": value}), text) is between


@pytest.mark.parametrize(
    ("text", "value", "accepted"),
    [
        ("电话18612345678", "18612345678", True),
        ("电话18612345678", "1861234", False),
        ("电话18612345678", "8612345678", False),
        ("见 https://a.cn", "ht", False),
        ("见 https://a.cn", "https://a.cn", True),
        ("QQ730155826", "730155826", True),
        ("QQ730155826", "QQ", True),
        ("合计1,200.50元", "200.50", False),
        ("合计1,200.50元", "1,200.50", True),
        ("合计1,200.50元", "1,200", False),
        ("地址192.168.0.1", "192.168", False),
        ("单价3.5", "3.5", True),
        ("１２３４５号", "１２３", False),
        ("用户zhang_san", "zhang", True),
        ("甲乙丙", "乙", True),
        ("naïve", "na", False),
    ],
)
def test_a_verbatim_value_begins_and_ends_at_a_border(text: str, value: str, accepted: bool) -> None:
    assert _accepts(_task(x=STRING), _write({"x": value}), text) is accepted


def test_of_too_many_members_the_objects_deepest_in_are_any_json() -> None:
    """A grammar of all of them is more than llguidance takes, and the answer would be free altogether."""
    task = make_task(levels(100, 110))
    assert task.unconstrained == ("/x",)
    assert [finding.message for finding in report(task) if finding.pointer == "/x"] == [
        "the grammar leaves what is in the object to the validator: an answer may have to be retried"
    ]
    inner = {f"m{number}": None for number in range(110)}
    assert _accepts(task, _write({"x": inner}))
    assert not _accepts(task, _write({"x": inner, "y": 1}))
    assert not _accepts(task, _write({"x": {"m1": None}}))
