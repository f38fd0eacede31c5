"""Every reader on every hostile shape: a limit holds, nothing crashes, and the time is not quadratic in the size.

The readers that were quadratic took from half a minute to hours over what takes a second here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import FailedDocument
from extractor.ingest import ReadOptions
from extractor.ingest.registry import distinct

BYTES = 128 << 10
SECONDS = 12.0

REPEATED = {
    "letters": b"a", "spaces": b" ", "newlines": b"\n", "returns": b"\r", "crlf": b"\r\n", "tabs": b"\t", "nuls": b"\0",
    "letters-and-nuls": b"a\0", "quotes": b'"', "every-other-quote": b'"a', "apostrophes": b"'",
    "open-quotes": b'a,"b\n',
    "stray-quotes": b'a"b,c\n"', "commas": b",", "semicolons": b";", "bars": b"|", "open-brackets": b"[",
    "open-braces": b"{", "brackets": b"[]", "nested-objects": b'{"a":', "less-than": b"<", "empty-tags": b"<>",
    "nested-tags": b"<div>", "nested-formatting": b"<a><b>", "nested-tables": b"<table><td>", "items": b"<li>",
    "misnested-tags": b"<b><i></b></i>", "closed-tags": b"<div></div>", "open-attributes": b'<a href="',
    "open-comments": b"<!--", "comments": b"<!-- -->", "declarations": b"<?xml ", "cdata": b"<![CDATA[",
    "entities": b"&amp", "number-entities": b"&#", "backslashes": b"\\", "surrogates": b"\xed\xa0\x80", "ff": b"\xff",
    "x80": b"\x80", "gbk": "中".encode("gbk"), "shifts": b"\x1b$B", "hz": b"~{", "headers": b"A: b\n",
    "json-lines": b'{"text":"a"}\n', "zip-headers": b"PK\x03\x04",
}  # fmt: skip
BEHIND = {
    "folded-header": (b"Subject: x", b"\n y"), "boundaries": (b"Subject: x\n\n", b"--b\n"),
    "encoded-words": (b"Subject: ", b"=?utf-8?q?a?= "), "half-encoded-words": (b"Subject: ", b"=?"),
    "addresses": (b"From: a@b\nTo: ", b"a@b,"), "mail-comments": (b"To: ", b"("),
    "parts": (b"Content-Type: multipart/mixed; boundary=b\n\n", b"--b\n\n"),
    "parameters": (b"Content-Type: text/plain; ", b"a*0*=b;"), "escapes": (b'{"text":"', b"\\u00"),
    "digits": (b"[", b"1"), "rtf-groups": (b"{\\rtf1 ", b"{"), "rtf-characters": (b"{\\rtf1 ", b"\\u1 \\'"),
    "rtf-words": (b"{\\rtf1 ", b"\\a"), "pdf-objects": (b"%PDF-1.4\n", b"1 0 obj<<"),
    "options": (b"<select>", b"<option>1"), "rules": (b"<style>", b"a.b c{display:none}"),
    "links": (b"<body>", b"<a href=http://a>b</a>"),
    "tnef": (b"\x78\x9f\x3e\x22\0\0", b"\x02\x02\x90\0\0\0\0\0\0\0\0"),
    "gzip": (b"\x1f\x8b\x08\0", b"\0"),
    "compound": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\0\1"),
}  # fmt: skip


def _shapes() -> dict[str, bytes]:
    shapes = {name: (part * (BYTES // len(part) + 1))[:BYTES] for name, part in REPEATED.items()}
    shapes |= {name: head + (part * (BYTES // len(part) + 1))[:BYTES] for name, (head, part) in BEHIND.items()}
    return {**shapes, "long-ascii-line": b"a" * BYTES + "中文".encode("gbk")}


@pytest.mark.parametrize("suffix", [format.suffixes[0] for format in distinct()])
def test_every_shape_is_read_or_refused_within_a_limit(suffix: str, tmp_path: Path) -> None:
    for name, data in _shapes().items():
        (tmp_path / f"{name}{suffix}").write_bytes(data)
    found = list(ingest.read([str(tmp_path)], ReadOptions(timeout=SECONDS)))
    problems = {item.id: item.problem for item in found if isinstance(item, FailedDocument)}
    assert {item.source.path.removeprefix(f"{tmp_path}/").partition(suffix)[0] for item in found} == {*_shapes()}
    assert [(name, each) for name, each in problems.items() if each.code in ("timeout", "crashed")] == []
