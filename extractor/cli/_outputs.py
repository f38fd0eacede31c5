"""Outputs that are written at once, not row by row: a file, a folder, what is at an address, standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from extractor.config import STREAM
from extractor.errors import OutputError, UsageError
from extractor.storage import atomic_files
from extractor.storage.addresses import as_os_errors, file_system, is_address
from extractor.storage.compression import codec_of

Pieces = Iterator[bytes | tuple[str, bytes]]
"""The bytes of one file, or the names and bytes of the files of a folder."""


def check(output: str, source: str, *, folder: bool, overwrite: bool) -> None:
    """Raise UsageError for an output that is not to be touched, or is not of the kind that is written."""
    if folder and (output == STREAM or is_address(output)):
        raise UsageError("The format is a folder of files: name one on this machine for the output.")
    if output == STREAM or not os.path.exists(output):
        return
    if os.path.exists(source) and os.path.samefile(output, source):
        raise UsageError(f"{output} is the input as well: name another output.")
    if os.path.isdir(output) != folder:
        raise UsageError(f"{output} is {'not ' if folder else ''}a folder: name another output.")
    if not overwrite and (not folder or os.listdir(output)):
        raise UsageError(f"{output} exists. Name another output, or replace it with --overwrite.")


def write(output: str, pieces: Pieces) -> None:
    """Write all of it; a file takes the place of an old one in one step. Raises OutputError."""
    try:
        if output == STREAM:
            sys.stdout.buffer.writelines(_packed(output, pieces))
            sys.stdout.buffer.flush()
        elif is_address(output):
            _upload(output, pieces)
        else:
            _write_local(output, pieces)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _write_local(output: str, pieces: Pieces) -> None:
    first = next(pieces, b"")
    if isinstance(first, bytes):
        atomic_files.replace(os.path.realpath(output), _packed(output, pieces, first))
        return
    for name, data in (first, *pieces):
        path = os.path.join(output, *str(name).split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_files.replace(path, [bytes(data)])


def _upload(output: str, pieces: Pieces) -> None:
    system, path = file_system(output)
    whole = b"".join(_packed(output, pieces))
    with as_os_errors(), system.open(path, "wb") as stream:
        stream.write(whole)


def _packed(output: str, pieces: Pieces, first: bytes = b"") -> Iterator[bytes]:
    """Yield bytes, compressed as the suffix of the output says."""
    packer = codec_of(output).compressor()
    yield packer.add(first)
    for piece in pieces:
        yield packer.add(bytes(piece))  # type: ignore[arg-type]  # names are those of folders
    yield packer.end()
