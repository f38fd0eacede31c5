"""The promises hold with a small model that errs and a server that is not ours: SmolLM2 behind llama.cpp.

Both come from wheels (`make test-real`); where one is not installed, all of this skips. What the model finds is not
asserted, only what becomes of it.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from extractor.text.borders import Borders
from tests.cli.conftest import ROOT, Row, by_id, command, environment, rows
from tests.real import llama_server
from tests.real.metering import Meter, metering

pytestmark = [
    pytest.mark.skipif(not llama_server.installed(), reason="make test-real installs a model and its server"),
    pytest.mark.slow,
]

HERE = Path(__file__).parent
LETTERS = HERE / "letters.jsonl"
TEXTS = {each["id"]: each["text"] for each in map(json.loads, LETTERS.read_text("utf-8").splitlines())}
NAMES = list(TEXTS)
VERBATIM = ("sender", "reference", "email", "phone")
RECORD = Draft202012Validator(json.loads((ROOT / "extractor" / "storage" / "record.schema.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def server() -> Iterator[Meter]:
    """The server, behind a counter of what it is asked."""
    line = [sys.executable, "-m", "tests.real.llama_server"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL  # what it logs, at length
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=nowhere, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with metering(process.stdout.readline().strip()) as meter:
            yield meter
        process.stdin.close()


def _line(server: Meter, output: Path, *more: str) -> list[str]:
    line = ["run", str(LETTERS), "-s", str(HERE / "letters.json"), "-p", "en", "-o", str(output), "--quiet"]
    return command(*line, "--backend", "openai", "--base-url", f"{server.address}/v1", "--concurrency", "2", *more)


def _run(server: Meter, output: Path, *more: str, code: int = 1) -> list[Row]:
    line = _line(server, output, *more)
    done = subprocess.run(line, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode in (0, code), done.stderr
    assert "Traceback" not in done.stderr
    return rows(output)


@pytest.fixture(scope="module")
def output(server: Meter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run with the defaults wrote, in order."""
    path = tmp_path_factory.mktemp("found") / "rows.jsonl"
    _run(server, path, "--ordered")
    return path


@pytest.fixture
def found(output: Path) -> list[Row]:
    return rows(output)


def _assert_promises(found: list[Row]) -> None:
    """One row a document, of the schema of records; each copied value at its place, between borders."""
    for row in by_id(found).values():
        assert not list(RECORD.iter_errors(row))
        text = TEXTS[row["id"]]
        for name in VERBATIM:
            value = (row["data"] or {}).get(name)
            if value is not None:
                ((start, end),) = row["spans"][f"/{name}"]
                assert text[start:end] == value
                assert Borders(text).fit((start, end))


def test_every_document_has_a_row_in_order_and_nothing_in_it_is_made_up(found: list[Row]) -> None:
    assert [row["id"] for row in found] == NAMES
    _assert_promises(found)
    assert any(row["data"] and row["data"]["reference"] for row in found)


def test_the_server_confines_copied_values_to_the_document_by_itself(found: list[Row]) -> None:
    assert {way for row in found for way in row["provenance"]["decoding"]} == {"grammar"}
    assert not [error for row in found for error in row["errors"] if _is_made_up(error)]


def test_a_server_without_llguidance_confines_them_by_gbnf(server: Meter, tmp_path: Path) -> None:
    with metering(server.behind, "gbnf") as plain:
        found = _run(plain, tmp_path / "rows.jsonl", "--limit", "6")
    _assert_promises(found)
    assert len(found) == 6
    assert {way for row in found for way in row["provenance"]["decoding"]} == {"grammar"}
    assert not [error for row in found for error in row["errors"] if _is_made_up(error)]


def test_every_value_has_a_confidence(found: list[Row]) -> None:
    for row in found:
        for name, value in (row["data"] or {}).items():
            if value is not None:
                assert 0 <= row["confidence"][f"/{name}"] <= 1


def test_a_failed_or_partial_row_says_why(found: list[Row]) -> None:
    assert all(row["errors"] for row in found if row["status"] != "ok")


def test_a_run_that_is_killed_resumes_to_the_same_rows_and_nothing_is_asked_twice(
    server: Meter, found: list[Row], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    with subprocess.Popen(_line(server, output), env=environment(), cwd=ROOT) as process:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not (output.exists() and len(_whole(output)) >= 5):
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    before = _whole(output)
    assert 5 <= len(before) < len(NAMES)
    resumed = _run(server, output)
    assert resumed[: len(before)] == before
    assert by_id(resumed).keys() == set(NAMES)
    _assert_promises(resumed)
    asked = server.completions
    assert _run(server, output) == resumed
    assert server.completions == asked
    assert {row["run"]["fingerprint"] for row in resumed} == {row["run"]["fingerprint"] for row in found}


def test_what_is_not_ok_can_be_tried_again_and_the_rest_is_left(server: Meter, output: Path, tmp_path: Path) -> None:
    for path in output.parent.glob("rows.*"):
        shutil.copy(path, tmp_path)
    first = rows(output)
    asked = server.completions
    again = _run(server, tmp_path / output.name, "--ordered", "--retry-failed")
    wrong = [row for row in first if row["status"] != "ok"]
    assert bool(wrong) == (server.completions > asked)
    assert by_id(again).keys() == set(NAMES)
    kept = by_id(again)
    assert all(kept[row["id"]] == row for row in first if row["status"] == "ok")


def test_an_answer_that_begins_with_a_fence_keeps_the_promises(server: Meter, tmp_path: Path) -> None:
    more = ("-p", str(HERE / "fenced.jinja"), "--no-constrain", "--max-attempts", "1", "--max-tokens", "200")
    free = _run(server, tmp_path / "rows.jsonl", "--limit", "8", *more)
    _assert_promises(free)
    assert {way for row in free for way in row["provenance"]["decoding"]} == {"none"}
    assert any(written.startswith("```") for written in server.written[-8:])
    as_written = [row for row in free if row["provenance"].get("parsed") == ["strict"]]  # the server cut the fence off
    assert all(row["spans"].keys() <= row["confidence"].keys() for row in as_written)


def _is_made_up(error: Row) -> bool:
    """Tell whether a copied value was not in the document."""
    return error["code"] == "ungrounded" and any(f"/{name}:" in error["message"] for name in VERBATIM)


def _whole(path: Path) -> list[Row]:
    """Return the rows that are written to their end."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in itertools.takewhile(lambda line: line.endswith("\n"), lines)]
