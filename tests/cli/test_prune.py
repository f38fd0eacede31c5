"""`run --prune`: rows of documents that are no longer in the input."""

from pathlib import Path

from extractor.cli._prune import prune
from extractor.config import OutputConfig, RunRequest, TaskConfig
from extractor.data import FailedDocument, Source
from extractor.errors import Problem
from extractor.ingest import ReadOptions
from extractor.sinks import SinkOptions, open_sink
from extractor.storage.present import Present
from tests.cli.conftest import Run, rows
from tests.sinks.records import record

LINE = ("--fields", "姓名", "--backend", "scripted", "-o", "out.jsonl")


def test_rows_of_documents_that_are_gone_are_named_and_then_removed(tmp_path: Path, extractor: Run) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("姓名,电话\n王五,1\n张三,2\n李四,3\n", "utf-8")
    assert "no longer" not in extractor("run", source, *LINE).stderr
    source.write_text("姓名,电话\n李四,3\n", "utf-8")
    again = extractor("run", source, *LINE)
    assert "out.jsonl has rows of 2 documents that are no longer in the input: --prune removes them." in again.stderr
    assert [row["id"] for row in rows(out)] == ["in.csv#3", "in.csv#4", "in.csv#2"]
    pruned = extractor("run", source, *LINE, "--prune")
    assert "The rows of 2 documents that are no longer in the input were removed from out.jsonl." in pruned.stderr
    assert [row["id"] for row in rows(out)] == ["in.csv#2"]
    assert "no longer" not in extractor("run", source, *LINE, "--prune").stderr


def test_nothing_is_removed_where_a_folder_cannot_be_listed(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    request = RunRequest(
        inputs=("in",), task=TaskConfig("contact"), read=ReadOptions(), output=OutputConfig(str(out), prune=True)
    )
    with open_sink(str(out), SinkOptions("f1")) as sink:
        sink.write(record("in/inner/a.txt"))
    present = Present()
    present.add(FailedDocument("in/inner/", Source("in/inner/", ""), Problem("io", "permission denied")))
    with open_sink(str(out), SinkOptions("f1")) as sink:
        assert prune(sink, present, request) == "Nothing was pruned: in/inner/ could not be listed."
    assert [row["id"] for row in rows(out)] == ["in/inner/a.txt"]


def test_pruning_needs_a_whole_input_and_a_file(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "a.txt").write_text("文", "utf-8")
    limited = extractor("run", "a.txt", *LINE, "--prune", "--limit", "1")
    assert (limited.returncode, "leave out --limit" in limited.stderr) == (2, True)
    streamed = extractor("run", "a.txt", *LINE[:-2], "--prune")
    assert (streamed.returncode, "-o" in streamed.stderr) == (2, True)
