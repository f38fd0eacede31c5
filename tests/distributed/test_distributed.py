"""A run on several workers gives the rows of a run on one, whatever happens to the workers."""

import functools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extractor import ingest
from extractor.data import Record
from extractor.distributed.batch import BatchResult, DocumentBatch
from extractor.distributed.job import ReadJob, WorkerJob
from extractor.distributed.resources import NodeResources, WorkerLayout
from extractor.distributed.worker import WorkerActor
from extractor.errors import ModelError, OutputError
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.sinks import SinkOptions
from extractor.storage.parts_folder import PartsFolder, parts
from extractor.task.task import make_task
from tests.cli.conftest import Row, assert_same_rows, rows
from tests.distributed import backends

TASK = make_task({"type": "object", "properties": {"名称": {"type": "string"}}}, "zh")
COUNT, BATCH = 48, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents in files and rows, one of them unreadable; two files call a row by one name."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(COUNT - 12):
        (inbox / f"{number:03d}.txt").write_text(f"单{number}: 好", encoding="utf-8")
    for name in ("a", "b"):
        lines = "".join(f'{{"id": "row-{at}", "text": "{name}{at}: 好"}}\n' for at in range(6))
        (inbox / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (inbox / "bad.txt").write_bytes(bytes(range(256)) * 4)
    return inbox


class Working:
    """A run on two workers over a folder, and the logs of what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder.parent / "out"
        self.log = folder.parent / "log"
        self.log.mkdir()
        self.output.mkdir()
        self.make_backend = functools.partial(backends.make, self.log)
        self.pipeline = Pipeline(TASK, self.make_backend())

    def records(self, workers: int = 2, **options: Any) -> Iterator[Record]:
        from extractor.distributed.coordinator import Coordinator

        reading = ReadJob((str(self.folder),), ReadOptions(), batch_documents=BATCH)
        settings = SinkOptions(self.pipeline.info.fingerprint, self.pipeline.settings, **options)
        with PartsFolder(str(self.output), settings) as parts_folder:
            coordinator = Coordinator(
                WorkerJob.of(self.pipeline, self.make_backend), reading, parts_folder, WorkerLayout(workers, 1, 0)
            )
            yield from coordinator.records()
            self.progress = coordinator.progress

    @property
    def rows(self) -> list[Row]:
        return [row for path in parts(str(self.output)) for row in rows(Path(path))]

    @property
    def alone(self) -> list[Row]:
        """What a run in one process makes of the folder."""
        from extractor.storage.rows import from_line, to_line

        found = self.pipeline.run(ingest.read([str(self.folder)]))
        return [from_line(to_line(record)) for record in found]

    @property
    def asked(self) -> Counter[str]:
        return Counter(line for log in self.log.glob("*.log") for line in log.read_text("utf-8").splitlines())

    def kill_a_worker(self) -> None:
        """Kill one that is at work."""
        newest = max(self.log.glob("*.log"), key=lambda log: log.stat().st_mtime)
        os.kill(int(newest.stem), signal.SIGKILL)
        newest.rename(newest.with_suffix(".killed.log"))


@pytest.fixture
def working(folder: Path, nodes: list[NodeResources]) -> Working:
    return Working(folder)


@pytest.mark.slow
def test_workers_that_are_killed_lose_no_document_and_cost_those_in_flight_one_retry(working: Working) -> None:
    kills = 0
    for at, _ in enumerate(working.records()):
        if at in (6, 20):
            working.kill_a_worker()
            kills += 1
    assert kills == 2
    asked = working.asked
    assert sum(asked.values()) - COUNT <= kills * 2 * BATCH  # a worker has two batches at a time
    assert max(asked.values()) <= 1 + kills
    (working.log / "alone").mkdir()
    assert_same_rows(working.rows, working.alone)
    assert {row["id"] for row in working.rows if row["status"] == "failed"} == {"inbox/bad.txt"}
    assert not list(working.output.glob(".*"))


@pytest.mark.slow
def test_a_document_that_kills_or_breaks_its_worker_fails_alone(working: Working) -> None:
    (working.folder / "010.txt").write_text("单10: kills", encoding="utf-8")
    (working.folder / "011.txt").write_text("单11: breaks", encoding="utf-8")  # lost with the batch of the other
    found = {record.id: record for record in working.records(workers=1)}
    assert len(found) == len(working.rows) == COUNT + 1
    failed = {name: record.errors[0].problem.code for name, record in found.items() if record.status == "failed"}
    assert failed == {"inbox/010.txt": "crashed", "inbox/011.txt": "crashed", "inbox/bad.txt": "binary"}


@pytest.mark.slow
def test_a_folder_that_is_full_ends_the_run_and_the_same_line_completes_it(working: Working) -> None:
    (working.folder / "020.txt").write_text("单20: " + "长" * 4000, encoding="utf-8")
    room = working.make_backend
    working.make_backend = functools.partial(backends.make_on_a_full_disk, working.log)
    with pytest.raises(OutputError, match="cannot be written.*Run the same line again"):
        list(working.records())
    kept = {path: Path(path).read_bytes() for path in parts(str(working.output))}
    assert len(working.rows) < COUNT
    assert not [name for name in working.output.glob(".*") if name.suffix == ".tmp"]
    working.make_backend = room
    list(working.records())
    assert {path: Path(path).read_bytes() for path in kept} == kept
    (working.log / "alone").mkdir()
    assert_same_rows(working.rows, working.alone)


def _worked(working: Working) -> BatchResult:
    """What a worker makes of one batch, in this process."""
    job = replace(WorkerJob.of(working.pipeline, working.make_backend), output=str(working.output))
    document = next(iter(ingest.read([str(working.folder / "000.txt")])))
    (table,) = WorkerActor(job)(DocumentBatch([document]).to_table())
    (result,) = BatchResult.from_table(table)
    return result


def test_a_worker_with_another_model_ends_the_run_before_it_writes(folder: Path) -> None:
    working = Working(folder)
    working.make_backend = functools.partial(backends.another_each_time, working.log)
    result = _worked(working)
    assert isinstance(result.error, ModelError)
    assert "Give all machines the same model" in str(result.error)
    assert working.rows == []


def test_a_batch_that_was_committed_by_a_worker_that_died_is_not_asked_about_again(folder: Path) -> None:
    working = Working(folder)
    first, second = _worked(working), _worked(working)
    assert first == second
    assert [record.id for record in first.records] == ["000.txt"]
    assert working.asked == Counter({"单0": 1})


def test_an_output_that_a_worker_cannot_write_ends_the_run_and_says_so(folder: Path) -> None:
    working = Working(folder)
    working.output.rmdir()
    result = _worked(working)
    assert isinstance(result.error, OutputError)
    assert "Run the same line again" in str(result.error)
