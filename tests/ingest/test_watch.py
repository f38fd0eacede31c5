"""What is read in the run itself has a time limit, which ends even a regular expression."""

from __future__ import annotations

import io
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extractor import ingest
from extractor.cli._interrupts import Interrupts
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions, dispatch, stdin, watch

OPTIONS = ReadOptions(timeout=0.5)


def _never_ends(*_: Any) -> Any:
    re.match(r"(a+)+$", "a" * 60 + "b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "slow", "z"):
        (tmp_path / f"{name}.txt").write_text("text", encoding="utf-8")
    return tmp_path


@pytest.fixture
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of one file never ends, after a first document."""
    read = dispatch.read

    def slow(file: ingest.File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
        yield from read(file, options)
        if "slow" in file.id:
            _never_ends()

    monkeypatch.setattr(dispatch, "read", slow)


def _codes(*paths: Path | str) -> list[str | None]:
    found = ingest.read([str(path) for path in paths], OPTIONS)
    return [item.problem.code if isinstance(item, FailedDocument) else None for item in found]


@pytest.mark.usefixtures("_slow")
def test_a_document_that_takes_too_long_fails_and_the_others_are_read(folder: Path) -> None:
    before = signal.getsignal(watch.SIGNAL)
    assert _codes(folder) == [None, None, "timeout", None]
    assert signal.getsignal(watch.SIGNAL) == before


def test_a_content_that_is_told_too_slowly_is_read_where_there_is_a_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "by_head", _never_ends)
    (folder / "slow.txt").rename(folder / "slow")  # without a suffix, the content says what it is
    assert _codes(folder / "slow") == [None]


def test_what_is_piped_in_has_the_limit_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin.plain_text, "from_bytes", _never_ends)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    assert _codes("-") == ["timeout"]


def test_the_time_of_who_takes_the_documents_does_not_count(folder: Path) -> None:
    found = []
    for item in ingest.read([str(folder)], OPTIONS):
        time.sleep(0.8)
        found.append(item)
    assert [type(item) for item in found] == [Document] * 3


def test_outside_of_the_main_thread_documents_are_read_without_a_limit(folder: Path) -> None:
    found: list[list[str | None]] = []
    thread = threading.Thread(target=lambda: found.append(_codes(folder)))
    thread.start()
    thread.join(30)
    assert found == [[None] * 3]


@pytest.mark.usefixtures("_slow")
def test_the_limit_is_no_interrupt_of_a_run(folder: Path) -> None:
    stop = threading.Event()
    with Interrupts(stop, lambda: ""):
        assert "timeout" in _codes(folder)
        time.sleep(0.2)
        assert not stop.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.wait(5)
