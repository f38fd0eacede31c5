"""What goes from the leading process to the others: what to read, and how to work on it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from extractor.config import RunConfig
from extractor.data import Backend
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.task.task import Task


@dataclass(frozen=True, slots=True)
class Reading:
    """The documents of a run, of which those that are done are left out. Paths start from `folder`.

    A parcel holds `parcel` documents, and a worker commits it as one part file. It works on `at_once` parcels, so that
    its batch does not run dry at the end of one; these are what its own end puts back.
    """

    inputs: tuple[str, ...]
    options: ReadOptions
    limit: int | None = None
    parcel: int = 256
    at_once: int = 2
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to make the records that the leading process would have made. `make_backend` goes over the
    wire: a function of a module, or a partial of one. Paths start from `folder`."""

    task: Task
    make_backend: Callable[[], Backend]
    config: RunConfig
    fingerprint: str
    output: str = ""
    run: int = 1
    threads: int = 1
    folder: str = field(default_factory=os.getcwd)

    @classmethod
    def of(cls, pipeline: Pipeline, make_backend: Callable[[], Backend]) -> Job:
        """The task is copied, without what it has worked out for itself."""
        task = dataclasses.replace(pipeline.task)
        return cls(task, make_backend, pipeline.config, pipeline.info.fingerprint)

    def pipeline(self) -> Pipeline:
        return Pipeline(self.task, self.make_backend(), self.config)
