"""Keys, passwords and sensitive values are in no log, error, notes of a run or table, whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.raw_server import RawServer, completion, http, serving
from tests.cli.conftest import Run
from tests.cli.conftest import extractor as extractor  # the fixture

KEY = "sk-Sec7et/Key+9"
PASSWORD = "Pa55 w0rd"
VALUE = "Xy9secret"
DOCUMENT = f"手机号：13800138000\n密码：{VALUE}\n"

CHAT, LIST = "/v1/chat/completions", "/v1/models"
ECHO = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "param": f"Bearer {KEY}"}}).encode()
REPLIES: dict[str, dict[str, Any]] = {
    "refused": {CHAT: http(ECHO, "401 Unauthorized")},
    "refused at the start": {LIST: http(ECHO, "403 Forbidden")},
    "not found": {CHAT: http(ECHO, "404 Not Found")},
    "a bad request": {CHAT: http(ECHO, "400 Bad Request")},
    "broken": {CHAT: http(ECHO, "500 Oops")},
    "a page": {LIST: http(f"<html>{KEY}</html>".encode())},
    "a redirect": {CHAT: http(b"", "302 Found", f"Location: http://127.0.0.1/{KEY}")},
    "words of the status": {CHAT: http(b"{}", f"400 {KEY}")},
    "a model of that name": {LIST: http(json.dumps({"data": [{"id": KEY}]}).encode())},
    "an answer": {CHAT: http(completion(f"Bearer {KEY}"))},
    "escaped": {CHAT: http(ECHO.replace(b"/", b"\\/"), "400 Bad Request")},
}
"""What a server says that repeats the key it was sent."""


def _written(folder: Path) -> str:
    return "".join(path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("reply", REPLIES)
def test_a_key_that_a_server_repeats_goes_no_further(
    reply: str, extractor: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "in.txt").write_text(DOCUMENT, encoding="utf-8")
    with serving(RawServer(REPLIES[reply])) as url:
        line = ("run", "in.txt", "-s", "contact", "--backend", "openai", "--base-url", url, "--max-attempts", "1")
        done = extractor("--debug", *line, "-v", "-o", "rows.jsonl", "--table", "--retries", "0")
    assert done.returncode in (0, 1, 3), done.stderr
    assert KEY not in done.stdout + done.stderr + _written(tmp_path)


def _locked_pdf(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n1 0 obj<</Encrypt 2 0 R>>endobj\ntrailer<</Root 1 0 R/Encrypt 2 0 R>>")


def _damaged(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04")


FILES: dict[str, Callable[[Path], object]] = {"a.pdf": _locked_pdf, "a.docx": _damaged, "a.zip": _damaged}


def test_a_password_of_files_is_not_repeated(extractor: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, make in FILES.items():
        make(tmp_path / "in" / name)
    line = ("run", "in", "-s", "contact", "--backend", "scripted", "--password", PASSWORD, "-v", "-o", "rows.jsonl")
    done = extractor("--debug", *line)
    assert done.returncode == 1
    assert PASSWORD not in done.stdout + done.stderr + _written(tmp_path)


def test_an_address_keeps_the_password_in_it(extractor: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(DOCUMENT, encoding="utf-8")
    with serving(RawServer({CHAT: http(completion("{}"))})) as url:
        address = url.replace("http://", f"http://me:{VALUE}@")
        line = (
            "run",
            "in.txt",
            "-s",
            "contact",
            "--backend",
            "openai",
            "--base-url",
            address,
            "-v",
            "-o",
            "rows.jsonl",
        )
        done = extractor("--debug", *line)
    (tmp_path / "in.txt").unlink()
    assert VALUE not in done.stdout + done.stderr + _written(tmp_path)


ANSWERS: dict[str, Any] = {
    "found": {"密码": VALUE},
    "not found": {"密码": f"{VALUE}-x"},
    "of a wrong type": {"密码": {"a": VALUE}},
    "under another name": {"密碼": VALUE, "手机号": VALUE},
}
"""Answers that hold the value of a sensitive field."""


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_sensitive_value_is_in_no_log_and_masked_where_it_is_asked_for(
    answer: str, extractor: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text(DOCUMENT, encoding="utf-8")
    with serving(RawServer({CHAT: http(completion(json.dumps(ANSWERS[answer], ensure_ascii=False)))})) as url:
        line = ("run", "in.txt", "-s", "contact", "--backend", "openai", "--base-url", url, "--redact", "--table", "-v")
        done = extractor("--debug", *line, "-o", "rows.jsonl")
    (tmp_path / "in.txt").unlink()
    assert VALUE not in done.stdout + done.stderr + _written(tmp_path)
