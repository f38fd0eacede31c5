"""Rows of documents that are gone: counted, and removed in every format, and no others."""

from pathlib import Path
from typing import Any

import pytest

from extractor.data import Document, FailedDocument, Source
from extractor.errors import Problem
from extractor.sinks import SinkOptions, open_sink
from extractor.storage import object_store
from extractor.storage.present import Present
from extractor.storage.sink import PrunableSink
from extractor.task.task import load_task
from tests.sinks.reading import FORMATS, ids
from tests.sinks.records import failed, record, sha

OPTIONS: dict[str, Any] = {"fingerprint": "f1", "task": load_task("contact")}


def _open(path: object, **options: Any) -> PrunableSink:
    sink = open_sink(str(path), SinkOptions(**(OPTIONS | options)))
    assert isinstance(sink, PrunableSink)
    return sink


def _present(*ids: str, unread: tuple[str, ...] = ()) -> Present:
    present = Present()
    for id in ids:
        present.add(Document(id, "文", Source(id, sha("文"))))
    for id in unread:
        present.add(FailedDocument(id, Source(id, ""), Problem("damaged", "x")))
    return present


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_pruning_leaves_the_last_row_of_each_document_that_is_there(tmp_path: Path, suffix: str, flatten: bool) -> None:
    path, table = tmp_path / f"rows{suffix}", "entities" if flatten else "records"
    with _open(path, flatten=flatten) as sink:
        for id in "abcd":
            sink.write(record(id))
    with _open(path, flatten=flatten) as sink:
        sink.write(record("b", "新"))
        sink.write(failed("e"))
        assert sink.count_stale(_present(*"abcde")) == 0
        assert sink.count_stale(_present(*"be")) == 3
    assert ids(path, table) == [*"acdbe"] if suffix != ".sqlite" else sorted(ids(path, table)) == [*"abcde"]
    with _open(path, flatten=flatten) as sink:
        sink.prune(_present("b", "e", "f"))
    assert sorted(ids(path, table)) == ["b", "e"]
    with _open(path, flatten=flatten) as sink:
        assert [sink.done(id, sha("新")) for id in "abc"] == [None, "ok", None]
        sink.write(record("g"))
    assert sorted(ids(path, table)) == ["b", "e", "g"]


def test_a_run_that_fails_removes_nothing(tmp_path: Path) -> None:
    for suffix in (".jsonl", ".sqlite", ".parquet"):
        path = tmp_path / f"rows{suffix}"
        with _open(path) as sink:
            sink.write(record("a"))
        sink = _open(path)
        sink.__enter__()
        sink.prune(_present("b"))
        sink.__exit__(KeyError, KeyError(), None)
        assert ids(path) == ["a"]


def test_rows_of_what_could_not_be_read_stay(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    names = ["in/a.zip/b.txt", "in/a.csv#2", "in/a.csv2", "own-id", "gone"]
    with _open(path) as sink:
        for name in names:
            sink.write(record(name, source=Source("in/c.jsonl#7" if name == "own-id" else name, sha("文"))))
        present = _present(unread=("in/a.zip", "in/a.csv", "in/c.jsonl"))
        assert sink.count_stale(present) == 2
        sink.prune(present)
    assert ids(path) == ["in/a.zip/b.txt", "in/a.csv#2", "own-id"]


def test_an_object_in_a_store_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_cache", lambda: tmp_path / "cache")
    address = f"memory://bucket-{tmp_path.name}/rows.jsonl"
    with _open(address) as sink:
        sink.write(record("a"))
        sink.write(record("b"))
    with _open(address) as sink:
        assert sink.count_stale(_present("b")) == 1
        sink.prune(_present("b"))
    with _open(address) as sink:
        assert [sink.done(id, sha("文")) for id in "ab"] == [None, "ok"]


def test_what_an_input_holds_is_the_same_in_another_process() -> None:
    present = _present("a", "b", unread=("c.zip", "folder/"))
    copy = Present.from_bytes(present.to_bytes())
    assert [copy.holds(id, "") for id in ("a", "b", "c.zip/d", "folder/e", "f")] == [True, True, True, True, False]
    assert (copy.why_not_whole(), Present().why_not_whole()) == (
        "folder/ could not be listed", "the input holds no document",
    )  # fmt: skip
