"""Rows go to the file as they are done, and the same line run again resumes where the last run stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.data import Record, RunInfo
from extractor.errors import OutputError, OutputLocked, OutputMismatch, UsageError
from extractor.sinks import Sink, SinkOptions, open_sink
from extractor.storage import manifest
from tests.sinks.records import failed, record, sha

SETTINGS = {"model": "demo", "precision": "half"}


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def _sink(out: Path | str, **options: Any) -> Sink:
    return open_sink(str(out), SinkOptions(**({"fingerprint": "f1", "settings": SETTINGS} | options)))


def _write(out: Path, *records: Record, **options: Any) -> None:
    _write_all(out, records, **options)


def _write_all(out: Path, records: Iterable[Record], **options: Any) -> None:
    with _sink(out, **options) as sink:
        for item in records:
            sink.write(item)


def _ids(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in out.read_bytes().splitlines()]


def test_a_row_is_in_the_file_when_write_returns(out: Path) -> None:
    with _sink(out) as sink:
        sink.write(record("a"))
        assert _ids(out) == ["a"]
        sink.write(record("b"))
        assert _ids(out) == ["a", "b"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    _write(tmp_path / "x" / "y" / "results.jsonl", record("a"))
    assert _ids(tmp_path / "x" / "y" / "results.jsonl") == ["a"]


def test_a_clean_end_leaves_the_rows_the_settings_and_nothing_else(out: Path) -> None:
    _write(out, record("a"))
    assert sorted(path.name for path in out.parent.iterdir()) == ["results.jsonl", "results.run.json"]
    noted = json.loads((out.parent / "results.run.json").read_text("utf-8"))
    assert (noted["fingerprint"], noted["settings"], noted["work"]["rows"]) == ("f1", SETTINGS, 1)


def _write_and_die(sink: Sink, row: Record) -> None:
    sink.write(row)
    raise ValueError("killed")


def test_the_work_of_all_runs_that_ended_is_added_up_until_the_output_is_overwritten(out: Path) -> None:
    _write(out, record("a"), record("b"))
    first = manifest.read_work(str(out), "f1")
    _write(out, record("c"))
    _write(out)
    with pytest.raises(ValueError), _sink(out) as sink:
        _write_and_die(sink, record("d"))
    second = manifest.read_work(str(out), "f1")
    assert (first.rows, second.rows) == (2, 3)
    assert 0 <= first.seconds <= second.seconds < 60
    assert manifest.read_work(str(out), "f2") == manifest.Work()
    _write(out, record("e"), overwrite=True)
    assert manifest.read_work(str(out), "f1").rows == 1


def test_a_run_without_documents_leaves_an_empty_file(out: Path) -> None:
    _write(out)
    assert out.read_bytes() == b""


def test_what_is_done_is_known_to_the_next_run(out: Path) -> None:
    _write(out, record("a"), failed("b"))
    with _sink(out) as sink:
        assert sink.done("a", sha("文")) == "ok"
        assert sink.done("b", sha("文")) == "failed"
        assert sink.done("c", sha("文")) is None
        assert sink.done("a", sha("changed")) is None
        sink.write(record("c"))
        assert sink.done("c", sha("文")) == "ok"
    assert _ids(out) == ["a", "b", "c"]


def test_a_changed_document_is_done_again_and_its_old_row_goes(out: Path) -> None:
    _write(out, record("a", "old"), record("b"))
    _write(out, record("a", "new"))
    assert _ids(out) == ["b", "a"]
    with _sink(out) as sink:
        assert sink.done("a", sha("old")) is None
        assert sink.done("a", sha("new")) == "ok"


def test_superseded_rows_of_a_killed_run_go_at_the_next_start(out: Path) -> None:
    _write(out, record("a", "old"), record("b"))
    out.write_bytes(out.read_bytes() + out.read_bytes().splitlines(keepends=True)[0])
    with _sink(out) as sink:
        assert _ids(out) == ["b", "a"]
        assert sink.done("a", sha("old")) == "ok"


def test_after_an_exception_the_rows_stay(out: Path) -> None:
    def stopped() -> Iterator[Record]:
        yield record("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _write_all(out, stopped())
    assert _ids(out) == ["a"]
    _write(out, record("b"))
    assert _ids(out) == ["a", "b"]


@pytest.mark.parametrize("torn", [True, False])
def test_the_end_of_a_killed_run_makes_no_difference_wherever_it_fell(tmp_path: Path, torn: bool) -> None:
    out = tmp_path / "results.jsonl"
    _write(out, record("a"), record("b"), record("丙", "三"))
    whole = out.read_bytes()
    begin = whole.rindex(b'{"id"') if torn else 0
    for end in range(begin, len(whole) + 1, 1 if torn else 37):
        out.write_bytes(whole[:end])
        with _sink(out) as sink:
            for item in (record("a"), record("b"), record("丙", "三")):
                if sink.done(item.id, item.source.sha256) is None:
                    sink.write(item)
        assert out.read_bytes() == whole


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("123"), st.booleans()), max_size=12),
    st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_any_history_ends_with_the_last_row_of_each_id(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, bool]], cut: int
) -> None:
    out = tmp_path_factory.mktemp("history") / "results.jsonl"
    records = [record(id, text) if ok else failed(id, text) for id, text, ok in rows]
    _write(out, *records)
    last = {item.id: item for item in records}
    assert {json.loads(line)["id"]: json.loads(line)["source"]["sha256"] for line in out.read_bytes().splitlines()} == {
        id: item.source.sha256 for id, item in last.items()
    }
    assert len(_ids(out)) == len(last)
    out.write_bytes(out.read_bytes()[: cut % (out.stat().st_size + 1)])
    with _sink(out) as sink:
        for item in last.values():
            if sink.done(item.id, item.source.sha256) != item.status:
                sink.write(item)
    assert sorted(_ids(out)) == sorted(last)


def test_other_settings_are_refused_by_name(out: Path) -> None:
    _write(out, record("a"))
    before = out.read_bytes()
    changed = {"model": "demo", "precision": "int8", "schema": "x" * 200}
    with pytest.raises(OutputMismatch) as caught, _sink(out, fingerprint="f2", settings=changed):
        pass
    assert "precision was half, is int8" in str(caught.value)
    assert "schema was not set, is x" in str(caught.value)
    assert "model" not in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert out.read_bytes() == before


def test_other_settings_are_refused_without_the_file_that_names_them(out: Path) -> None:
    _write(out, record("a"))
    (out.parent / "results.run.json").unlink()
    with pytest.raises(OutputMismatch, match="fingerprint f1, now f2"), _sink(out, fingerprint="f2"):
        pass


def test_overwriting_starts_again(out: Path) -> None:
    _write(out, record("a"))
    run = RunInfo("f2", "demo", "contact", "zh")
    _write(out, record("b", run=run), fingerprint="f2", overwrite=True)
    assert _ids(out) == ["b"]
    _write(out, fingerprint="f2")
    assert _ids(out) == ["b"]


def test_overwriting_gives_nothing_up_before_there_is_a_row(out: Path) -> None:
    _write(out, record("a"))
    with pytest.raises(ValueError), _sink(out, fingerprint="f2", overwrite=True):
        raise ValueError("the model could not be loaded")
    assert _ids(out) == ["a"]
    assert json.loads((out.parent / "results.run.json").read_text("utf-8"))["fingerprint"] == "f1"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a diary\n", 1),
        ('{"id": 5, "name": "x"}', 1),
        ('{"id":5,"name":"x"}', 1),
        ('{"id":"x"}\n', 1),
        ("[1]\n", 1),
        ("{ROW}a diary\n{ROW}", 2),
        ("{ROW}{ROW}[1]\n", 3),
        ("x", 1),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(out: Path, content: str, line: int) -> None:
    _write(out, record("a"))
    row = out.read_text("utf-8")
    out.write_text(content.replace("{ROW}", row), encoding="utf-8")
    before = out.read_bytes()
    with pytest.raises(OutputError, match=f"Line {line} of .*move the file away"), _sink(out):
        pass
    assert out.read_bytes() == before
    assert not Path(f"{out}.lock").exists()


def test_a_link_is_followed(out: Path, tmp_path: Path) -> None:
    _write(out, record("a", "old"))
    os.symlink(out, tmp_path / "link.jsonl")
    _write(tmp_path / "link.jsonl", record("a", "new"))
    assert (tmp_path / "link.jsonl").is_symlink()
    assert _ids(out) == ["a"]


def test_permissions_outlast_compacting(out: Path) -> None:
    _write(out, record("a", "old"))
    out.chmod(0o640)
    _write(out, record("a", "new"))
    assert out.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("path", "kind"), [("results.doc", UsageError), ("results", UsageError)])
def test_an_unknown_suffix_is_told_with_the_known_ones(path: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"\.jsonl"):
        _sink(path)


def test_a_folder_is_not_an_output(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(OutputError, match="folder"), _sink(tmp_path / "x.jsonl"):
        pass


def test_rows_on_stdout_are_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with _sink("-") as sink:
        sink.write(record("a"))
        assert sink.done("a", sha("文")) is None
        sink.write(record("b"))
    assert [json.loads(line)["id"] for line in capfdbinary.readouterr().out.splitlines()] == ["a", "b"]


def test_a_reader_that_has_gone_is_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        monkeypatch.setattr(sys, "stdout", type("Stdout", (), {"buffer": stream}))
        with _sink("-") as sink, pytest.raises(BrokenPipeError):
            sink.write(record("a"))


HOLDER = """
import sys
from extractor.sinks import SinkOptions, open_sink
with open_sink(sys.argv[1], SinkOptions("f1")):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(out: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_run_on_the_same_output_is_refused(out: Path) -> None:
    with _holder(out) as holder:
        with pytest.raises(OutputLocked, match="Another run"), _sink(out):
            pass
        holder.communicate("")
    _write(out, record("a"))
    assert not Path(f"{out}.lock").exists()


def test_a_killed_run_holds_nothing(out: Path) -> None:
    with _holder(out) as holder:
        holder.kill()
        holder.communicate()
    assert Path(f"{out}.lock").exists()
    _write(out, record("a"))
    assert _ids(out) == ["a"]
    assert not Path(f"{out}.lock").exists()
