"""An exception that nobody expects, raised over one document in any stage, is a failed row and a line in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from extractor import cli
from extractor.backends import scripted
from extractor.backends.chatglm3 import Backend
from extractor.config import ModelConfig
from extractor.data import Document, Json, Prompt, Source
from extractor.engine.constraint import Vocabulary
from extractor.ingest import dispatch
from extractor.pipeline import Pipeline
from extractor.sinks import jsonl
from extractor.stages import (
    chunking,
    confidence,
    grounding,
    merging,
    parsing,
    passes,
    prompting,
    retry,
    sampling,
    thresholds,
)
from extractor.storage.json_lines import JsonLines
from extractor.task import redaction
from extractor.task.task import load_task

STAGES: dict[str, tuple[Any, str]] = {
    "reading": (dispatch, "read"),
    "chunking": (chunking, "split"),
    "prompting": (prompting, "drafts"),
    "rendering": (prompting, "render"),
    "sampling": (sampling, "assign"),
    "batching": (scripted.Backend, "submit"),
    "parsing": (parsing, "parse"),
    "confidence": (confidence, "score"),
    "grounding": (grounding, "ground"),
    "thresholds": (thresholds, "apply"),
    "retry": (retry, "after"),
    "passes": (passes, "after"),
    "merging": (merging, "merge"),
    "redaction": (redaction, "redact"),
    "writing": (JsonLines, "encode"),
}
"""Where the exception is raised, one a line: the module or class, and the name of a function that is given the document
or what was made of it."""

MARK = "the one document"
"""What tells the document over which the bug is met, wherever it is within what a function is given."""


class Bug(Exception):
    """What nothing here expects."""


def _break(monkeypatch: pytest.MonkeyPatch, owner: ModuleType | type, name: str) -> None:
    """Have a function raise once it is given something of the marked document."""
    whole: Callable[..., Any] = getattr(owner, name)

    def broken(*arguments: Any, **more: Any) -> Any:
        if MARK in repr(arguments) and "'failed'" not in repr(arguments):
            raise Bug(f"with the words of {MARK}")
        return whole(*arguments, **more)

    monkeypatch.setattr(owner, name, broken)
    if owner is redaction:
        monkeypatch.setattr("extractor.pipeline.redact", broken)


def _run(folder: Path, *arguments: str) -> tuple[int, dict[str, Json]]:
    """Return the exit code of a run over three documents, and the rows by id."""
    for name, text in {"a": "手机号13800000000", MARK: MARK, "z": "手机号13900000000"}.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    output = folder.parent / "rows.jsonl"
    code = cli.main(["run", str(folder), "-s", "contact", "--backend", "scripted", "-o", str(output), *arguments])
    rows = [row for _, row in jsonl.read_rows(str(output)) if row]
    return code, {Path(row["id"]).stem: row for row in rows}


@pytest.mark.parametrize("stage", STAGES)
def test_a_bug_in_a_stage_fails_its_document_and_no_other(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _break(monkeypatch, *STAGES[stage])
    code, rows = _run(folder, "--redact")
    said = capsys.readouterr().err
    assert (code, sorted(rows)) == (1, ["a", MARK, "z"])
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", MARK: "failed", "z": "ok"}
    (error,) = rows[MARK]["errors"]
    assert error["code"] == "internal"
    (line,) = [line for line in said.splitlines() if line.startswith("ERROR")]
    for told in (error["message"], line):
        assert "Bug in" in told
        assert ".py line " in told
        assert "the words of" not in told
    assert MARK in line
    assert "Traceback" not in said


def test_v_shows_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _break(monkeypatch, grounding, "ground")
    _run(folder, "-v")
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "in broken" in said


def test_a_bug_over_a_retry_or_a_part_fails_the_document_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (f"{MARK} " + "x" * 60 + "\n") * 40
    documents = [Document(f"d{n}", text if n == 3 else "short", Source("", str(n))) for n in range(6)]
    _break(monkeypatch, retry, "after")
    backend = scripted.Backend(answer=lambda prompt: "no JSON", context=1400, lifo=True)
    records = list(Pipeline(load_task("contact"), backend).run(documents))
    assert sorted(record.id for record in records) == [f"d{n}" for n in range(6)]
    assert {record.id: record.code for record in records} == {
        f"d{n}": "internal" if n == 3 else "parse" for n in range(6)
    }
    assert backend.collect() == []


def test_a_bug_over_a_prompt_that_the_backend_has_taken_already_fails_its_document() -> None:
    class Taking(scripted.Backend):
        def submit(self, prompt: Prompt) -> None:
            super().submit(prompt)
            if prompt.chunk.document.id == "d1":
                raise Bug

    documents = [Document(f"d{n}", "text", Source("", str(n))) for n in range(3)]
    records = {record.id: record.code for record in Pipeline(load_task("contact"), Taking()).run(documents)}
    assert records == {"d0": None, "d1": "internal", "d2": None}


def test_a_bug_in_the_constraint_of_one_answer_fails_its_document(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _break(monkeypatch, Vocabulary, "constrain")
    documents = [Document(str(n), MARK if n == 1 else "手机号13800000000", Source("", str(n))) for n in range(3)]
    with caplog.at_level(logging.ERROR), Backend(ModelConfig("demo", batch_size=2)) as backend:
        records = {record.id: record for record in Pipeline(load_task("contact"), backend).run(documents)}
    assert {id: (record.status, record.code) for id, record in records.items()} == {
        "0": ("ok", None),
        "1": ("failed", "internal"),
        "2": ("ok", None),
    }
    assert records["1"].attempts == 1
    assert json.dumps(records["1"].errors[-1].as_json()).count("Bug in") == 1
    assert len(caplog.records) == 1
