"""What strangers write never reaches a terminal raw: not in progress, logs, tables, errors or results."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from extractor.text.printable import lines, one_line
from tests.cli.conftest import command, environment

HOSTILE = {
    "title": "\x1b]0;pwned\x07",
    "clear": "\x1b[2J",
    "C1": "\x9b31m",
    "backspace": "safe\x08\x08\x08\x08evil",
    "carriage return": "one\rtwo",
    "delete": "a\x7fb",
    "reversed": "\u202etxt.exe",
    "isolate": "\u2066x\u2069",
}
RAW = ("\x1b]", "\x1b[2J", "\x1b[3", "\x9b", "\x07", "\x08", "\x7f", "\u202e", "\u2066", "one\rtwo")

COMMANDS = {
    "progress": ("run", "{}", "-o", "rows.jsonl"),
    "log": ("run", "{}", "-o", "rows.jsonl", "-v"),
    "table": ("run", "{}", "-o", "rows.jsonl", "--table"),
    "results": ("run", "{}", "-o", "-"),
    "record": ("extract", "{}", "--record"),
    "reading": ("read", "{}"),
}


def _on_a_terminal(arguments: list[str], cwd: Path) -> str:
    """Return what a command writes to a terminal that is its standard output and error."""
    leader, follower = pty.openpty()
    with subprocess.Popen(arguments, cwd=cwd, env=environment(), stdout=follower, stderr=follower) as child:
        os.close(follower)
        written = b""
        try:
            while data := os.read(leader, 65536):
                written += data
        except OSError:  # the other side has been closed
            pass
        assert child.wait(60) in (0, 1, 2)
    os.close(leader)
    return written.decode("utf-8", "surrogateescape")


def _assert_tame(shown: str) -> None:
    assert [raw for raw in RAW if raw in shown] == []


@pytest.mark.parametrize("where", COMMANDS)
def test_ids_and_texts_are_escaped_on_a_terminal(where: str, tmp_path: Path) -> None:
    documents = tmp_path / "in.jsonl"
    kinds = list(HOSTILE.values()) if where != "record" and where != "reading" else ["".join(HOSTILE.values())]
    documents.write_text("".join(json.dumps({"id": each, "text": f"x {each}"}) + "\n" for each in kinds))
    task = () if where == "reading" else ("-s", "contact", "--backend", "scripted")
    line = [each.format(documents) for each in COMMANDS[where]]
    shown = _on_a_terminal(command(*line, *task), tmp_path)
    _assert_tame(shown)
    if where not in ("progress",):
        assert "\\u001b]0;pwned\\u0007" in shown


@pytest.mark.parametrize("line", ["run {} -s contact", "extract a.txt -s {}", "evaluate {} {}"])
def test_file_names_in_errors_are_escaped(line: str, tmp_path: Path) -> None:
    name = "\x1b[2J\x9b31m\u202etxt.exe"
    shown = _on_a_terminal(command(*(each.format(name) for each in line.split())), tmp_path)
    assert "Error" in shown
    _assert_tame(shown)


def test_an_escaped_text_is_as_it_was_but_for_what_a_terminal_obeys() -> None:
    assert one_line("手机号 é\t😀\n") == "手机号 é\\u0009😀\\u000a"
    assert lines("手机号 é\t😀\n") == "手机号 é\t😀\n"
    assert lines("\x1b[2J\u202e\r") == "\\u001b[2J\\u202e\\u000d"
    assert one_line("\ud800") == "\\ud800"


def test_a_file_gets_results_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "a\x9bb", "text": "x"}) + "\n")
    line = command("run", "in.jsonl", "-s", "contact", "--backend", "scripted", "-o", "-")
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert json.loads(done.stdout)["id"] == "a\x9bb"
