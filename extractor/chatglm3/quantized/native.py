"""The kernels of `kernels.c`, compiled once for this machine where it has gcc; without them torch's operations do.

They spare passes over memory: rows go to int8 in one (torch needs six), what follows an int8 product is one, and
4-bit weights are multiplied without being unpacked. Codes and int8 products are the same bits with and without them.
The library is kept in the user's cache folder, named after all that it depends on, and never taken from another user.
`EXTRACTOR_KERNELS=0` leaves them out.
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
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SWITCH = "EXTRACTOR_KERNELS"

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")
_SECONDS = 60


class Kernels:
    """The library, on tensors on the CPU: bfloat16 in and out, contiguous; the caller sees to shapes."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._call = _caller(library)
        self.has_int4 = hasattr(library, "multiply_int4")
        """Whether the CPU has what the 4-bit products are written in (AVX-512 with VNNI)."""

    def quantize_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (rows, columns) in int8 and scales (rows, 1)."""
        codes = torch.empty(x.shape, dtype=torch.int8)
        scales = torch.empty(len(x), 1)
        self._call("quantize_rows", x, *x.shape, codes, scales)
        return codes, scales

    def scale_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """target = product * scales."""
        self._call("scale_rows", product, *product.shape, scales, target)

    def add_rows(self, product: Tensor, scales: Tensor, residual: Tensor, target: Tensor) -> None:
        """target = residual + product * scales."""
        self._call("add_rows", product, *product.shape, scales, residual, target)

    def gate_rows(self, product: Tensor, scales: Tensor, target: Tensor) -> None:
        """target = silu(gate) * up, the halves of product * scales."""
        self._call("gate_rows", product, *product.shape, scales, target)

    def multiply_int4(self, x: Tensor, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """x (n, columns) times a 4-bit weight, x quantised to int8 row by row."""
        product = x.new_empty(len(x), len(codes))
        split, sums = torch.empty(x.shape, dtype=torch.int8), torch.empty(len(x), scales.shape[1])
        self._call("multiply_int4", x, *x.shape, codes, scales, zeros, len(codes), product, split, sums)
        return product

    def unpack_int4(self, codes: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """A 4-bit weight in bfloat16 (rows, columns)."""
        weight = torch.empty(len(codes), codes.shape[1] * 2, dtype=torch.bfloat16)
        self._call("unpack_int4", codes, scales, zeros, *weight.shape, weight)
        return weight


@cache
def kernels() -> Kernels | None:
    """The kernels of this machine; None where they are switched off or there is no gcc to make them."""
    compiler = shutil.which("gcc")
    if os.environ.get(SWITCH) == "0" or platform.machine() != "x86_64" or compiler is None:
        return None
    try:
        return Kernels(_library(compiler))
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("kernels could not be compiled, torch's operations do instead: %s", error)
        return None


def _library(compiler: str) -> ctypes.CDLL:
    """Load the library from the cache folder, or make it there; in a folder that is removed if that cannot be had."""
    kept = _cache_folder() / f"kernels-{_digest(compiler)}.so"
    if _is_mine(kept):
        return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory(prefix="extractor-", ignore_cleanup_errors=True) as name:
        made = Path(name) / kept.name
        command = [compiler, *_FLAGS, "-shared", "-fPIC", "-o", str(made), str(_SOURCE)]
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


def _digest(compiler: str) -> str:
    """Of the source, the flags, the compiler and the processor, whose instructions `-march=native` takes."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    processor = sorted({line for line in lines if line.startswith(("flags", "model name"))})
    facts = (_SOURCE.read_text("utf-8"), *_FLAGS, compiler, str(os.stat(compiler).st_mtime_ns), *processor)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _caller(library: ctypes.CDLL) -> Callable[..., None]:
    """Call a kernel by name with tensors as pointers and sizes as 64-bit integers."""

    def call(name: str, *arguments: Tensor | int) -> None:
        function = getattr(library, name)
        function.restype = None
        function(*(_c(argument) for argument in arguments))

    return call


def _c(argument: Tensor | int) -> ctypes.c_void_p | ctypes.c_int64:
    return ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.c_void_p(argument.data_ptr())
