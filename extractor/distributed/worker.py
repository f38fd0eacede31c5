"""What runs in the other processes: the one that reads, and the workers."""

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
from extractor.data import Document, FailedDocument, Record
from extractor.distributed.batch import Committed, Counts, Parcel
from extractor.distributed.job import Job, Reading
from extractor.errors import ExtractorError, ModelError
from extractor.pipeline import Pipeline
from extractor.storage import parts_folder
from extractor.storage.digest_table import DigestTable
from extractor.storage.resume import ResumeState

PARCEL_CHARACTERS = 16 << 20
"""A parcel of long documents is sent before it is full."""


def read(reading: Reading, done: DigestTable) -> Iterator[Parcel]:
    """The documents that are not done, in parcels, in the order of the input: the ids are those of a run on one
    machine, and reading once more gives the same parcels. The last parcel is empty and has the final counts."""
    os.chdir(reading.folder)
    known = ResumeState(done)
    counts, waiting, characters = Counts(), list[Document | FailedDocument](), 0
    for item in itertools.islice(ingest.read(reading.inputs, reading.options), reading.limit):
        status = known.status(item.id, item.source.sha256)
        if status is None:
            waiting.append(item)
            characters += len(item.text) if isinstance(item, Document) else 0
            counts = replace(counts, sent=counts.sent + 1)
        else:
            counts = replace(counts, skipped=counts.skipped + 1, failed=counts.failed + (status != "ok"))
        if len(waiting) == reading.parcel or characters > PARCEL_CHARACTERS:
            yield Parcel(waiting, counts)
            waiting, characters = [], 0
    if waiting:
        yield Parcel(waiting, counts)
    yield Parcel((), replace(counts, ended=True))


@dataclass(slots=True)
class _Open:
    """A parcel that is under way, and who waits for its records."""

    missing: int
    records: list[Record] = field(default_factory=list)
    future: Future[list[Record]] = field(default_factory=Future)


class Stream:
    """One run of the pipeline over all parcels of a worker: while the last answers of a parcel are written, documents
    of the next fill the batch. Its thread loads the model."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._queue: queue.Queue[Document | FailedDocument] = queue.Queue()
        self._parcels: dict[str, _Open] = {}
        self._by_id: dict[str, _Open] = {}
        self._lock = threading.Lock()
        self.error: BaseException | None = None
        threading.Thread(target=self._run, name="pipeline", daemon=True).start()

    def records(self, key: str, documents: Sequence[Document | FailedDocument]) -> list[Record]:
        """The records of a parcel, once all are there; a parcel that comes twice is worked on once. Raises what ended
        the pipeline."""
        with self._lock:
            if self.error is not None:
                raise self.error
            opened = self._parcels.get(key)
            if opened is None:
                opened = self._parcels[key] = _Open(len(documents))
                for document in documents:
                    self._by_id[document.id] = opened
                    self._queue.put(document)
        return opened.future.result()

    def _run(self) -> None:
        try:
            with self._pipeline.backend:
                for record in self._pipeline.run(iter(self._queue.get, None)):
                    self._add(record)
        except BaseException as error:  # handed to those who wait: nothing is swallowed
            with self._lock:
                self.error = error
                for opened in self._parcels.values():
                    opened.future.set_exception(error)

    def _add(self, record: Record) -> None:
        with self._lock:
            opened = self._by_id.pop(record.id)
            opened.records.append(record)
            opened.missing -= 1
            if not opened.missing:
                self._parcels = {key: each for key, each in self._parcels.items() if each is not opened}
                opened.future.set_result(opened.records)


class Worker:
    """An actor: one model, and a part file for each parcel that it is given."""

    def __init__(self, job: Job) -> None:
        os.environ["OMP_NUM_THREADS"] = str(job.threads)  # read when torch is imported, which is later
        with contextlib.suppress(FileNotFoundError):  # then a path that it takes is missed by its own name
            os.chdir(job.folder)
        self._job = job
        self._lock = threading.Lock()
        self._stream: Stream | None = None

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """An error that would end a run on one machine comes back as a value, because it is to end this one, too;
        any other exception costs the parcel."""
        parcel = Parcel.from_table(table)
        try:
            yield self._work(parcel).to_table()
        except ExtractorError as error:
            yield Committed(counts=parcel.counts, error=error).to_table()

    def _work(self, parcel: Parcel) -> Committed:
        """Commit the records of a parcel, unless that was done already by a worker that died before it could say so."""
        if not parcel.documents:
            return Committed(counts=parcel.counts)
        key = "\n".join(f"{each.id} {each.source.sha256}" for each in parcel.documents)
        path = parts_folder.part_path(self._job.output, self._job.run, key)
        if os.path.exists(path):
            return Committed(path, list(parts_folder.records_of(path)), parcel.counts)
        records = self._ready().records(path, parcel.documents)
        parts_folder.commit(path, records)
        return Committed(path, records, parcel.counts)

    def _ready(self) -> Stream:
        with self._lock:
            if self._stream is None or self._stream.error is not None:
                self._stream = Stream(self._pipeline())
            return self._stream

    def _pipeline(self) -> Pipeline:
        """Raises ModelError where this machine has another model than the one that leads."""
        pipeline = self._job.pipeline()
        if pipeline.info.fingerprint != self._job.fingerprint:
            raise ModelError(
                f"A worker has other settings than this machine ({pipeline.settings}). Give all machines the same "
                "model, at the same path or revision, and the same version of this program."
            )
        return pipeline
