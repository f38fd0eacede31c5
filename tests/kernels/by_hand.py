"""Kernels compiled with instructions that stand for those of other processors (`by_hand.h`)."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from extractor.kernels import jit, tiled

HEADER = Path(__file__).with_suffix(".h")
DEFINES = {"AVX-512": "-DAVX512_BY_HAND", "VNNI": "-DVNNI_BY_HAND", "BF16": "-DBF16_BY_HAND"}


@cache
def compiled(source: str, way: str) -> ctypes.CDLL:
    """Return the library of a C source, with the instructions whose names are in `way`, as in `AVX-512 and VNNI`."""
    defines = [define for name, define in DEFINES.items() if name in way]
    with tempfile.TemporaryDirectory(prefix="by-hand-") as folder:  # -O1: what stands for an instruction takes gcc long
        target = str(Path(folder) / "kernels.so")
        include = ["-include", str(HEADER), f"-I{jit.SOURCES}", "-Wno-psabi", "-march=haswell"]
        command = ["gcc", *jit._FLAGS, "-O1", *include, *defines, "-o", target, str(jit.SOURCES / source)]
        subprocess.run(command, check=True, timeout=60)
        loaded = ctypes.CDLL(target)
    jit._declare(loaded, tiled.SIGNATURES)
    return loaded
