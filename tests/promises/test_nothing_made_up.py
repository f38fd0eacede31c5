"""A string that a document gives is text of that document, at the place that the row names; else it is withheld."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.backends.scripted import Backend
from extractor.data import Document, Source
from extractor.pipeline import Pipeline
from extractor.task.task import make_task
from tests.cli.conftest import Row
from tests.promises.runs import answer_with, fields, run

TEXT = (
    "合同编号：HT-2026-0153，甲方：王小明（13800138000），数量 1,250 件，单价 ¥80.50，日期 2026-03-05。Email: li@a-b.cn"
)
STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
STRINGS = {"type": "array", "items": STRING}

MADE_UP: dict[str, tuple[Any, Any]] = {
    "a name that is not there": (STRING, "李华"),
    "a digit more": (STRING, "138001380001"),
    "a digit fewer": (STRING, "1380013800"),
    "two digits changed round": (STRING, "13800138100"),
    "the middle of a number": (STRING, "00138"),
    "a part of a code": (STRING, "HT-2026-015"),
    "two places in one": (STRING, "王小明13800138000"),
    "a date in another form": (STRING, "2026年3月5日"),
    "a word of the prompt": (STRING, "JSON"),
    "the name of the field": (STRING, "f"),
    "an address completed": (STRING, "li@a-b.cn.com"),
    "an address cut": (STRING, "i@a-b.cn"),
    "a character that looks alike": (STRING, "王小眀"),
    "a hidden character": (STRING, "王\u200b小\u200b李"),
    "a number that is not there": (INTEGER, 1251),
    "digits of a longer number": (INTEGER, 125),
    "a thousand times as much": (INTEGER, 1250000),
    "a number of another scale": (NUMBER, 8050),
    "a negative one": (INTEGER, -1250),
    "none of a list": (STRINGS, ["丙", "乙方"]),
    "a map of it": ({"type": "object", "additionalProperties": STRING}, {"经理": "总裁"}),
}
"""What a model may say of `TEXT`, and the field it is said for."""

FOUND: dict[str, tuple[Any, Any]] = {
    "a code": (STRING, "HT-2026-0153"),
    "a name": (STRING, "王小明"),
    "a number as text": (STRING, "13800138000"),
    "an address": (STRING, "li@a-b.cn"),
    "a number": (INTEGER, 1250),
    "a price": (NUMBER, 80.5),
    "a list": (STRINGS, ["王小明", "13800138000"]),
}
"""What is there, so that the table above is no table of what is always withheld."""


def _row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, value: Any) -> Row:
    answer_with(monkeypatch, lambda prompt: json.dumps({"f": value}, ensure_ascii=False))
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    schema = fields(tmp_path / "s.json", f=kind)
    _, (row,) = run(tmp_path / "a.txt", output=tmp_path / "rows.jsonl", schema=schema)
    return row


@pytest.mark.parametrize("attack", MADE_UP)
def test_what_is_not_in_the_document_is_not_in_the_row(
    attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _row(tmp_path, monkeypatch, *MADE_UP[attack])
    assert row["data"] is None or not row["data"].get("f"), row["data"]
    assert row["spans"] == {}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_there_is_given_with_its_place(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, value = FOUND[case]
    row = _row(tmp_path, monkeypatch, kind, value)
    assert row["data"] == {"f": value}
    places = {TEXT[slice(*place)] for found in row["spans"].values() for place in found}
    assert places
    assert places <= {"HT-2026-0153", "王小明", "13800138000", "li@a-b.cn", "1,250", "80.50"}


LETTERS = "王小明李1380 -，,.：:（）()aAＡ\u00e9e\u0301\u3000\n\t"
VERBATIM = make_task({"type": "object", "properties": {"f": STRING, "g": STRINGS}})


@given(st.text(LETTERS, min_size=1, max_size=30).filter(str.strip), st.data())
@settings(max_examples=300)
def test_any_string_of_an_answer_is_the_text_at_its_place(text: str, data: st.DataObject) -> None:
    strings = st.one_of(
        st.text(LETTERS, max_size=6), st.sampled_from([text, text[1:], text[:-1], text[1:4], text[::-1]])
    )
    answer = json.dumps({"f": data.draw(strings), "g": data.draw(st.lists(strings, max_size=3))})
    (record,) = Pipeline(VERBATIM, Backend(answer=lambda prompt: answer)).run([Document("d", text, Source("", "0"))])
    found = record.data or {}
    values = {"/f": found.get("f"), **{f"/g/{at}": item for at, item in enumerate(found.get("g") or [])}}
    for pointer, value in values.items():
        if value is not None:
            assert {text[slice(*place)] for place in record.spans[pointer]} == {value}
