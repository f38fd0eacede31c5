"""Records to rows. A module of this folder with SUFFIXES and `open_sink` is an output format.

So is one that another installed package names as an entry point of the group `extractor.sinks`. A sink knows what an
earlier run with the same settings has written, so that the same line run again does only what is missing. How a file
survives a kill is the business of `extractor.storage`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from extractor import plugins
from extractor.data import Json
from extractor.errors import UsageError
from extractor.storage.addresses import is_address
from extractor.storage.resumable_file import files_of
from extractor.storage.sink import Sink, SinkOptions
from extractor.storage.stream import STDOUT, StreamSink, is_stream

__all__ = ["STDOUT", "Sink", "SinkModule", "SinkOptions", "beside", "formats", "module_of", "open_sink", "readable"]

Rows = Iterator[tuple[int, dict[str, Json] | None]]
"""Rows with their numbers in the file, from 1; None for a last one that is torn."""


@dataclass(frozen=True, slots=True)
class SinkModule:
    """A module that writes one output format.

    SUFFIXES: of the paths that it writes. `open_sink`: a sink on a path; heavy imports belong inside of it, and it
    raises UsageError where a package is missing. `read_rows` (optional): the rows of such a file, for the commands that
    read results; it raises InputError. BESIDE (optional): suffixes of the files that it keeps beside the output.
    """

    suffixes: tuple[str, ...]
    open_sink: Callable[[str, SinkOptions], Sink]
    read_rows: Callable[[str], Rows] | None = None
    beside: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: ModuleType) -> SinkModule:
        """Return what a module says of itself. Raises UsageError where that is not enough."""
        try:
            needed = tuple(module.SUFFIXES), module.open_sink
        except AttributeError as error:
            raise UsageError(f"The sink {module.__name__} is incomplete: {error}. Repair or remove it.") from error
        return cls(*needed, getattr(module, "read_rows", None), tuple(getattr(module, "BESIDE", ())))


@functools.cache
def formats() -> Mapping[str, SinkModule]:
    """Return all output formats by suffix; the formats of this folder come before those of other packages."""
    modules = map(SinkModule.of, reversed(plugins.modules(__name__)))
    return {suffix: module for module in modules for suffix in module.suffixes}


def module_of(path: str) -> SinkModule | None:
    """Return the format with the longest suffix that the path has; None where there is none."""
    suffixes = sorted(formats(), key=len, reverse=True)
    return next((formats()[suffix] for suffix in suffixes if path.lower().endswith(suffix)), None)


def readable() -> tuple[str, ...]:
    """Return the suffixes of formats whose rows can be read back."""
    return tuple(suffix for suffix, module in sorted(formats().items()) if module.read_rows)


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return the sink for a path or an address, by its suffix; `-` and devices get JSON Lines. A link is followed.
    Nothing is touched before the sink is entered.

    Raises UsageError for a suffix that no format knows.
    """
    if is_stream(path):
        return StreamSink(path, options)
    module = module_of(path)
    if module is None:
        known = ", ".join(sorted(formats()))
        raise UsageError(f"{path} does not have the suffix of an output format. Use one of {known}, or - for stdout.")
    if is_address(path):
        from extractor.storage.object_store import RemoteSink

        return RemoteSink(path, options, lambda local: module.open_sink(local, options), module.beside)
    return module.open_sink(os.path.realpath(path), options)


def beside(path: str) -> tuple[str, ...]:
    """Return an output and what may lie beside it, now or after a kill: none of it is a document to read."""
    module = module_of(path)
    return files_of(path, module.beside if module else ())
