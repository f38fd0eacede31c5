"""How far a run is, and how the last one ended, is noted beside the output."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from extractor.sinks import SinkOptions, open_sink
from extractor.storage.run_progress import RunProgress
from tests.sinks.records import record

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HALFWAY = RunProgress(STARTED, {"ok": 8, "failed": 2}, done_before=30, expected=60, seconds=4.0)


def test_rate_and_time_left_follow_from_what_this_run_has_done() -> None:
    assert (HALFWAY.done, HALFWAY.total, HALFWAY.rate, HALFWAY.seconds_left) == (10, 30, 2.5, 8.0)
    assert HALFWAY.seconds_for(5) == 2.0


@pytest.mark.parametrize("progress", [RunProgress(STARTED), RunProgress(STARTED, expected=9, seconds=3.0)])
def test_before_the_first_document_neither_rate_nor_time_left_is_known(progress: RunProgress) -> None:
    assert (progress.rate, progress.seconds_left) == (None, None)


def test_an_estimate_that_is_too_low_leaves_no_time_but_never_a_negative_one() -> None:
    progress = RunProgress(STARTED, {"ok": 10}, expected=5, seconds=1.0)
    assert (progress.total, progress.seconds_left) == (10, 0.0)


class Run:
    """A run on an output, whose progress a test sets."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.progress = HALFWAY

    def options(self) -> SinkOptions:
        return SinkOptions("f1", {"model": "demo"}, progress=lambda: self.progress, note_seconds=0.01)

    def noted(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output.with_name("rows.run.json").read_text("utf-8"))
        return found

    def wait_for(self, name: str, value: object) -> dict[str, Any]:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self.output.with_name("rows.run.json").exists() and self.noted().get("run", {}).get(name) == value:
                return self.noted()
            time.sleep(0.01)
        pytest.fail(f"{name} was not noted as {value}: {self.noted()}")


def _break_off(run: Run) -> None:
    """Write a row, and let an error end the run."""
    sink = open_sink(str(run.output), run.options())
    sink.__enter__()
    sink.write(record("b"))
    sink.__exit__(ValueError, ValueError(), None)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "rows.jsonl")


def test_while_rows_are_written_the_manifest_says_how_far_the_run_is_and_then_that_it_ended(run: Run) -> None:
    with open_sink(str(run.output), run.options()) as sink:
        sink.write(record("a"))
        noted = run.wait_for("done", 10)
        assert noted["settings"] == {"model": "demo"}
        updated = noted["run"].pop("updated")
        assert datetime.fromisoformat(updated) > STARTED
        assert noted["run"] == {
            **{"state": "running", "pid": os.getpid(), "started": "2026-01-02T03:04:05Z"},
            **{"done": 10, "ok": 8, "partial": 0, "failed": 2, "done_before": 30, "total": 30},
            **{"documents_per_second": 2.5, "seconds_left": 8.0},
        }
        run.progress = RunProgress(STARTED, {"ok": 30}, seconds=10.0)
        run.wait_for("done", 30)
    ended = run.noted()
    assert (ended["run"]["state"], ended["run"]["done"], ended["run"]["seconds_left"]) == ("ended", 30, None)
    assert (ended["totals"]["documents"], ended["work"]["rows"]) == (1, 1)
    assert sorted(path.name for path in run.output.parent.iterdir()) == ["rows.jsonl", "rows.run.json"]


def test_an_interrupt_and_an_error_are_noted_as_such(run: Run) -> None:
    with open_sink(str(run.output), run.options()) as sink:
        run.progress = RunProgress(STARTED, {"ok": 1}, interrupted=True)
        sink.write(record("a"))
    assert run.noted()["run"]["state"] == "interrupted"
    _break_off(run)
    assert run.noted()["run"]["state"] == "stopped"


def test_a_run_with_nothing_to_do_leaves_what_is_noted_of_the_last_one_that_ended(run: Run) -> None:
    with open_sink(str(run.output), run.options()) as sink:
        sink.write(record("a"))
    before = run.noted()
    run.progress = RunProgress(STARTED, done_before=1)
    with open_sink(str(run.output), run.options()):
        pass
    assert run.noted() == before
    _break_off(run)
    with open_sink(str(run.output), run.options()):
        pass
    assert (run.noted()["run"]["state"], run.noted()["run"]["done_before"]) == ("ended", 1)
