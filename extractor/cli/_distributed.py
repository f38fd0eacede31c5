"""`--engine ray`: the same run on many machines, or on several devices of one. The output is a folder of part files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from extractor import sinks
from extractor.cli._pipelines import sink_options
from extractor.cli._progress import RunDisplay
from extractor.cli._prune import prune
from extractor.config import DistributedConfig, RunRequest
from extractor.data import Backend, Record
from extractor.distributed.job import ReadJob, WorkerJob
from extractor.distributed.resources import connect, lay_out
from extractor.errors import UsageError
from extractor.pipeline import Pipeline
from extractor.storage.parts_folder import PartsFolder


def records(
    request: RunRequest, pipeline: Pipeline, make_backend: Callable[[], Backend], display: RunDisplay
) -> Iterator[Record]:
    """Yield the records of all workers, each in a part file already. Raise UsageError where Ray is not installed."""
    config = request.distributed or DistributedConfig()
    reading = ReadJob(request.inputs, request.read, limit=request.limit, batch_documents=config.batch_documents)
    with (
        PartsFolder(_folder(request.output.path), sink_options(request, pipeline, display.stats)) as folder,
        contextlib.redirect_stdout(sys.stderr),  # where Ray prints that a worker has died
        connect(config.address, config.workers) as nodes,
        display.progress,
    ):
        from extractor.distributed.coordinator import Coordinator  # imports Ray, which reads what `connect` has set

        layout = lay_out(nodes, config.workers, config.gpus_per_worker)
        coordinator = Coordinator(WorkerJob.of(pipeline, make_backend), reading, folder, layout)
        display.label(pipeline.backend.name)
        for record in coordinator.records():
            display.stats.skipped = coordinator.progress.skipped
            yield record
        display.stats.skipped = coordinator.progress.skipped
        display.check_found()
        if request.limit is None and coordinator.present is not None:
            display.stale = prune(folder, coordinator.present, request)


def _folder(output: str) -> str:
    """Return the output if it can be a folder: it is none of another kind, nor has it the suffix of a file of rows."""
    is_other = os.path.exists(output) or output.lower().endswith(tuple(sinks.formats()))
    if is_other and not os.path.isdir(output):
        raise UsageError(f"A distributed run writes a folder of part files, which {output} is not: -o results, say.")
    return output
