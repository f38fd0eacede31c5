"""The coordinator: it starts the workers, takes in what they have committed, and makes sure that nothing is lost.

A worker that dies costs its batches one retry each. Batches that are lost with a machine are distributed again as they
were, because their documents are not to blame. A batch that is lost all the same, or over which a worker meets a bug,
is distributed again in single documents; one that is lost then becomes a failed record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import ray
import ray.data
from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

from extractor.data import FailedDocument, Record
from extractor.distributed.batch import BatchResult, ReadProgress
from extractor.distributed.job import ReadJob, WorkerJob
from extractor.distributed.resources import WorkerLayout
from extractor.distributed.worker import WorkerActor, read
from extractor.errors import ModelError, Problem
from extractor.storage import parts_folder
from extractor.storage.parts_folder import PartsFolder
from extractor.storage.present import Present

log = logging.getLogger(__name__)

RETRIES = 1
LOST = "a worker died or failed over this document, alone and with others: look at the document, then --retry-failed"


@dataclass
class Coordinator:
    """One run of a job over documents; `progress` grows while records come in, `present` is there at the end."""

    job: WorkerJob
    reading: ReadJob
    folder: PartsFolder
    layout: WorkerLayout
    progress: ReadProgress = field(default_factory=ReadProgress)
    present: Present | None = None
    _complete: bool = False

    def records(self) -> Iterator[Record]:
        """Yield a record for each document that is not done, each in a part file already. Raise ExtractorError."""
        try:
            yield from self._records()
        except ray.exceptions.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"Ray ended the run: {reason} Run the same line again to resume.") from error

    def _records(self) -> Iterator[Record]:
        machines = _machines()
        finished = yield from self._finished(self.reading)
        first = self.progress
        if not self._complete and not machines <= _machines():
            log.warning("A machine is gone: the documents that its workers had are distributed again.")
            finished += yield from self._finished(self.reading)
        if not self._complete:
            log.warning("Batches were lost with workers: their documents are distributed again, one at a time.")
            finished += yield from self._finished(self._one_by_one)
            if not self.progress.ended or (not finished and first.sent != 1):
                raise ModelError(
                    "No worker has finished a document. -v shows what Ray says of it; then run the same line again."
                )
            yield from self._lost()
        self.progress = first

    def _finished(self, reading: ReadJob) -> Generator[Record, None, int]:
        """Distribute all that is not done, once, and return how many records came of it."""
        self.progress, count = ReadProgress(), 0
        for record in itertools.chain(self._pass(reading), self._unnoticed()):
            count += 1
            yield record
        self._complete = self.progress.ended and count == self.progress.sent
        return count

    @property
    def _one_by_one(self) -> ReadJob:
        return dataclasses.replace(self.reading, batch_documents=1, batches_in_flight=1)

    def _pass(self, reading: ReadJob) -> Iterator[Record]:
        for table in self._results(reading):
            for result in BatchResult.from_table(table):
                if result.error is not None:
                    raise result.error
                if result.progress.is_after(self.progress):
                    self.progress = result.progress
                if result.present:
                    self.present = Present.from_bytes(result.present)
                if result.part:
                    self.folder.add(result.part, result.records)
                yield from result.records

    def _results(self, reading: ReadJob) -> Iterator[pa.Table]:
        """Yield the results of workers as they come: reading feeds the actors, through Ray's object store."""
        job = dataclasses.replace(self.job, output=self.folder.path, run=self.folder.run, threads=self.layout.cpus)
        with _quietly(), DataContext.current(_context()):
            batches = ray.data.from_items([{"read": "all"}]).map_batches(
                _read,
                batch_format="pyarrow",
                fn_args=(reading, ray.put(self.folder.state.table)),
                num_cpus=0,
                resources=_here(),
            )
            results = batches.map_batches(
                WorkerActor,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_args=(job,),
                compute=_pool(self.layout.workers, reading.batches_in_flight),
                num_cpus=self.layout.cpus,
                num_gpus=self.layout.gpus or None,
                max_task_retries=RETRIES,
            )
            yield from results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)

    def _unnoticed(self) -> Iterator[Record]:
        for path, records in self.folder.unnoticed():
            self.folder.add(path, records)
            yield from records

    def _lost(self) -> Iterator[Record]:
        """Yield failed records of the documents that are still missing."""
        missing = [
            FailedDocument(item.id, item.source, Problem("crashed", LOST))
            for batch in read(self.reading, self.folder.state.table)
            for item in batch.documents
        ]
        if missing:
            records = list(self.job.pipeline().run(missing))
            path = parts_folder.part_path(self.folder.path, self.folder.run, "\n".join(each.id for each in missing))
            parts_folder.commit(path, records)
            self.folder.add(path, records)
            yield from records


def _read(_: pa.Table, reading: ReadJob, done: ray.ObjectRef) -> Iterator[pa.Table]:
    return (batch.to_table() for batch in read(reading, ray.get(done)))


def _machines() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _here() -> dict[str, float]:
    """Return what only this machine has: the input is where the run was started, and perhaps nowhere else."""
    mine = ray.get_runtime_context().get_node_id()
    address = next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == mine)
    return {f"node:{address}": 0.001}


def _pool(workers: int, in_flight: int) -> ray.data.ActorPoolStrategy:
    return ray.data.ActorPoolStrategy(
        size=workers,
        max_tasks_in_flight_per_actor=in_flight,
        max_concurrent_calls_per_actor=in_flight,
        enable_true_multi_threading=True,
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence Ray's advice to programmers. `max_task_retries` has no other place before Ray 2.64."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RayDeprecationWarning)
        warnings.filterwarnings("ignore", module=r"ray\.")
        yield


def _context() -> DataContext:
    """Return Ray's settings: each row, which is a batch, is a block of its own, and a failure costs its block alone."""
    quiet = not log.isEnabledFor(logging.INFO)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL if quiet else logging.INFO)
    context = DataContext.get_current().copy()
    context.target_max_block_size = 1
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context
