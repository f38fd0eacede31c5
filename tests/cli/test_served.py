"""The command line with a model that is served elsewhere."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.chat_server import PHONE, ChatServer, read, serving
from tests.cli.conftest import SAMPLES, Run, command, environment, rows


def test_the_key_comes_from_the_environment_and_goes_to_the_server_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extractor: Run
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server = ChatServer(read, key="sk-secret")
    output = tmp_path / "rows.jsonl"
    with serving(server) as url:
        line = ("run", SAMPLES / "contact", "-s", "contact", "--backend", "openai", "--base-url", url, "-v")
        done = extractor(*line, "-o", output)
    assert done.returncode == 0, done.stderr
    assert server.keys == {"sk-secret"}
    written = "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    assert "sk-secret" not in done.stdout + done.stderr + written
    assert {row["provenance"]["decoding"][0] for row in rows(output)} == {"json_schema"}


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a server that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_a_server_that_is_not_there_or_closed_to_this_key_is_named_before_anything_is_done(
    nobody: str, extractor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    line = ("extract", SAMPLES / "contact" / "book.txt", "-s", "contact", "--backend", "openai", "--base-url")
    gone = extractor(*line, nobody)
    assert (gone.returncode, gone.stdout) == (3, "")
    assert f"No server answers at {nobody}" in gone.stderr
    assert "--base-url" in gone.stderr
    with serving(ChatServer(read, key="sk-other")) as url:
        closed = extractor(*line, url)
    assert (closed.returncode, closed.stdout) == (3, "")
    assert "Set OPENAI_API_KEY in the environment" in closed.stderr
    assert "Traceback" not in gone.stderr + closed.stderr


def test_a_server_that_goes_away_ends_the_run_and_the_same_line_resumes(tmp_path: Path, extractor: Run) -> None:
    lines = [json.dumps({"id": str(n), "text": PHONE}) for n in range(20)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    line = ["run", "in.jsonl", "-s", "contact", "--backend", "openai", "-o", "rows.jsonl", "--concurrency", "2"]
    line += ["--retries", "0", "--base-url"]
    with serving(ChatServer(read, ends_after=8)) as url:
        first = extractor(*line, url)
    assert first.returncode == 3, first.stderr
    assert "then the same line resumes" in first.stderr
    assert 0 < len(rows(tmp_path / "rows.jsonl")) < 20
    assert {row["status"] for row in rows(tmp_path / "rows.jsonl")} == {"ok"}
    with serving(ChatServer(read)) as url:
        second = extractor(*line, url)
    assert second.returncode == 0, second.stderr
    assert {row["id"] for row in rows(tmp_path / "rows.jsonl")} == {str(n) for n in range(20)}


@pytest.mark.parametrize("presses", [1, 2])
def test_an_interrupt_does_not_wait_for_a_server_that_does_not_answer(presses: int) -> None:
    server = ChatServer(read, delay=60)
    verb = ["extract", str(SAMPLES / "contact" / "book.txt")] if presses == 1 else ["run", str(SAMPLES / "contact")]
    with serving(server) as url:
        line = command(*verb, "-s", "contact", "--backend", "openai", "--base-url", url)
        child = subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not server.requests:
            time.sleep(0.05)
        began = time.monotonic()
        for _ in range(presses):
            child.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, errors = child.communicate(timeout=50)
        server.delay = 0
        assert time.monotonic() - began < 40
    assert child.returncode == 130
    assert b"Traceback" not in errors
