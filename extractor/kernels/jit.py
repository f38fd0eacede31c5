"""C compiled once for this machine, and loaded with the signature of every function.

A library is kept in the user's cache folder under a name that depends on everything it was made from and ends with the
digest of its own bytes: a file that was cut off, or that somebody else put there, is never loaded (a damaged library
ends the process with SIGBUS), but built again. Nothing depends on a compiler: `load` returns None without one, and the
caller falls back on torch's operations. `EXTRACTOR_KERNELS=0` switches all kernels off, `EXTRACTOR_ISA` limits the
instructions that they are compiled for (`processor`).

This module does not know what the functions compute, nor torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from extractor.kernels import processor

SWITCH = "EXTRACTOR_KERNELS"

POINTER, INT64, FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
"""The parameter types that our C functions have. An address is an int, or None for a null pointer."""

SOURCES = Path(__file__).parent
"""The folder of the C sources and of the headers they share."""

_log = logging.getLogger(__name__)

_FLAGS = ("-O3", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")

COMPILE_SECONDS = 20.0
"""For all libraries of a process together: usual compilers take two, one that hangs is not waited for again."""

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
        _log.warning("kernels are left out, torch's operations are used instead (%s=0 says no more): %s", SWITCH, error)
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

    It is loaded from where it was compiled, so a cache folder that cannot be written costs only the next start.
    """
    cache = _cache_folder()
    name = f"{source.stem}-{_digest(source, compiler)}"
    if cache and (cached := _cached(cache, name)):
        return ctypes.CDLL(str(cached))
    with tempfile.TemporaryDirectory(prefix="build-", dir=_build_folder(cache), ignore_cleanup_errors=True) as folder:
        compiled = Path(folder) / f"{name}.so"
        _compile(compiler, source, compiled)
        library = ctypes.CDLL(str(compiled))
        if cache:
            _cache(compiled, cache)
    return library


def _compile(compiler: str, source: Path, compiled: Path) -> None:
    """Compile a library. Raises SubprocessError, also once all of `COMPILE_SECONDS` is used up, and OSError."""
    if _seconds.left <= 0:
        raise subprocess.SubprocessError(f"{compiler} took more than {COMPILE_SECONDS:g} s")
    target = f"-march={processor.march()}"
    command = [compiler, *_FLAGS, target, f"-I{SOURCES}", "-o", str(compiled), str(source)]
    errors = compiled.with_suffix(".errors")
    began = time.monotonic()
    with errors.open("wb") as stream:  # a pipe would be held open by what a compiler that hangs has started
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
            env={**os.environ, "TMPDIR": str(compiled.parent)},
            start_new_session=True,
        )
        try:
            code = process.wait(_seconds.left)
        except subprocess.TimeoutExpired as error:
            raise subprocess.SubprocessError(f"{compiler} takes more than {COMPILE_SECONDS:g} s") from error
        finally:
            _seconds.left -= time.monotonic() - began
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        first = next(iter(errors.read_text("utf-8", "replace").splitlines()), "")
        raise subprocess.SubprocessError(f"{compiler} ended with {code}: {first[:200]}")


@dataclass(slots=True)
class _Seconds:
    left: float = COMPILE_SECONDS


_seconds = _Seconds()


def _cached(folder: Path, name: str) -> Path | None:
    """Return the library of a name in the cache folder. What is there in its place and is not whole is removed."""
    for file in sorted(folder.glob(f"{name}-*.so")):
        with contextlib.suppress(OSError):
            if _is_ours(file.lstat(), stat.S_ISREG) and file.stem == f"{name}-{_content_digest(file)}":
                return file
            _log.warning("%s is damaged or not of this user: it is removed, and built again", file)
            file.unlink()
    return None


def _cache(compiled: Path, folder: Path) -> None:
    """Copy a library into the cache folder, in one step for whoever looks there, and onto the disk itself."""
    unfinished = folder / f".{compiled.stem}.{os.getpid()}"
    try:
        with unfinished.open("xb") as stream:
            stream.write(compiled.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(folder / f"{compiled.stem}-{_content_digest(compiled)}.so")
    except OSError as error:
        _log.info("kernels cannot be cached and are compiled again at the next start: %s", error)
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _is_ours(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Return whether it is of a kind, belongs to this user, and nobody else may write to it; a link is of none."""
    return is_kind(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _content_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:32]


def _cache_folder() -> Path | None:
    """Return the folder, made if need be; None where there is none that nobody else may write to."""
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(root) if root else Path.home() / ".cache") / "extractor" / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_ours(folder.lstat(), stat.S_ISDIR) else None
    except (OSError, RuntimeError):  # no home
        return None


def _build_folder(cache: Path | None) -> str | None:
    """Return where to build: a folder for temporary files, or the cache folder where the machine has none."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return str(cache) if cache else None


def _digest(source: Path, compiler: str) -> str:
    """Return a digest of the source, every header, the flags, the compiler and the processor (for `-march=native`)."""
    own = [processor.facts().get(fact, "") for fact in ("model name", "flags")]
    text = [file.read_text("utf-8") for file in (source, *sorted(SOURCES.glob("*.h")))]
    facts = (*text, *_FLAGS, processor.march(), compiler, str(os.stat(compiler).st_mtime_ns), *own)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
