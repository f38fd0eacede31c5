"""What a plugin imports, and how plugins are found.

A plugin is a module of another installed package that has the shape of one in the folder of its kind: a reader, a sink,
a backend, a precision or a format of annotations. Its package names it as an entry point of the group
`extractor.readers`, `extractor.sinks`, `extractor.backends`, `extractor.precisions` or `extractor.annotation_formats`.
All that the module needs of this package it imports from here:

    from extractor.plugins import Document, File, ReadError, ReadOptions        # a reader
    from extractor.plugins import Record, Sink, SinkOptions                     # a sink
    from extractor.plugins import AppendLog, ResumableSink, RowSummary          # ... that a killed run resumes
    from extractor.plugins import Completion, ModelConfig, Prompt               # a backend
    from extractor.plugins import LinearLayer, Precision, float_precision       # a precision
    from extractor.plugins import AnnotatedText, Mention, annotated, mentions   # a format of annotations
    from extractor.plugins import AnnotationFile, Notes, WriteOptions           # ... and what it is handed

These names stay where modules move. They are imported when they are asked for (PEP 562), so that the rooms which look
for plugins here are not imported by it, and importing this module costs nothing.
"""

from __future__ import annotations

import functools
import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from extractor.data import (
    Backend,
    Completion,
    Document,
    Extraction,
    FailedDocument,
    Json,
    Message,
    Prompt,
    Record,
    Segment,
    Source,
    Usage,
)
from extractor.errors import ExtractorError, ModelError, OutputError, Problem, UsageError

if TYPE_CHECKING:
    from extractor.annotation_formats import (
        AnnotatedText,
        AnnotationFile,
        Mention,
        Notes,
        WriteOptions,
        annotated,
        mentions,
    )
    from extractor.config import ModelConfig
    from extractor.encodings.detect import Decoded, Undecodable, decode
    from extractor.precisions import Precision, float_precision
    from extractor.precisions._support.linear import LinearLayer
    from extractor.readers._support.files import File, ReadOptions, read_bytes
    from extractor.readers._support.limits import ReadError
    from extractor.readers._support.protocol import Reader
    from extractor.readers._support.rows import FileRow
    from extractor.readers._support.segments import TextBuilder
    from extractor.readers._support.signatures import Magic, OleStream, PlainText, TextStart, ZipPackage
    from extractor.storage.append_log import AppendLog
    from extractor.storage.compression import LineReader, with_codecs
    from extractor.storage.flat_rows import flat_rows
    from extractor.storage.resumable_file import Format, ResumableSink
    from extractor.storage.resume import ResumeState, RowSummary
    from extractor.storage.rows import from_line, to_line, to_row
    from extractor.storage.sink import Sink, SinkOptions
    from extractor.task.task import Task

__all__ = [
    "AnnotatedText",
    "AnnotationFile",
    "AppendLog",
    "Backend",
    "Completion",
    "Decoded",
    "Document",
    "Extraction",
    "ExtractorError",
    "FailedDocument",
    "File",
    "FileRow",
    "Format",
    "Json",
    "LineReader",
    "LinearLayer",
    "Magic",
    "Mention",
    "Message",
    "ModelConfig",
    "ModelError",
    "Notes",
    "OleStream",
    "OutputError",
    "PlainText",
    "Precision",
    "Problem",
    "Prompt",
    "ReadError",
    "ReadOptions",
    "Reader",
    "Record",
    "ResumableSink",
    "ResumeState",
    "RowSummary",
    "Segment",
    "Sink",
    "SinkOptions",
    "Source",
    "Task",
    "TextBuilder",
    "TextStart",
    "Undecodable",
    "Usage",
    "UsageError",
    "WriteOptions",
    "ZipPackage",
    "annotated",
    "decode",
    "flat_rows",
    "float_precision",
    "from_line",
    "mentions",
    "read_bytes",
    "to_line",
    "to_row",
    "with_codecs",
]

_HOMES = {
    "annotation_formats": (
        "AnnotatedText",
        "AnnotationFile",
        "Mention",
        "Notes",
        "WriteOptions",
        "annotated",
        "mentions",
    ),
    "config": ("ModelConfig",),
    "encodings.detect": ("Decoded", "Undecodable", "decode"),
    "precisions": ("Precision", "float_precision"),
    "precisions._support.linear": ("LinearLayer",),
    "readers._support.files": ("File", "ReadOptions", "read_bytes"),
    "readers._support.limits": ("ReadError",),
    "readers._support.protocol": ("Reader",),
    "readers._support.rows": ("FileRow",),
    "readers._support.segments": ("TextBuilder",),
    "readers._support.signatures": ("Magic", "OleStream", "PlainText", "TextStart", "ZipPackage"),
    "storage.append_log": ("AppendLog",),
    "storage.compression": ("LineReader", "with_codecs"),
    "storage.flat_rows": ("flat_rows",),
    "storage.resumable_file": ("Format", "ResumableSink"),
    "storage.resume": ("ResumeState", "RowSummary"),
    "storage.rows": ("from_line", "to_line", "to_row"),
    "storage.sink": ("Sink", "SinkOptions"),
    "task.task": ("Task",),
}
"""Where the names are that are imported when they are asked for."""


def __getattr__(name: str) -> Any:
    """Import a name of the facade when it is asked for."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"extractor.{home}"), name)


@functools.cache
def found(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, none of them imported."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(point: EntryPoint) -> Any:
    """Return what an entry point names. Raises UsageError where it cannot be imported: the package is broken."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else point.value
        raise UsageError(
            f"The package {package} adds {point.name!r} to {point.group}, but it does not load ({error}). "
            f"Repair it, or remove it: pip uninstall {package}"
        ) from error


def load_all(group: str) -> list[Any]:
    """Return all that the entry points of a group name. Raises UsageError for one that does not load."""
    return [load(point) for point in found(group).values()]


def modules(package: str) -> list[Any]:
    """Return the modules of a plural folder, then those that the entry points of the group of its name add.

    What begins with an underscore is not a variant. Raises UsageError for an entry point that does not load.
    """
    names = [module.name for module in pkgutil.iter_modules(import_module(package).__path__)]
    own = [import_module(f"{package}.{name}") for name in names if not name.startswith("_")]
    return [*own, *load_all(package)]
