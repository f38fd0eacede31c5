"""Tables and rows as people export them: nothing is cut, swallowed or renamed without a word."""

from __future__ import annotations

import io
import json
import sys

import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions
from tests.readers.conftest import Read, failure, only, texts


def _found(items: list[Document | FailedDocument]) -> list[str]:
    return [item.text if isinstance(item, Document) else item.problem.code for item in items]


def test_text_with_commas_in_the_last_column_is_whole(read: Read) -> None:
    data = 'id,text\na,金额1,200元,请付款\nb,"引, 号",余下\nc,好\n'
    assert _found(read("a.csv", data)) == ["金额1,200元,请付款", "引, 号,余下", "好"]
    assert _found(read("b.csv", "text,id\n金额1,200元,a\n好,b\n")) == ["malformed", "好"]


@pytest.mark.parametrize("sign", [",", "\t"])
def test_a_stray_quote_fails_its_own_row(read: Read, sign: str) -> None:
    rows = ["姓名,备注", '张三,"规格 5', "李四,好", '王五,3" 屏', "赵六,末"]
    data = "\n".join(rows).replace(",", sign)
    assert _found(read("a.csv" if sign == "," else "a.tsv", data)) == [
        "malformed", "姓名: 李四\n备注: 好", '姓名: 王五\n备注: 3" 屏', "姓名: 赵六\n备注: 末",
    ]  # fmt: skip


def test_comments_above_the_header_are_none(read: Read) -> None:
    assert list(texts(read("a.csv", "# 导出于 2024-03-05\n#\n姓名,电话\n张三,138\n")).values()) == [
        "姓名: 张三\n电话: 138"
    ]
    assert list(texts(read("b.csv", "#,姓名\n1,张三\n")).values()) == ["#: 1\n姓名: 张三"]
    assert list(texts(read("c.tsv", "#编号\t姓名\n1\t张三\n2\t李四\n")).values()) == [
        "#编号: 1\n姓名: 张三",
        "#编号: 2\n姓名: 李四",
    ]


def test_a_text_field_that_is_not_there_is_an_error_that_names_the_columns(read: Read) -> None:
    problem = failure(read("a.csv", "编号,内容\n1,文\n", text_field="正文"))
    assert "编号, 内容" in problem.message


def test_an_integer_of_many_digits_stays_itself_as_an_id(read: Read) -> None:
    row = '{"id":12345678901234567890123,"text":"甲","n":1e400}'
    assert only(read("a.jsonl", row + "\n")).id == "12345678901234567890123"
    assert only(read("b.json", f"[{row}]")).id == "12345678901234567890123"


def test_a_list_on_standard_input_is_one_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows, ids in (([{"id": "a", "text": "甲"}, {"text": "乙"}], ["a", "stdin#2"]), ([1, 2], ["stdin"])):
        stdin = io.TextIOWrapper(io.BytesIO(json.dumps(rows, indent=1).encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert [item.id for item in ingest.read(["-"], ReadOptions())] == ids


def test_blank_lines_before_the_header_of_a_mail_are_nothing(read: Read) -> None:
    assert "正文" in only(read("a.eml", "\n" * 30 + "Subject: s\nFrom: a@b.c\n\n正文\n")).text
