"""Runs of the real command line within the process of the test, on a fake that answers what the test says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extractor import cli
from extractor.backends import scripted
from tests.cli.conftest import Row, rows


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: scripted.AnswerFunction) -> None:
    """Let `--backend scripted` answer so."""
    monkeypatch.setitem(scripted.Backend.__init__.__kwdefaults__, "answer", answer)


def run(*arguments: str | Path, output: Path, schema: str | Path = "contact") -> tuple[int, list[Row]]:
    """Return the exit code of a run and all rows of its output."""
    line = ["run", *map(str, arguments), "-s", str(schema), "--backend", "scripted", "-o", str(output)]
    code = cli.main(line)
    return code, rows(output) if output.suffix == ".jsonl" and output.exists() else []


def fields(path: Path, **properties: object) -> Path:
    """Write a schema of these properties."""
    path.write_text(json.dumps({"type": "object", "properties": properties}, ensure_ascii=False), encoding="utf-8")
    return path
