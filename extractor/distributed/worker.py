"""What runs in the other processes: the task that reads, and the workers."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import pyarrow as pa

from extractor import ingest
from extractor.data import STATUSES, Document, FailedDocument, Record, Status
from extractor.distributed.batch import BatchResult, DocumentBatch, ReadProgress
from extractor.distributed.job import ReadJob, WorkerJob
from extractor.errors import ExtractorError, ModelError
from extractor.pipeline import Pipeline
from extractor.storage import parts_folder
from extractor.storage.digest_table import DigestTable
from extractor.storage.present import Present
from extractor.storage.resume import ResumeState

BATCH_CHARACTERS = 16 << 20
"""A batch of long documents is sent before it is full."""


def read(job: ReadJob, done: DigestTable) -> Iterator[DocumentBatch]:
    """Yield the documents that are not done, in batches, in the order of the input.

    The ids are those of a run on one machine, and reading again gives the same batches. The last batch is empty and has
    the final progress and what the input holds.
    """
    os.chdir(job.folder)
    known, present = ResumeState(done), Present()
    progress, waiting, characters = ReadProgress(), list[Document | FailedDocument](), 0
    for item in present.watch(itertools.islice(ingest.read(job.inputs, job.options), job.limit)):
        status = known.status(item.id, item.source.sha256)
        progress = _after(progress, status)
        if status is None:
            waiting.append(item)
            characters += len(item.text) if isinstance(item, Document) else 0
        if len(waiting) == job.batch_documents or characters > BATCH_CHARACTERS:
            yield DocumentBatch(waiting, progress)
            waiting, characters = [], 0
    if waiting:
        yield DocumentBatch(waiting, progress)
    yield DocumentBatch((), replace(progress, ended=True), present.to_bytes())


def _after(progress: ReadProgress, status: Status | None) -> ReadProgress:
    """Return the progress after one more document; `status` is that of its row, if it is done."""
    if status is None:
        return replace(progress, sent=progress.sent + 1)
    before = zip(STATUSES, progress.before, strict=True)
    return replace(progress, before=tuple(count + (each == status) for each, count in before))


@dataclass(slots=True)
class _OpenBatch:
    """A batch that is being worked on, and the future of its records."""

    missing: int
    records: list[Record] = field(default_factory=list)
    future: Future[list[Record]] = field(default_factory=Future)


class PipelineThread:
    """One run of the pipeline over all batches of a worker: while the last answers of a batch are decoded, documents of
    the next fill the model's batch. The thread loads the model."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._queue: queue.Queue[Document | FailedDocument] = queue.Queue()
        self._batches: dict[str, _OpenBatch] = {}
        self._by_id: dict[str, _OpenBatch] = {}
        self._lock = threading.Lock()
        self.error: BaseException | None = None
        threading.Thread(target=self._run, name="pipeline", daemon=True).start()

    def records(self, key: str, documents: Sequence[Document | FailedDocument]) -> list[Record]:
        """Return the records of a batch, once all are there; a batch that is given twice is worked on once.

        Raise what ended the pipeline.
        """
        with self._lock:
            if self.error is not None:
                raise self.error
            batch = self._batches.get(key)
            if batch is None:
                batch = self._batches[key] = _OpenBatch(len(documents))
                for document in documents:
                    self._by_id[document.id] = batch
                    self._queue.put(document)
        return batch.future.result()

    def _run(self) -> None:
        try:
            with self._pipeline.backend:
                for record in self._pipeline.run(iter(self._queue.get, None)):
                    self._add(record)
        except BaseException as error:  # handed to those who wait: nothing is swallowed
            with self._lock:
                self.error = error
                for batch in self._batches.values():
                    batch.future.set_exception(error)

    def _add(self, record: Record) -> None:
        with self._lock:
            batch = self._by_id.pop(record.id)
            batch.records.append(record)
            batch.missing -= 1
            if not batch.missing:
                self._batches = {key: each for key, each in self._batches.items() if each is not batch}
                batch.future.set_result(batch.records)


class WorkerActor:
    """One model, and a part file for each batch that it is given. Ray makes it in a process of its own."""

    def __init__(self, job: WorkerJob) -> None:
        os.environ["OMP_NUM_THREADS"] = str(job.threads)  # read when torch is imported, which is later
        with contextlib.suppress(FileNotFoundError):  # then what reads a relative path says which it misses
            os.chdir(job.folder)
        self._job = job
        self._lock = threading.Lock()
        self._thread: PipelineThread | None = None

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Work on a batch.

        An error that would end a run on one machine comes back as a value, because it is to end this one, too; any
        other exception costs the batch.
        """
        batch = DocumentBatch.from_table(table)
        try:
            yield self._work(batch).to_table()
        except ExtractorError as error:
            yield BatchResult(progress=batch.progress, error=error).to_table()

    def _work(self, batch: DocumentBatch) -> BatchResult:
        """Commit the records of a batch, unless a worker that died before it could say so has done it already."""
        if not batch.documents:
            return BatchResult(progress=batch.progress, present=batch.present)
        key = "\n".join(f"{each.id} {each.source.sha256}" for each in batch.documents)
        path = parts_folder.part_path(self._job.output, self._job.run, key)
        if os.path.exists(path):
            return BatchResult(path, list(parts_folder.records_of(path)), batch.progress)
        records = self._ready().records(path, batch.documents)
        parts_folder.commit(path, records)
        return BatchResult(path, records, batch.progress)

    def _ready(self) -> PipelineThread:
        with self._lock:
            if self._thread is None or self._thread.error is not None:
                self._thread = PipelineThread(self._pipeline())
            return self._thread

    def _pipeline(self) -> Pipeline:
        """Return the pipeline. Raise ModelError where this machine has another model than the coordinator."""
        pipeline = self._job.pipeline()
        if pipeline.info.fingerprint != self._job.fingerprint:
            raise ModelError(
                f"A worker has other settings than this machine ({pipeline.settings}). Give all machines the same "
                "model, at the same path or revision, and the same version of this program."
            )
        return pipeline
