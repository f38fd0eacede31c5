"""Files at addresses such as `s3://bucket/folder`, through fsspec: whatever it has a file system for.

Credentials and endpoints come from the environment, as the libraries behind it read them. What they raise becomes
OSError here; an address that nothing can open is a UsageError.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from extractor.errors import UsageError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
FAILURES = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))
"""What the libraries behind fsspec raise beside OSError: module and name."""


def is_address(path: str) -> bool:
    """Return whether a path is an address."""
    return ADDRESS.match(path) is not None


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path there; what it has listed before is forgotten.

    Raises UsageError where nothing knows such addresses, or the package that does is missing.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ValueError as error:
        raise UsageError(f"{address}: {error}. Addresses are s3://bucket/path and others that fsspec knows.") from error
    except ImportError as error:
        raise UsageError(f"{address}: {error} For s3://: pip install 'chatglm3-extractor[s3]'") from error
    system.invalidate_cache()
    return system, path


@contextlib.contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise what file systems raise as OSError."""
    try:
        yield
    except _failures() as error:
        raise OSError(str(error)) from error


def _failures() -> tuple[type[Exception], ...]:
    """Return those whose libraries are in use."""
    return tuple(getattr(sys.modules[module], name) for module, name in FAILURES if module in sys.modules)


def open_file(address: str) -> BinaryIO:
    """Open a file for reading. Raises OSError."""
    system, path = file_system(address)
    with as_os_errors():
        return cast(BinaryIO, system.open(path, "rb"))


def is_file(address: str) -> bool:
    """Return whether there is a file at an address, as far as one can look."""
    system, path = file_system(address)
    try:
        with as_os_errors():
            return bool(system.isfile(path))
    except OSError:
        return False
