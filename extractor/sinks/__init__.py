"""Records to rows. A module of this folder with SUFFIXES and `open_sink` is an output format.

So is one that another installed package names as an entry point of the group `extractor.sinks`.

A sink knows what an earlier run with the same settings has written, so that the same line run again does only what is
missing. It writes records in the order in which it gets them.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, Protocol, cast

from extractor import plugins
from extractor.data import Record
from extractor.errors import UsageError
from extractor.storage.addresses import is_address
from extractor.task.task import Task

__all__ = ["STDOUT", "Sink", "SinkOptions", "Status", "beside", "formats", "open_sink"]

STDOUT = "-"
Status = Literal["ok", "failed"]


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a sink has to know of the run.

    `fingerprint` stands for everything that can change a result and `settings` says it in words: rows of another
    fingerprint are refused unless `overwrite`. `retry_failed` drops failed rows, so that they are missing. Rows go to
    the disk itself at least every `sync_seconds` in which rows are written; the system has each one at once. Formats
    with columns take them from the schema of `task`. `flatten` gives a row for each value found instead of each
    document.
    """

    fingerprint: str
    settings: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    retry_failed: bool = False
    sync_seconds: float = 1.0
    task: Task | None = None
    flatten: bool = False


class Sink(Protocol):
    """Where rows go. Entering takes the output for this run, leaving makes it whole and gives it back."""

    def done(self, id: str, sha256: str) -> Status | None:
        """The status of the row that an earlier run wrote for this document, None where it is to be done."""
        ...

    def write(self, record: Record) -> None:
        """Write one row; when this returns, the end of this process cannot lose it. Raises OutputError."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(self, *exc: object) -> None: ...


class Format(Protocol):
    """A module that writes one format: the suffixes it is for and how to open a sink on a path (or on `-`).

    Heavy imports belong inside `open_sink`, which raises UsageError where a package is missing.
    """

    SUFFIXES: tuple[str, ...]

    def open_sink(self, path: str, options: SinkOptions) -> Sink: ...


@functools.cache
def formats() -> Mapping[str, Format]:
    """All output formats by suffix; the formats of this folder come before those of other packages."""
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    own = [cast(Format, module) for module in modules if hasattr(module, "SUFFIXES")]
    others = [cast(Format, plugin) for plugin in plugins.load_all(__name__)]
    return {suffix: module for module in (*reversed(others), *own) for suffix in module.SUFFIXES}


def open_sink(path: str, options: SinkOptions) -> Sink:
    """The sink for a path or an address, by its suffix; `-` and devices get JSON lines. Nothing is touched before it is
    entered.

    Raises UsageError for a suffix that no format knows.
    """
    suffixes = sorted(formats(), key=len, reverse=True)
    suffix = ".jsonl" if _is_stream(path) else next((it for it in suffixes if path.lower().endswith(it)), None)
    if suffix is None:
        known = ", ".join(sorted(formats()))
        raise UsageError(f"{path} has no suffix of a known output format. Use one of {known}, or - for stdout.")
    if is_address(path):
        from extractor.storage.object_store import RemoteSink

        return RemoteSink(path, lambda local: formats()[suffix].open_sink(local, options), options)
    return formats()[suffix].open_sink(path, options)


def beside(path: str) -> tuple[str, ...]:
    """An output and what may stand beside it, now or after a kill: none of it is a document to read."""
    from extractor.storage import manifest

    suffixes = ("", ".lock", ".tmp", ".open.jsonl", ".open.jsonl.tmp", "-wal", "-shm", "-journal")
    return (*(f"{path}{suffix}" for suffix in suffixes), manifest.path_of(path))


def _is_stream(path: str) -> bool:
    if path == STDOUT:
        return True
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
