"""C compiled once for this machine, and loaded with the signature of every function.

A library is kept in the user's cache folder under a name that depends on everything it was made from, and is never
loaded when another user could have written it. Nothing depends on a compiler: `load` returns None without one, and the
caller falls back on torch's operations. `EXTRACTOR_KERNELS=0` switches all kernels off.

This module does not know what the functions compute, nor torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SWITCH = "EXTRACTOR_KERNELS"

POINTER, INT64, FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
"""The parameter types that our C functions have. An address is an int, or None for a null pointer."""

SOURCES = Path(__file__).parent
"""The folder of the C sources and of the headers they share."""

_log = logging.getLogger(__name__)

_FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")
_COMPILE_SECONDS = 60

_Type = type[ctypes.c_void_p] | type[ctypes.c_int64] | type[ctypes.c_float] | type[ctypes.c_int]


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a C function: of its parameters, in order, and of its result (None: `void`)."""

    parameters: tuple[_Type, ...]
    result: _Type | None = None


Signatures = Mapping[str, Signature]
"""Name of an exported C function -> its signature."""


def load(name: str, signatures: Signatures) -> ctypes.CDLL | None:
    """Return the library made of `NAME.c`, its signatures declared; None if kernels are switched off or gcc is missing.

    A function that the processor has no instructions for is not compiled (`#ifdef`), so its attribute is absent.
    """
    compiler = shutil.which("gcc")
    if os.environ.get(SWITCH) == "0" or platform.machine() != "x86_64" or compiler is None:
        return None
    try:
        library = _library(SOURCES / f"{name}.c", compiler)
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("kernels could not be compiled, torch's operations are used instead: %s", error)
        return None
    _declare(library, signatures)
    return library


def _declare(library: ctypes.CDLL, signatures: Signatures) -> None:
    """Set `argtypes` and `restype`, without which ctypes passes every integer as 32 bits and checks nothing."""
    for name, signature in signatures.items():
        if hasattr(library, name):
            function = getattr(library, name)
            function.argtypes, function.restype = signature.parameters, signature.result


def _library(source: Path, compiler: str) -> ctypes.CDLL:
    """Load the library from the cache folder; compile it first if it is not there.

    It is compiled in a temporary folder and loaded from it, so an unwritable cache folder costs only the next start.
    """
    cached = _cache_folder() / f"{source.stem}-{_digest(source, compiler)}.so"
    if _is_trusted(cached):
        return ctypes.CDLL(str(cached))
    with tempfile.TemporaryDirectory(prefix="extractor-", ignore_cleanup_errors=True) as folder:
        compiled = Path(folder) / cached.name
        command = [compiler, *_FLAGS, f"-I{SOURCES}", "-shared", "-fPIC", "-o", str(compiled), str(source)]
        subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_SECONDS)
        library = ctypes.CDLL(str(compiled))
        _cache(compiled, cached)
    return library


def _cache(compiled: Path, cached: Path) -> None:
    """Copy a library into the cache folder, in one step for whoever looks there."""
    try:
        cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = cached.with_suffix(f".{os.getpid()}")
        shutil.copy(compiled, unfinished)
        unfinished.replace(cached)
    except OSError as error:
        _log.info("kernels cannot be cached and are compiled again at the next start: %s", error)


def _is_trusted(file: Path) -> bool:
    """Return whether the file exists, belongs to this user, and nobody else may write to it."""
    return file.is_file() and file.stat().st_uid == os.getuid() and not file.stat().st_mode & 0o022


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "extractor"


def _digest(source: Path, compiler: str) -> str:
    """Return a digest of the source, every header, the flags, the compiler and the processor (for `-march=native`)."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    processor = sorted({line for line in lines if line.startswith(("flags", "model name"))})
    text = [file.read_text("utf-8") for file in (source, *sorted(SOURCES.glob("*.h")))]
    facts = (*text, *_FLAGS, compiler, str(os.stat(compiler).st_mtime_ns), *processor)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
