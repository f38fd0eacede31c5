"""`--engine ray`: the same run on many machines, or on several devices of one. The output is a folder of parts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from extractor import sinks
from extractor.cli import _options
from extractor.cli._progress import Progress, Tally
from extractor.data import Backend, Record
from extractor.distributed.job import Job, Reading
from extractor.distributed.resources import connected, lay_out
from extractor.errors import UsageError
from extractor.ingest import ReadOptions
from extractor.ingest.discovery import STDIN
from extractor.pipeline import Pipeline
from extractor.sinks import STDOUT
from extractor.storage.parts_folder import PartsFolder

_ENGINES = ("local", "ray")


def options(command: _options.Command) -> _options.Command:
    for option in (
        click.option(
            "--parcel",
            type=click.IntRange(min=1),
            default=256,
            show_default=True,
            help="ray: documents of a part file, and what the end of a worker puts back.",
        ),
        click.option("--gpus-per-worker", type=click.FloatRange(min=0), help="ray: 1 where there are any, else 0."),
        click.option("--workers", type=click.IntRange(min=1), help="ray: models.  [default: one a GPU, or a machine]"),
        click.option("--address", metavar="HOST:PORT", help="ray: a cluster to join; without, one is started here."),
        click.option(
            "--engine",
            type=click.Choice(_ENGINES),
            default="local",
            show_default=True,
            help="local: this process. ray: several workers, on many machines; -o is a folder of part files.",
        ),
    ):
        command = option(command)
    return command


def check(options: Mapping[str, Any], inputs: tuple[str, ...]) -> None:
    """Raise UsageError for options that do not go together, before anything is loaded."""
    if options["engine"] != "ray":
        for name in ("address", "workers", "gpus_per_worker"):
            if options[name] is not None:
                raise UsageError(f"--{name.replace('_', '-')} is an option of --engine ray: add that.")
        return
    if options["output"] == STDOUT or not _is_folder(options["output"]):
        raise UsageError("With --engine ray the output is a folder of part files: -o results, say.")
    if STDIN in inputs:
        raise UsageError("With --engine ray standard input cannot be read: a restart needs it again. Give files.")
    if options["flatten"]:
        raise UsageError("Part files have a row for each document: leave out --flatten, or run without --engine ray.")
    if options["ordered"]:
        raise UsageError("Part files are written as they are done: leave out --ordered, or run without --engine ray.")
    if ":" in options["device"]:
        raise UsageError("Ray gives each worker its GPU: leave --device at auto, and say --gpus-per-worker.")


def _is_folder(output: str) -> bool:
    """Whether a path can be one: not where it is something else, or has the suffix of a file of rows."""
    return os.path.isdir(output) or not (os.path.exists(output) or output.lower().endswith(tuple(sinks.formats())))


@dataclass(frozen=True, slots=True)
class Source:
    """What `extractor run` has made of its options, for workers to be made of."""

    pipeline: Pipeline
    make_backend: Callable[[], Backend]
    inputs: tuple[str, ...]
    read_options: ReadOptions


def records(source: Source, progress: Progress, options: Mapping[str, Any], tally: Tally) -> Iterator[Record]:
    """The records of all workers, each in a part file already. Raises UsageError where Ray is not installed."""
    pipeline = source.pipeline
    reading = Reading(
        source.inputs,
        source.read_options,
        limit=options["limit"],
        parcel=options["parcel"],
    )
    with (
        PartsFolder(options["output"], _options.sink_options(pipeline, options)) as folder,
        contextlib.redirect_stdout(sys.stderr),  # where Ray prints that a worker has died
        connected(options["address"], options["workers"]) as machines,
        progress,
    ):
        from extractor.distributed.coordinator import Run

        layout = lay_out(machines, options["workers"], options["gpus_per_worker"])
        run = Run(Job.of(pipeline, source.make_backend), reading, folder, layout)
        if not options["quiet"]:
            _options.label_demo(pipeline.backend.name)
        for record in run.records():
            tally.skipped, tally.failed_before = run.counts.skipped, run.counts.failed
            yield record
        tally.skipped, tally.failed_before = run.counts.skipped, run.counts.failed
