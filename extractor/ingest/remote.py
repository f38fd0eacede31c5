"""Addresses to files: folders and patterns as on the disk, in order of names.

Ids begin with the last name of the argument: `s3://bucket/inbox` holds `inbox/0001.txt`.
"""

from __future__ import annotations

import functools
import glob
import posixpath
from collections.abc import Container, Iterator

from extractor.data import FailedDocument, Source
from extractor.errors import InputError, Problem
from extractor.readers._support.files import File, io_message, open_regular
from extractor.readers._support.junk import is_junk
from extractor.storage.addresses import as_os_errors, file_system


def expand(address: str) -> list[str]:
    """Return the addresses that an argument stands for. Raises InputError where there is nothing."""
    system, path = file_system(address)
    try:
        with as_os_errors():
            found = system.glob(path) if glob.has_magic(path) else [path] if system.exists(path) else []
    except OSError as error:
        raise InputError(f"{address} cannot be listed: {error}. Check the address and the credentials.") from error
    if not found:
        raise InputError(f"There is nothing at {address}. Check the address.")
    return sorted(system.unstrip_protocol(each) for each in found)


def files(address: str, id: str, exclude: Container[str]) -> Iterator[File | FailedDocument]:
    """Yield the file at an address, or all files in the folder there."""
    system, path = file_system(address)
    try:
        with as_os_errors():
            if not system.isdir(path):
                yield _file(address, id)
                return
            found = sorted(system.find(path))
    except OSError as error:
        message = f"the folder cannot be listed: {io_message(error)}"
        yield FailedDocument(f"{id}/", Source(f"{address}/", ""), Problem("io", message))
        return
    for each in found:
        relative = posixpath.relpath(each, path)
        location = system.unstrip_protocol(each)
        if location not in exclude and not any(map(is_junk, relative.split("/"))):
            yield _file(location, f"{id}/{relative}")


def _file(address: str, id: str) -> File:
    return File(id, address, functools.partial(open_regular, address), address)
