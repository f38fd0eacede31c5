"""The documents behind records are found again, or there is a Problem that says why not."""

from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import Source
from extractor.errors import Problem
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload
from tests.cli.conftest import SAMPLES


def _sources(*paths: str | Path, **options: str) -> dict[str, Source]:
    return {found.id: found.source for found in ingest.read([str(path) for path in paths], ReadOptions(**options))}


def test_every_sample_is_found_again_with_its_text() -> None:
    documents = {found.id: found for found in ingest.read([str(SAMPLES)])}
    texts = dict(reload({name: found.source for name, found in documents.items()}))
    assert texts == {name: found.text for name, found in documents.items()}
    assert len(texts) == 14


def test_documents_in_files_of_all_formats_are_found_again() -> None:
    documents = {found.id: found for found in ingest.read([str(SAMPLES.parent / "documents")])}
    texts = dict(reload({name: found.source for name, found in documents.items()}))
    assert texts == {name: found.text for name, found in documents.items()}
    assert {"documents/mail.eml/议程.txt", "documents/staff.xlsx#通讯录!2"} <= texts.keys()


def test_relative_paths_are_those_under_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in#1"
    folder.mkdir()
    (folder / "a#b.txt").write_text("文一", encoding="gb18030")
    (folder / "rows.jsonl").write_text('{"body": "one"}\n\n{"body": "two"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    sources = _sources("in#1", text_field="body")
    monkeypatch.chdir("/")
    options = ReadOptions(text_field="body")
    assert dict(reload(sources, str(tmp_path), options)) == {
        "in#1/a#b.txt": "文一",
        "in#1/rows.jsonl#1": "one",
        "in#1/rows.jsonl#3": "two",
    }
    assert {found.code for _, found in reload(sources) if isinstance(found, Problem)} == {"gone"}


def test_changed_removed_and_unreadable_documents_are_told_apart(tmp_path: Path) -> None:
    for name in ("changed", "gone", "bad", "same"):
        (tmp_path / f"{name}.txt").write_text(f"text of {name}", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    sources = _sources(tmp_path)
    (tmp_path / "changed.txt").write_text("another text", encoding="utf-8")
    (tmp_path / "gone.txt").unlink()
    (tmp_path / "bad.txt").write_bytes(bytes(range(256)))
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    found = {name.rpartition("/")[2]: text for name, text in reload(sources)}
    assert {name: text.code if isinstance(text, Problem) else text for name, text in found.items()} == {
        "changed.txt": "changed",
        "gone.txt": "gone",
        "bad.txt": "changed",
        "same.txt": "text of same",
        "rows.jsonl#1": "one",
        "rows.jsonl#2": "gone",
    }


def test_standard_input_cannot_be_read_again() -> None:
    sources = {"a": Source("stdin#1", "0" * 64), "b": Source("", "0" * 64)}
    assert {name: found.code for name, found in reload(sources) if isinstance(found, Problem)} == {
        "a": "gone",
        "b": "gone",
    }
