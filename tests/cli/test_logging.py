"""How much is logged, and the log as objects for programs that collect logs."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from extractor.cli import main
from tests.cli.conftest import SAMPLES

LINE = ("run", str(SAMPLES / "contact" / "book.txt"), "-s", "contact", "--backend", "scripted", "-o", "rows.jsonl")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_with_json_every_line_on_stderr_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LINE, "--log-format", "json", "-v", "--table"]) == 0
    entries = _logged(capsys)
    assert {tuple(entry) for entry in entries} == {("time", "level", "logger", "message")}
    assert all(datetime.fromisoformat(entry["time"]).utcoffset() is not None for entry in entries)
    assert "book.txt ok" in entries[0]["message"]
    assert entries[-1]["message"].startswith("1 document in ")
    assert {entry["level"] for entry in entries} == {"INFO"}


def test_an_error_is_an_object_too_and_the_next_command_writes_text_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LINE[:4], "--fields", "姓名", "--log-format", "json"]) == 2
    capsys.readouterr()  # before the options are known to be right, a message is plain
    Path("empty").mkdir()
    assert main(["run", "empty", *LINE[2:], "--log-format", "json"]) == 2
    (entry,) = _logged(capsys)
    assert (entry["level"], "--allow-empty" in entry["message"]) == ("ERROR", True)
    assert main(["run", "empty", *LINE[2:]]) == 2
    assert capsys.readouterr().err.startswith("Error: No document")


@pytest.mark.parametrize(
    ("options", "logged"),
    [([], False), (["-v"], True), (["--log-level", "info"], True), (["-v", "--log-level", "error"], False)],
)
def test_the_level_says_how_much_is_logged(
    capsys: pytest.CaptureFixture[str], options: list[str], logged: bool
) -> None:
    assert main([*LINE, *options]) == 0
    assert ("INFO " in capsys.readouterr().err) == logged
