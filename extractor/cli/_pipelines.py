"""The pipeline that a request asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from extractor import backends
from extractor.cli._interrupts import ending_at_once
from extractor.cli._run_stats import RunStats
from extractor.config import ExtractionRequest, RunRequest, TaskConfig
from extractor.data import Backend
from extractor.pipeline import Pipeline
from extractor.sinks import SinkOptions
from extractor.task.examples import Example
from extractor.task.shorthand import schema_from_fields
from extractor.task.task import Task, load_task, make_task

BATCHES_IN_FLIGHT = 2
"""Prompts of so many batches, so that the next ones are ready when sequences finish; an interrupt waits for them."""


def open_pipeline(request: ExtractionRequest) -> Pipeline:
    """Return the pipeline, its model not loaded yet. Raise UsageError where it leaves no room for text."""
    config = replace(request.run, window=BATCHES_IN_FLIGHT * request.model.concurrency)
    with ending_at_once():
        pipeline = Pipeline(load(request.task), backend_maker(request)(), config)
        pipeline.check()
    return pipeline


def backend_maker(request: ExtractionRequest) -> Callable[[], Backend]:
    """Return what makes the backend, here or in another process."""
    return partial(backends.make, request.backend, request.model)


def load(config: TaskConfig) -> Task:
    """Return the task. Raise UsageError for a schema, fields, a prompt or examples that cannot be used."""
    task = _task(config)
    if not config.examples:
        return task
    from extractor.annotation_formats import load_examples  # takes a while, and is seldom needed

    return _task(config, load_examples(config.examples, task))


def _task(config: TaskConfig, examples: Sequence[Example] = ()) -> Task:
    if config.fields is None:
        return load_task(str(config.schema), config.prompt, examples)
    return make_task(schema_from_fields(config.fields), config.prompt, "fields", examples)


def sink_options(request: RunRequest, pipeline: Pipeline, stats: RunStats) -> SinkOptions:
    """Return what a sink has to know of a run."""
    return SinkOptions(
        fingerprint=pipeline.info.fingerprint,
        settings=pipeline.settings,
        overwrite=request.output.overwrite,
        retry_failed=request.output.retry_failed,
        task=pipeline.task,
        flatten=request.output.flatten,
        bom=request.output.bom,
        progress=lambda: stats.progress(interrupted=pipeline.stop.is_set()),
    )
