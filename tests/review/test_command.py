"""`extractor review` through the real command line: what is asked, what is refused, who is answered."""

from __future__ import annotations

import json
import socket
import urllib.error
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from extractor.data import Provenance, RecordError, Withheld
from extractor.errors import Problem
from tests.browser import DIRECT
from tests.cli.conftest import Run
from tests.report.records import found, write
from tests.review.running import Review, gold, review

TEXT = "😀手机号：13800000000，邮箱 a@b.cc"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    folder = tmp_path_factory.mktemp("review")
    write(folder, {"a.txt": TEXT}, [found("a.txt", TEXT, {"手机号": "13800000000"})])
    with review(folder, "-s", "contact") as opened:
        yield opened
        assert "Traceback" not in opened.said


def _status(running: Review, question: str = "session", body: bytes = b"{}", **headers: str) -> int:
    try:
        with DIRECT.open(running.request(question, body, **headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        said, status = error.read().decode(), error.code
    assert said == f"{status} {HTTPStatus(status).phrase}\n"
    return status


def _raw(running: Review, request: str) -> bytes:
    """The first line of what comes for a request that is written by hand."""
    host, token = running.origin.removeprefix("http://"), running.address.split("/")[3]
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=10) as connection, connection.makefile("rb") as answer:
        connection.sendall(request.replace("HOST", host).replace("PATH", f"/{token}/").encode())
        return answer.readline()


def test_the_page_is_answered_with_the_token_and_allows_nothing_from_elsewhere(running: Review) -> None:
    with DIRECT.open(running.address, timeout=10) as answer:
        page = answer.read().decode()
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in page
    for name in ("page.css", "page.js", "words.js"):
        with DIRECT.open(running.address + name, timeout=10) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Length": "99999999999"}, 413),
        ({"Content-Length": "-1"}, 411),
    ],
    ids=str,
)
def test_a_question_is_answered_only_if_it_is_the_pages_own(
    running: Review, headers: dict[str, str], status: int
) -> None:
    assert _status(running, **headers) == status


@pytest.mark.parametrize("path", ["/", "/page.js", "/wrong/session", "/favicon.ico", "//", "/%2e%2e/", "/é/"])
def test_without_the_token_nothing_is_answered(running: Review, path: str) -> None:
    get = f"GET {path} HTTP/1.1\r\nHost: HOST\r\n\r\n"
    assert b" 403 " in _raw(running, get)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET PATH HTTP/1.1\r\n\r\n", 421),
        ("GET PATH HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", 421),
        ("GET PATH../gold.py HTTP/1.1\r\nHost: HOST\r\n\r\n", 404),
        ("GET PATHgold.py HTTP/1.1\r\nHost: HOST\r\n\r\n", 404),
        ("POST PATHsession HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n\r\n", 403),
        (
            "POST PATHsession HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Type: application/json\r\n\r\n",
            411,
        ),
        ("PUT PATH HTTP/1.1\r\nHost: HOST\r\n\r\n", 501),
        ("OPTIONS PATH HTTP/1.1\r\nHost: HOST\r\n\r\n", 501),
        ("one two three four HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_other_requests_are_refused(running: Review, request_text: str, status: int) -> None:
    assert f" {status} ".encode() in _raw(running, request_text)


@pytest.mark.parametrize(
    ("question", "body"),
    [
        ("nothing", b"{}"),
        ("session", b"{"),
        ("session", b"[]"),
        ("session", b"[" * 100_000),
        ("session", b"\xff"),
        ("row", b"{}"),
        ("row", b'{"row": 1}'),
        ("row", b'{"row": -1}'),
        ("row", b'{"row": "0"}'),
        ("row", b'{"row": true}'),
        ("decide", b'{"row": 0}'),
        ("decide", b'{"row": 0, "draft": {"data": [], "spans": {}}}'),
        ("decide", b'{"row": 0, "draft": {"data": {}, "spans": {"/x": [[1]]}}}'),
        ("decide", b'{"row": 0, "draft": {"data": {}, "spans": {"/x": [[-1, 2]]}}}'),
        ("edit", b'{"row": 0, "draft": {"data": {}, "spans": {}}, "pointer": "/a/b", "edit": "blank"}'),
        ("edit", b'{"row": 0, "draft": {"data": {}, "spans": {}}, "pointer": "", "edit": "blank"}'),
        ("edit", b'{"row": 0, "draft": {"data": {}, "spans": {}}, "pointer": "/a", "edit": "burn"}'),
    ],
)
def test_what_the_page_would_not_ask_is_a_bad_request(running: Review, question: str, body: bytes) -> None:
    assert _status(running, question, body) == 400
    assert _status(running) == 200


def test_places_are_those_of_the_characters_though_javascript_counts_otherwise(running: Review) -> None:
    row = running.ask("row", row=0)
    assert row["draft"]["spans"] == {"/手机号": [[6, 17]]}
    places = running.ask("find", row=0, draft=row["draft"], pointer="/邮箱", typed="a@b.cc")["places"]
    assert places == [{"value": "a@b.cc", "span": [21, 27]}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": {"手机号": "13900000000"}}, {"/手机号": "not-in-text"}),
        ({"data": {"手机号": "13800000000"}, "spans": {"/手机号": [[7, 18]]}}, {"/手机号": "other-text"}),
        ({"data": {"手机号": "13800000000"}}, {"/手机号": "no-place"}),
        ({"data": {"手机号": 5}}, {"/手机号": "schema"}),
        ({"data": {"unknown": "a@b.cc"}, "spans": {"/unknown": [[21, 27]]}}, {"/unknown": "schema"}),
        ({"data": {"手机号": "13800000000"}, "spans": {"/手机号": [[6, 900]]}}, {"/手机号": "other-text"}),
    ],
)
def test_a_draft_that_does_not_fit_is_refused_and_nothing_is_saved(
    tmp_path: Path, running: Review, change: dict[str, Any], reason: dict[str, str]
) -> None:
    answer = running.ask("decide", row=0, draft={"spans": {}, **change})
    assert {pointer: each["code"] for pointer, each in answer["refused"].items()} == reason
    assert running.ask("session")["rows"][0]["decision"] is None


def test_doubtful_rows_come_first_and_what_cannot_be_shown_is_said_and_left_out(tmp_path: Path) -> None:
    texts = {f"{name}.txt": f"手机号：1380000000{number}" for number, name in enumerate("abcdef")}
    failure = {"status": "failed", "errors": (RecordError(Problem("parse", "no JSON"), 0, 3),)}
    unread = {"status": "failed", "attempts": 0, "errors": (RecordError(Problem("binary", "no text")),)}
    withheld = Provenance(withheld=(Withheld("手机号", "13800000004", "confidence", 0.2, ((4, 15),)),))
    write(
        tmp_path,
        texts,
        [
            found("a.txt", texts["a.txt"], {"手机号": texts["a.txt"][4:]}, confidence={"/手机号": 0.9}),
            found("b.txt", texts["b.txt"], {"手机号": texts["b.txt"][4:]}, confidence={"/手机号": 0.3}),
            found("c.txt", texts["c.txt"], None, **failure),
            found("d.txt", texts["d.txt"], {"手机号": None}),
            found("e.txt", texts["e.txt"], {"手机号": None}, provenance=withheld),
            found("f.txt", texts["f.txt"], {"手机号": None}),
            found("g.bin", "", None, **unread),
        ],
    )
    (tmp_path / "d.txt").unlink()
    (tmp_path / "f.txt").write_text("手机号：", encoding="utf-8")
    with review(tmp_path, "-s", "contact") as running:
        assert "1 left out: the document that a record came from is no longer there (d.txt); --root" in running.said
        assert "1 left out: the document has changed since its record was written (f.txt)." in running.said
        assert "1 left out: the run could not read the document" in running.said
        assert [row["id"] for row in running.ask("session")["rows"]] == ["c.txt", "e.txt", "b.txt", "a.txt"]
        row = running.ask("row", row=0)
        assert row["draft"]["data"] == {"手机号": None, "邮箱": None, "账号": None, "密码": None}
        assert row["errors"][0]["code"] == "parse"
        assert running.ask("row", row=1)["withheld"] == [
            {"field": "手机号", "value": "13800000004", "spans": [[4, 15]]}
        ]
        answer = running.edit(row["draft"], "/手机号", "type", value="13800000002", span=None)
        assert running.ask("decide", row=0, draft=answer["draft"])["saved"]["decision"] == "corrected"
        assert running.end() == 0
        assert "3 are left: the same line goes on." in running.said
    assert gold(tmp_path)[0]["spans"] == {"/手机号": [[4, 15]]}
    with review(tmp_path, "-s", "contact", "--status", "ok", "--limit", "1") as running:
        assert [row["id"] for row in running.ask("session")["rows"]] == ["e.txt"]
        assert "These are the 1 to look at first" in running.said


def test_with_nothing_left_to_decide_it_says_what_is_next(tmp_path: Path, extractor: Run) -> None:
    write(tmp_path, {"a.txt": TEXT}, [found("a.txt", TEXT, {})])
    (tmp_path / "g.jsonl").write_text(json.dumps({"id": "a.txt", "data": {}}) + "\n", encoding="utf-8")
    done = extractor("review", "results.jsonl", "-s", "contact", "--gold", "g.jsonl", "--no-open")
    assert done.returncode == 0, done.stderr
    assert "Nothing is left to decide." in done.stderr
    assert "extractor evaluate results.jsonl g.jsonl -s contact" in done.stderr


def test_a_bundled_schema_that_the_results_name_need_not_be_named_again(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    assert extractor("run", "a.txt", "-s", "contact", "-o", "results.jsonl").returncode == 0
    (tmp_path / "g.jsonl").write_text(json.dumps({"id": "a.txt", "data": {}}) + "\n", encoding="utf-8")
    done = extractor("review", "results.jsonl", "--gold", "g.jsonl", "--no-open")
    assert done.returncode == 0, done.stderr
    assert "extractor evaluate results.jsonl g.jsonl -s contact" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["others.jsonl"], "name the schema 'device'; no bundled one is the same"),
        (["changed.jsonl"], "name the schema 'contact'; no bundled one is the same"),
        (["empty.jsonl", "-s", "contact"], "holds no rows"),
        (["gold.jsonl", "-s", "contact"], "gold.jsonl line 1 is not a record"),
        (["results.jsonl", "-s", "contact", "--gold", "results.jsonl"], "holds the results"),
        (["results.jsonl", "-s", "contact", "--gold", "g.jsonl.gz"], "a plain file of JSON lines"),
        (["results.jsonl", "-s", "contact", "--gold", "s3://a/g.jsonl"], "a plain file of JSON lines"),
        (["-", "-s", "contact"], "--gold FILE"),
    ],
)
def test_what_cannot_be_reviewed_is_a_usage_error(
    tmp_path: Path, extractor: Run, options: list[str], message: str
) -> None:
    write(tmp_path, {"a.txt": TEXT}, [found("a.txt", TEXT, {})])
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "gold.jsonl").write_text('{"id": "a", "data": {}}\n', encoding="utf-8")
    row = json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))
    for name, run in (("others", {"schema": "device"}), ("changed", {"schema_hash": "0" * 16})):
        changed = {**row, "run": {**row["run"], **run}}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(changed) + "\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = extractor("review", *options, "--no-open")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_port_that_is_taken_is_named(running: Review, tmp_path: Path, extractor: Run) -> None:
    write(tmp_path, {"a.txt": TEXT}, [found("a.txt", TEXT, {})])
    port = running.origin.rpartition(":")[2]
    done = extractor("review", "results.jsonl", "-s", "contact", "--no-open", "--port", port)
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in done.stderr
