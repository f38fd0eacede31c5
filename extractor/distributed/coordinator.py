"""The process that leads: it lays out the workers, takes in what they have committed, and sees that nothing is lost.

A worker that dies costs its parcels one retry each. A parcel that is lost all the same, or over which a worker meets
what nobody expected, is dealt out once more in single documents; one that is lost then becomes a failed record.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from extractor.distributed.batch import Committed, Counts
from extractor.distributed.job import Job, Reading
from extractor.distributed.resources import Layout
from extractor.distributed.worker import Worker, read
from extractor.errors import ExtractorError, Problem
from extractor.storage import parts_folder
from extractor.storage.parts_folder import PartsFolder

log = logging.getLogger(__name__)

RETRIES = 1
LOST = "a worker ended or failed over this document, alone and among others: look at the document, then --retry-failed"


@dataclass
class Run:
    """One run of a job over documents; `counts` fills while records come in."""

    job: Job
    reading: Reading
    folder: PartsFolder
    layout: Layout
    counts: Counts = field(default_factory=Counts)

    def records(self) -> Iterator[Record]:
        """One record for each document that is not done, each in a part file already. Raises ExtractorError."""
        try:
            yield from self._records()
        except ray.exceptions.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ExtractorError(f"Ray ended the run: {reason} Run the same line again to go on.") from error

    def _records(self) -> Iterator[Record]:
        finished = yield from self._counted(self._pass(self.reading))
        told = self.counts
        if told.ended and finished == told.sent:
            return
        log.warning("Parcels were lost with workers: their documents are dealt out again, one at a time.")
        self.counts = Counts()
        finished += yield from self._counted(self._unnoticed())
        finished += yield from self._counted(self._pass(dataclasses.replace(self.reading, parcel=1, at_once=1)))
        finished += yield from self._counted(self._unnoticed())
        ended, self.counts = self.counts.ended, told
        if not ended or (not finished and told.sent != 1):
            raise ExtractorError(
                "No worker has finished a document. -v shows what Ray says of it; then run the same line again."
            )
        yield from self._lost()

    def _counted(self, records: Iterator[Record]) -> Generator[Record, None, int]:
        count = 0
        for record in records:
            count += 1
            yield record
        return count

    def _pass(self, reading: Reading) -> Iterator[Record]:
        """Deal out all that is not done, once."""
        for table in self._dealt_out(reading):
            for committed in Committed.from_table(table):
                if committed.error is not None:
                    raise committed.error
                self.counts = max(self.counts, committed.counts)
                if committed.part:
                    self.folder.add(committed.part, committed.records)
                yield from committed.records

    def _dealt_out(self, reading: Reading) -> Iterator[pa.Table]:
        """What workers say of their parcels, as it comes."""
        job = dataclasses.replace(self.job, output=self.folder.path, run=self.folder.run, threads=self.layout.cpus)
        with _quietly(), DataContext.current(_context()):
            read_ahead = ray.data.from_items([{"read": "all"}]).map_batches(
                _read,
                batch_format="pyarrow",
                fn_args=(reading, ray.put(self.folder.state.table)),
                num_cpus=0,
                resources=_here(),
            )
            worked = read_ahead.map_batches(
                Worker,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_args=(job,),
                compute=_pool(self.layout.workers, reading.at_once),
                num_cpus=self.layout.cpus,
                num_gpus=self.layout.gpus or None,
                max_task_retries=RETRIES,
            )
            yield from worked.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)

    def _unnoticed(self) -> Iterator[Record]:
        for path, records in self.folder.unnoticed():
            self.folder.add(path, records)
            yield from records

    def _lost(self) -> Iterator[Record]:
        """Failed records of the documents that are still missing."""
        missing = [
            FailedDocument(item.id, item.source, Problem("crashed", LOST))
            for parcel in read(self.reading, self.folder.state.table)
            for item in parcel.documents
        ]
        if missing:
            records = list(self.job.pipeline().run(missing))
            path = parts_folder.part_path(self.folder.path, self.folder.run, "\n".join(each.id for each in missing))
            parts_folder.commit(path, records)
            self.folder.add(path, records)
            yield from records


def _read(_: pa.Table, reading: Reading, done: ray.ObjectRef) -> Iterator[pa.Table]:
    return (parcel.to_table() for parcel in read(reading, ray.get(done)))


def _here() -> dict[str, float]:
    """What only this machine has: the input is where the run was started, and perhaps nowhere else."""
    mine = ray.get_runtime_context().get_node_id()
    address = next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == mine)
    return {f"node:{address}": 0.001}


def _pool(workers: int, at_once: int) -> ray.data.ActorPoolStrategy:
    return ray.data.ActorPoolStrategy(
        size=workers,
        max_tasks_in_flight_per_actor=at_once,
        max_concurrent_calls_per_actor=at_once,
        enable_true_multi_threading=True,
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without Ray's advice to programmers. `max_task_retries` has no other place until Ray 2.64 brings one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RayDeprecationWarning)
        warnings.filterwarnings("ignore", module=r"ray\.")
        yield


def _context() -> DataContext:
    """Each row, which is a parcel, is a block of its own; what fails costs its block and not the run."""
    quiet = not log.isEnabledFor(logging.INFO)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL if quiet else logging.INFO)
    context = DataContext.get_current().copy()
    context.target_max_block_size = 1
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context
