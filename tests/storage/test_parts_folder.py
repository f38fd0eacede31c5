"""A folder of part files: whole parts only, the last row of an id, nothing given up too early."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from extractor.data import Document, Record, RecordError, Source
from extractor.errors import OutputError, OutputLocked, OutputMismatch, Problem
from extractor.sinks import SinkOptions
from extractor.storage.parts_folder import PartsFolder, commit, part_path, parts, records_of
from extractor.storage.present import Present
from tests.builders import RUN

OPTIONS = SinkOptions(RUN.fingerprint, {"seed": "0"})


def _record(name: str, sha256: str = "a" * 64, **more: object) -> Record:
    return replace(Record(name, "ok", Source(name, sha256), RUN, {"x": 1}), **more)  # type: ignore[arg-type]


def _write(folder: PartsFolder, *records: Record) -> str:
    """Do what a worker does with a batch, and then the coordinator."""
    path = part_path(folder.path, folder.run, records[0].id)
    commit(path, records)
    folder.add(path, records)
    return path


def _ids(output: Path) -> list[str]:
    return [record.id for path in parts(str(output)) for record in records_of(path)]


def _open(output: Path, **options: object) -> PartsFolder:
    return PartsFolder(str(output), replace(OPTIONS, **options))  # type: ignore[arg-type]


def _a_run(output: Path, records: Iterable[Record], **options: object) -> None:
    with _open(output, **options) as folder:
        for record in records:
            _write(folder, record)


def test_a_later_run_knows_what_is_done_and_a_changed_document_has_one_row(tmp_path: Path) -> None:
    output = tmp_path / "out"
    _a_run(
        output,
        [
            _record("a"),
            _record("b"),
            _record("c", status="failed", data=None, errors=(RecordError(Problem("schema", "no")),)),
        ],
    )
    with _open(output) as folder:
        state = folder.state
        assert [state.status(name, "a" * 64) for name in "abcd"] == ["ok", "ok", "failed", None]
        assert state.status("a", "b" * 64) is None
        _write(folder, _record("a", "b" * 64), _record("c"))
    assert sorted(_ids(output)) == ["a", "b", "c"]
    assert {record.id: record.source.sha256[0] for path in parts(str(output)) for record in records_of(path)} == {
        "a": "b",
        "b": "a",
        "c": "a",
    }


def test_failed_rows_that_are_to_be_asked_again_stay_until_they_are(tmp_path: Path) -> None:
    output = tmp_path / "out"
    failed = _record("b", status="failed", data=None, errors=(RecordError(Problem("schema", "no")),))
    partial = _record("c", status="partial", errors=(RecordError(Problem("required", "no y")),))
    _a_run(output, [_record("a"), failed, partial])
    _open(output, retry_failed=True).__enter__().__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert sorted(_ids(output)) == ["a", "b", "c"]
    with _open(output, retry_failed=True) as folder:
        assert [folder.state.status(name, "a" * 64) for name in "abc"] == ["ok", None, None]
        _write(folder, _record("b"))
        assert folder.state.status("b", "a" * 64) == "ok"
    assert {record.id: record.status for path in parts(str(output)) for record in records_of(path)} == {
        "a": "ok",
        "b": "ok",
        "c": "partial",
    }
    assert json.loads((tmp_path / "out.run.json").read_text("utf-8"))["totals"] == {
        **{"documents": 3, "ok": 2, "partial": 1, "failed": 0},
    }


def test_only_a_clean_end_drops_rows_that_are_superseded(tmp_path: Path) -> None:
    output = tmp_path / "out"
    _a_run(output, [_record("a")])
    folder = _open(output).__enter__()
    _write(folder, _record("a", "b" * 64))
    folder.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert _ids(output) == ["a", "a"]
    with _open(output) as folder:
        assert folder.state.status("a", "b" * 64) == "ok"
    assert _ids(output) == ["a"]


def test_other_settings_are_refused_by_name_and_overwriting_waits_for_a_part(tmp_path: Path) -> None:
    output = tmp_path / "out"
    _a_run(output, [_record("a"), _record("b")])
    other = {"fingerprint": "f" * 16, "settings": {"seed": "9"}}
    with pytest.raises(OutputMismatch, match="seed was 0, is 9"), _open(output, **other):
        pass
    with pytest.raises(KeyboardInterrupt), _open(output, **other, overwrite=True):
        raise KeyboardInterrupt
    assert sorted(_ids(output)) == ["a", "b"]
    new = _record("c", run=replace(RUN, fingerprint="f" * 16))
    _a_run(output, [new], **other, overwrite=True)
    assert _ids(output) == ["c"]


def test_what_a_dead_worker_left_half_written_goes_and_what_it_committed_is_found(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with _open(output) as folder:
        path = part_path(folder.path, folder.run, "a")
        commit(path, [_record("a")])
        assert [(found, [record.id for record in records]) for found, records in folder.unnoticed()] == [(path, ["a"])]
        (output / ".part-00001-half").write_bytes(b'{"id": "b"')
    assert [path.name for path in output.iterdir()] == [Path(path).name]
    (output / ".part-00001-half").write_bytes(b'{"id": "b"')  # of a run that was killed itself
    with _open(output) as folder:
        assert list(folder.unnoticed()) == []
        assert folder.state.status("a", "a" * 64) == "ok"
    assert [path.name for path in output.iterdir()] == [Path(path).name]


def test_a_batch_that_is_committed_twice_is_one_part(tmp_path: Path) -> None:
    path = part_path(str(tmp_path), 1, "a")
    for _ in range(2):
        commit(path, [_record("a")])
    assert parts(str(tmp_path)) == [path]
    assert _ids(tmp_path) == ["a"]


def test_a_part_that_is_on_another_machine_only_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="all machines share"), _open(tmp_path / "out") as folder:
        folder.add(str(tmp_path / "out" / "part-00001-elsewhere.jsonl"), [_record("a")])


def test_a_folder_that_another_run_writes_or_that_holds_other_rows_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with _open(output), pytest.raises(OutputLocked), _open(output):
        pass
    (output / "part-00001-mine.jsonl").write_text('{"text": "a document of somebody"}\n', encoding="utf-8")
    with pytest.raises(OutputError, match="not a row of this program"), _open(output):
        pass


def test_rows_of_documents_that_are_gone_are_pruned_from_every_part(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with _open(output) as folder:
        _write(folder, _record("a"), _record("b"))
        _write(folder, _record("c"))
    present = Present()
    present.add(Document("b", "文", Source("b", "")))
    with _open(output) as folder:
        assert folder.count_stale(present) == 2
        folder.prune(present)
    assert (_ids(output), len(parts(str(output)))) == (["b"], 1)
