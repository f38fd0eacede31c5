"""Bytes at hand as a file that the processes which read documents can open, too."""

from __future__ import annotations

import functools
import io
import os
import shutil
import weakref
from dataclasses import replace
from typing import BinaryIO, cast

from extractor.readers._support.files import File, open_regular


def bytes_file(id: str, path: str, data: bytes) -> File:
    """Return a file of bytes that this process can open."""
    return File(id, path, lambda: cast(BinaryIO, io.BytesIO(data)))


class SharedFile:
    """A copy of a file in memory that every process of this user can open for as long as this object exists.

    It needs no folder for temporary files, and leaves nothing there.
    """

    def __init__(self, file: File) -> None:
        descriptor = os.memfd_create("document")
        weakref.finalize(self, os.close, descriptor)
        with file.open() as source, open(descriptor, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy)
        location = f"/proc/{os.getpid()}/fd/{descriptor}"
        self.file = replace(file, open=functools.partial(open_regular, location), location=location)
