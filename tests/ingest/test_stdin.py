"""Standard input is JSON Lines, row by row, or one document."""

import io
import os
import sys

import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def _read(monkeypatch: pytest.MonkeyPatch, data: bytes, **options: object) -> dict[str, str]:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    items = ingest.read(["-"], ReadOptions(**options))  # type: ignore[arg-type]
    return {item.id: item.text if isinstance(item, Document) else f"!{item.problem.code}" for item in items}


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ("手机号", {}, {"stdin": "手机号"}),
        ('\n{"text": "一"}\n{"id": "b", "text": "二"}\n', {}, {"stdin#2": "一", "b": "二"}),
        ('\ufeff{"text": "一"}\n', {}, {"stdin#1": "一"}),
        ('{"text": "一"}\n', {"stdin": "text"}, {"stdin": '{"text": "一"}\n'}),
        ('oops\n{"text": "一"}', {"stdin": "jsonl"}, {"stdin#1": "!malformed", "stdin#2": "一"}),
        ('{\n"text": "一"\n}\n', {}, {"stdin": '{\n"text": "一"\n}\n'}),
        ("[1]\n", {}, {"stdin": "[1]\n"}),
        (" [ ]\n", {}, {}),
        ("", {}, {"stdin": "!empty"}),
        ("", {"stdin": "jsonl"}, {"stdin": "!empty"}),
        ("一二三四", {"max_bytes": 11}, {"stdin": "!too-large"}),
        ("一二三四", {"max_bytes": 12}, {"stdin": "一二三四"}),
    ],
)
def test_what_comes_in_is_read(
    monkeypatch: pytest.MonkeyPatch, data: str, options: dict[str, object], expected: dict[str, str]
) -> None:
    assert _read(monkeypatch, data.encode(), **options) == expected


def test_a_text_may_be_in_any_encoding_and_a_row_is_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _read(monkeypatch, "手机号一二三".encode("gb18030")) == {"stdin": "手机号一二三"}
    data = b'{"text": "a"}\n' + '{"text": "手机"}\n'.encode("gb18030") + '{"text": "号"}\n'.encode()
    assert list(_read(monkeypatch, data).values()) == ["a", "!encoding", "号"]


def test_a_row_is_a_document_as_soon_as_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as pipe:
        stdin = Stdin(b"")
        stdin.buffer = stream  # type: ignore[assignment]
        monkeypatch.setattr(sys, "stdin", stdin)
        documents = ingest.read(["-"])
        for number in range(3):
            pipe.write(b'{"text": "row %d"}\n' % number)
            document = next(documents)
            assert isinstance(document, Document)
            assert document.text == f"row {number}"
        pipe.close()
        assert list(documents) == []


def test_stdin_can_be_one_input_among_files(monkeypatch: pytest.MonkeyPatch, tmp_path: "os.PathLike[str]") -> None:
    monkeypatch.chdir(tmp_path)
    with open("a.txt", "w", encoding="utf-8") as stream:
        stream.write("一")
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    first, second = ingest.read(["a.txt", "-", "-"])
    assert first.id == "a.txt"
    assert isinstance(second, FailedDocument)
    assert second.id == "stdin"
