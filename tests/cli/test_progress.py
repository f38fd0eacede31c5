"""What a run says of itself where nobody watches: a line now and then, what an interrupt waits for, an empty input."""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from extractor.cli import _progress, main
from extractor.cli._progress import Progress, RunDisplay, progress_line
from extractor.cli._run_stats import RunStats
from extractor.config import DisplayConfig, RunRequest, TaskConfig
from extractor.ingest import ReadOptions
from extractor.storage.run_progress import RunProgress
from extractor.task.task import load_task
from tests.cli.conftest import rows
from tests.sinks.records import record

STARTED = datetime(2026, 1, 2, tzinfo=UTC)
LINE = ("-s", "contact", "--backend", "scripted", "-o", "rows.jsonl")


def _request(*inputs: Path, quiet: bool = False) -> RunRequest:
    display = DisplayConfig(quiet=quiet)
    return RunRequest(inputs=tuple(map(str, inputs)), task=TaskConfig("contact"), read=ReadOptions(), display=display)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (RunProgress(STARTED), "0 documents done, 0 partial, 0 failed"),
        (
            RunProgress(STARTED, {"ok": 2395, "partial": 2, "failed": 3}, 100, 12_100, 1000.0),
            "2,400 of 12,000 documents done, 2 partial, 3 failed, 2.4 a second, about 67 min left",
        ),
        (
            RunProgress(STARTED, {"ok": 90}, expected=None, seconds=3.0),
            "90 documents done, 0 partial, 0 failed, 30 a second",
        ),
        (
            RunProgress(STARTED, {"failed": 1}, expected=2, seconds=25.0),
            "1 of 2 documents done, 0 partial, 1 failed, 0.04 a second, about 25 s left",
        ),
    ],
)
def test_a_line_of_progress_says_what_is_done_failed_and_left(progress: RunProgress, line: str) -> None:
    assert progress_line(progress) == line


def _watched(request: RunRequest, seconds: float) -> None:
    """Run a progress of one document for some time."""
    stats = RunStats()
    with Progress(request, stats) as progress:
        done = record("a")
        stats.add(done)
        progress.add(done)
        time.sleep(seconds)


def test_without_a_terminal_a_line_comes_now_and_then_and_none_when_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("文", "utf-8")
    monkeypatch.setattr(_progress, "LINE_SECONDS", 0.05)
    monkeypatch.setattr(_progress, "_SHORT", 0.0)
    _watched(_request(tmp_path), 0.4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert lines[-1].startswith("1 of 2 documents done, 0 partial, 0 failed, ")
    assert " a second, about " in lines[-1]
    _watched(_request(tmp_path, quiet=True), 0.2)
    assert capsys.readouterr().err == ""


def test_a_short_run_says_nothing_on_the_way_and_counts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats = RunStats()
    with Progress(_request(tmp_path), stats):
        pass
    for thread in threading.enumerate():
        if thread.name in ("estimate", "progress"):
            thread.join(5)
    assert (stats.expected, capsys.readouterr().err) == (None, "")


def test_an_interrupt_says_how_many_documents_it_waits_for_and_how_long() -> None:
    display = RunDisplay(_request(Path("in")), load_task("contact"))
    assert display.finishing(1).startswith("Finishing what is in flight: 1 document. A second signal ends at once")
    display.stats.worked = time.perf_counter() - 10
    for number in range(100):
        display.stats.add(record(str(number)))
    assert "in flight: 128 documents, about 13 s. A second signal" in display.finishing(128)


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.mark.parametrize(("name", "content"), [("a.json", "[]"), ("a.csv", "id,text\n")])
def test_an_empty_list_or_table_is_an_input_without_a_document(
    inbox: Path, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    (inbox / name).write_text(content, encoding="utf-8")
    assert main(["run", "inbox", *LINE]) == 2
    assert f"{name} holds no document: its list or table is empty" in capsys.readouterr().err
    assert main(["run", "inbox", *LINE, "--allow-empty"]) == 0
    (inbox / "b.txt").write_text("张三", encoding="utf-8")
    assert main(["run", "inbox", *LINE]) == 0


def test_an_input_without_a_document_is_wrong_usage_unless_it_may_be_so(
    inbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "inbox", *LINE, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "Error: No document was found in the input. Check its path, or say that it may be so: --allow-empty.\n"
    )
    assert main(["run", "inbox", *LINE, "--allow-empty"]) == 0
    assert capsys.readouterr().err == "No document was found in the input.\n"


def test_an_empty_input_touches_no_rows_of_an_earlier_run(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inbox / "a.txt").write_text("文", "utf-8")
    assert main(["run", "inbox", *LINE]) == 0
    before = Path("rows.jsonl").read_bytes()
    (inbox / "a.txt").unlink()
    assert main(["run", "inbox", *LINE, "--overwrite"]) == 2
    assert main(["run", "inbox", *LINE, "--prune"]) == 2
    assert Path("rows.jsonl").read_bytes() == before
    assert json.loads(Path("rows.run.json").read_text("utf-8"))["run"]["state"] == "ended"


def test_a_limit_of_no_documents_is_not_an_empty_input(inbox: Path) -> None:
    (inbox / "a.txt").write_text("文", "utf-8")
    assert main(["run", "inbox", *LINE, "--limit", "0"]) == 0
    assert rows(Path("rows.jsonl")) == []
