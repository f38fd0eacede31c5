"""Reads files that a test writes, through the public door."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.errors import Problem
from extractor.ingest import ReadOptions

Read = Callable[..., list[Document | FailedDocument]]


@pytest.fixture(autouse=True)
def _readers_start_quickly(forked_readers: None) -> None:
    """What is tested here is how files are read, not how the processes start that read them."""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """`read("a.pdf", data, password=...)`: what is read from a file of that name and content."""
    monkeypatch.chdir(tmp_path)

    def read_file(name: str, content: bytes | str, **options: object) -> list[Document | FailedDocument]:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return list(ingest.read([name], ReadOptions(**options)))  # type: ignore[arg-type]

    return read_file


def read_all(folder: Path, contents: Sequence[bytes], suffix: str) -> list[str]:
    """Return the text of each content, or `!` and the code of its problem; read as the files of one folder."""
    for number, content in enumerate(contents):
        (folder / f"{number:04d}{suffix}").write_bytes(content)
    found = list(ingest.read([str(folder)]))
    assert len(found) == len(contents)
    return list(texts(found).values())


def texts(found: list[Document | FailedDocument]) -> dict[str, str]:
    """Return ids with their texts, or with `!` and the code of their problem."""
    return {item.id: item.text if isinstance(item, Document) else f"!{item.problem.code}" for item in found}


def only(found: list[Document | FailedDocument]) -> Document:
    (document,) = found
    assert isinstance(document, Document), document
    return document


def failed(found: list[Document | FailedDocument]) -> FailedDocument:
    (item,) = found
    assert isinstance(item, FailedDocument), item
    return item


def failure(found: list[Document | FailedDocument]) -> Problem:
    return failed(found).problem


def locations(document: Document) -> list[tuple[str, dict[str, object]]]:
    """Return the text of each segment, and its location."""
    return [(document.text[each.start : each.end], dict(each.location)) for each in document.segments]
