"""JSON Lines: a row a line, plain or compressed (`.jsonl.gz`, `.jsonl.zst`; `zcat` and `zstdcat` read the file of a
killed run as well). The format that loses nothing and that everything reads."""

from __future__ import annotations

from extractor.errors import InputError
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.storage import json_lines
from extractor.storage.compression import codec_of, with_codecs
from extractor.storage.json_lines import JsonLines
from extractor.storage.resumable_file import ResumableSink

SUFFIXES = with_codecs(".jsonl", ".ndjson")


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return a resumable file."""
    return ResumableSink(path, options, JsonLines(path, options))


def read_rows(path: str) -> Rows:
    """Yield the rows of a file. Raises InputError."""
    try:
        with codec_of(path).open(path) as lines:
            yield from json_lines.read_rows(lines, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Give a .jsonl file, or a folder of them."
        ) from error
