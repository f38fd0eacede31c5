"""C compiled once for this machine where it has gcc, for what torch has no single kernel for.

A library is kept in the user's cache folder, named after all that it depends on, and never taken from another user.
Whoever uses one has torch's operations to fall back on: nothing depends on a compiler being there.
`EXTRACTOR_KERNELS=0` leaves all of them out.
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
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SWITCH = "EXTRACTOR_KERNELS"

Array = NDArray[np.int64]
"""Numbers or addresses."""

_log = logging.getLogger(__name__)

_HEADERS = Path(__file__).parent
"""What the files of C share."""

_FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")
_SECONDS = 60


def load(name: str) -> ctypes.CDLL | None:
    """The library made of `NAME.c` of this folder; None where kernels are switched off or there is no gcc."""
    compiler = shutil.which("gcc")
    if os.environ.get(SWITCH) == "0" or platform.machine() != "x86_64" or compiler is None:
        return None
    try:
        return _library(_HEADERS / f"{name}.c", compiler)
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("kernels could not be compiled, torch's operations do instead: %s", error)
        return None


def _library(source: Path, compiler: str) -> ctypes.CDLL:
    """Load the library from the cache folder, or make it there; in a folder that is removed if that cannot be had."""
    kept = _cache_folder() / f"{source.stem}-{_digest(source, compiler)}.so"
    if _is_mine(kept):
        return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory(prefix="extractor-", ignore_cleanup_errors=True) as name:
        made = Path(name) / kept.name
        command = [compiler, *_FLAGS, f"-I{_HEADERS}", "-shared", "-fPIC", "-o", str(made), str(source)]
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        library = ctypes.CDLL(str(made))
        _keep(made, kept)
    return library


def _keep(made: Path, kept: Path) -> None:
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(made, unfinished)
        unfinished.replace(kept)
    except OSError as error:
        _log.info("kernels are compiled anew at the next start: %s", error)


def _is_mine(file: Path) -> bool:
    """Whether the file is there, of this user, and nobody else may write to it."""
    return file.is_file() and file.stat().st_uid == os.getuid() and not file.stat().st_mode & 0o022


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "extractor"


def _digest(source: Path, compiler: str) -> str:
    """Of the source, what it may include, the flags, the compiler, and the processor (for `-march=native`)."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    processor = sorted({line for line in lines if line.startswith(("flags", "model name"))})
    text = [file.read_text("utf-8") for file in (source, *sorted(_HEADERS.glob("*.h")))]
    facts = (*text, *_FLAGS, compiler, str(os.stat(compiler).st_mtime_ns), *processor)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def call(library: ctypes.CDLL, name: str, *arguments: Tensor | Array | int | float | None) -> None:
    """Call a kernel by name: tensors and arrays as pointers (None: null), integers with 64 bits, others as float32."""
    function = getattr(library, name)
    function.restype = None
    function(*(_c(argument) for argument in arguments))


def _c(argument: Tensor | Array | int | float | None) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_float:
    if isinstance(argument, int):
        return ctypes.c_int64(argument)
    if isinstance(argument, float):
        return ctypes.c_float(argument)
    if argument is None or isinstance(argument, Tensor):
        return ctypes.c_void_p(None if argument is None else argument.data_ptr())
    return ctypes.c_void_p(argument.ctypes.data)
