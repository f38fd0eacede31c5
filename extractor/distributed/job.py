"""What the coordinator sends to the other processes: what to read, and how to work on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from extractor.config import RunConfig
from extractor.data import Backend
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.task.task import Task


@dataclass(frozen=True, slots=True)
class ReadJob:
    """The documents to read, those that are done left out. Paths are relative to `folder`.

    A worker commits each batch of `batch_documents` as one part file. It works on `batches_in_flight` of them, so that
    the model's batch does not run dry at the end of one; these are lost when it dies, and redone.
    """

    inputs: tuple[str, ...]
    options: ReadOptions
    limit: int | None = None
    batch_documents: int = 256
    batches_in_flight: int = 2
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """What a worker needs to make the records that the coordinator would have made. `make_backend` is pickled: a
    function of a module, or a partial of one. Paths are relative to `folder`."""

    task: Task
    make_backend: Callable[[], Backend]
    config: RunConfig
    fingerprint: str
    output: str = ""
    run: int = 1
    threads: int = 1
    folder: str = field(default_factory=os.getcwd)

    @classmethod
    def of(cls, pipeline: Pipeline, make_backend: Callable[[], Backend]) -> WorkerJob:
        """Return the job of a pipeline."""
        return cls(pipeline.task, make_backend, pipeline.config, pipeline.info.fingerprint)

    def pipeline(self) -> Pipeline:
        """Return the pipeline of this process, its model not loaded yet."""
        return Pipeline(self.task, self.make_backend(), self.config)
