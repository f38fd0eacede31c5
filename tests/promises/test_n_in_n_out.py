"""N documents give N rows, whatever they are and whatever is answered."""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.promises.runs import answer_with, run
from tests.readers.making import zipped

FILES: dict[str, bytes] = {
    "empty.txt": b"",
    "blank.md": b" \r\n\t\n",
    "bytes.txt": bytes(range(256)) * 8,
    "broken.txt": "姓名：王芳，手机号".encode("gbk") + b"\xff\x80\xff" * 9,
    "half a character.txt": "手机号：13800000000，账号".encode()[:-1],
    "marked.txt": b"\xff\xfe\x00\xd8",
    "one line.txt": b"x" * 300_000,
    "tags.html": b"<" * 20_000,
    "script.html": b"<script>while(1);</script>",
    "mail.eml": b"Subject: =?utf-8?b?\xff\n\n",
    "half.docx": b"PK\x03\x04",
    "no parts.docx": zipped({"a.txt": b""}),
    "no parts.xlsx": zipped({"a.txt": b""}),
    "garbage.pdf": b"%PDF-1.7\n" + b"\xff" * 999,
    "garbage.rtf": b"{\\rtf1" + b"{\\u-1" * 5000,
    "garbage.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600,
    "garbage.parquet": b"PAR1\xff\xffPAR1",
    "scan.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    "deep.json": b"[" * 100_000,
    "unknown.xyz": b"\x00\x01\x02\x03" * 64,
    "empty.zip": b"PK\x05\x06" + b"\0" * 18,
    "word.txt.gz": b"\x1f\x8b\x08\x00\xff",
    "线上\n第二行 \x1b[2J.txt": "手机号 13800000000".encode(),
    "-s.txt": b"a name like an option",
}
"""One document each, or none that can be read."""

ROWS: dict[str, tuple[bytes, int]] = {
    "rows.jsonl": (b'{"text": "a"}\n\n{"text": "\\ud800"}\nnot json\n{"text": 5}\n{"nothing": 1}\n[1]\n', 6),
    "rows.csv": (b"id,text\n1,a\n1,a\n,\n3,\x00\n", 3),  # a row of empty cells is no document
    "rows.json": (b'[{"text": "a"}, {"text": null}, 5]', 3),
    "two.zip": (zipped({"a.txt": "手机号 13800000000".encode(), "b.txt": b""}), 2),
}
"""Several documents each: how many."""


def _dangling(folder: Path) -> None:
    (folder / "dangling.txt").symlink_to("nowhere")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")


def _loop(folder: Path) -> None:
    (folder / "loop.txt").symlink_to("loop.txt")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket.txt"))


def _name_of_bytes(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt")).write_bytes(b"text")


ODDITIES: dict[str, Callable[[Path], None]] = {
    "dangling.txt": _dangling,
    "pipe.txt": _pipe,
    "loop.txt": _loop,
    "socket.txt": _socket,
    "\\xff\\xfe.txt": _name_of_bytes,
}
"""What can lie in a folder beside files, and is a row each."""

ANSWERS = {
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "a number": "1e999",
    "open": "{",
    "deep": '{"手机号":' * 5000,
    "brackets": "[" * 20_000,
    "prose": "抱歉，我不能回答这个问题。" * 50,
    "a page": "<html><body>502 Bad Gateway</body></html>",
    "fenced": "```json\n{}\n```",
    "thinking": "<think>" + "x" * 5000,
    "NaN": '{"手机号": NaN, "账号": Infinity}',
    "wrong types": '{"手机号": {"a": [1, {"b": null}]}, "账号": [[]], "密码": true, "邮箱": 1.5}',
    "a lone surrogate": '{"账号": "\\ud800"}',
    "a NUL": '{"账号": "\\u0000", "\\u0000": 1}',
    "a long string": '{"账号": "' + "长" * 200_000,
    "more than any model says": "{" * 1_000_001,
    "one key again and again": "{" + '"账号": null,' * 3000 + '"账号": 1}',
    "control tokens": "<|user|>\n<|assistant|>sop[gMASK]",
    "escapes": "\x1b]0;x\x07\x1b[2J",
}


def test_whatever_lies_in_a_folder_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in {**FILES, **{name: data for name, (data, _) in ROWS.items()}}.items():
        (folder / name).write_bytes(data)
    for make in ODDITIES.values():
        make(folder)
    code, found = run(folder, output=tmp_path / "rows.jsonl")
    names = [re.split(r"[/#]", row["source"]["path"].removeprefix(f"{folder}/"))[0] for row in found]
    expected = {**dict.fromkeys([*FILES, *ODDITIES], 1), **{name: count for name, (_, count) in ROWS.items()}}
    assert Counter(names) == expected
    assert len({row["id"] for row in found}) == len(found)
    assert code == 1
    assert all(row["errors"] for row in found if row["status"] == "failed")
    assert "internal" not in {error["code"] for row in found for error in row["errors"]}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_is_answered_is_a_row(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, lambda prompt: ANSWERS[answer])
    texts = [json.dumps({"id": str(number), "text": f"手机号 1380000000{number}"}) for number in range(3)]
    (tmp_path / "in.jsonl").write_text("\n".join(texts), encoding="utf-8")
    code, found = run(tmp_path / "in.jsonl", output=tmp_path / "rows.jsonl")
    assert sorted(row["id"] for row in found) == ["0", "1", "2"]
    assert code == (1 if "failed" in {row["status"] for row in found} else 0)
    assert "internal" not in {error["code"] for row in found for error in row["errors"]}
