"""Which instructions the processor has, in levels, and the level that our kernels are compiled for.

`EXTRACTOR_ISA` lowers it, to measure and test what another processor does. It limits our kernels alone; torch's have
switches of their own (`ATEN_CPU_CAPABILITY`, `ONEDNN_MAX_CPU_ISA`). This module does not know torch.
"""

from __future__ import annotations

import os
import platform
from enum import IntEnum
from functools import cache
from pathlib import Path

from extractor.errors import UsageError

SWITCH = "EXTRACTOR_ISA"


class Level(IntEnum):
    """A level has the instructions of those below it."""

    BASE = 0
    AVX2 = 1
    AVX512 = 2
    VNNI = 3
    BF16 = 4
    AMX = 5

    @property
    def shown(self) -> str:
        """How people write it."""
        return ("plain x86-64", "AVX2", "AVX-512", "AVX-512 with VNNI", "AVX-512 with VNNI and BF16", "AMX")[self]


FLAGS = {
    Level.AVX2: {"avx2", "fma"},
    Level.AVX512: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    Level.VNNI: {"avx512_vnni"},
    Level.BF16: {"avx512_bf16"},
    Level.AMX: {"avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"},
}
"""What Linux calls the instructions that a level adds."""

SHOWN = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI", "amx_bf16": "AMX BF16", "amx_int8": "AMX INT8", "asimd": "NEON", "bf16": "BF16",
    "i8mm": "I8MM", "sve": "SVE",
}  # fmt: skip
"""Instructions that decide how fast products are, and how people write them."""

ARCHITECTURES = {
    Level.AVX2: "haswell", Level.AVX512: "skylake-avx512", Level.VNNI: "cascadelake", Level.BF16: "cooperlake"
}  # fmt: skip
"""What gcc calls the smallest processor of a level."""


def level() -> Level:
    """Return the level of the processor, or the lower one that `EXTRACTOR_ISA` names. Raises UsageError."""
    wanted = os.environ.get(SWITCH, "")
    names = {each.name.lower(): each for each in FLAGS}
    if wanted and wanted.lower() not in names:
        raise UsageError(f"{SWITCH} is {wanted!r}; use {', '.join(names)}, or leave it out.")
    return min(names[wanted.lower()], _own()) if wanted else _own()


def march() -> str:
    """Return the processor that gcc compiles for, as `-march` takes it. Raises UsageError."""
    return "native" if level() == _own() else ARCHITECTURES[level()]


def describe() -> str:
    """Return the name of the processor, its cores, and the instructions that decide how fast it is."""
    found = [shown for flag, shown in SHOWN.items() if has_any(flag)]
    return f"{name()}, {os.cpu_count()} cores: {', '.join(found) or 'no vector instructions known here'}"


def name() -> str:
    """Return the name of the processor, with the number of its model where Linux gives one."""
    plain, model = facts().get("model name"), facts().get("model")
    return f"{plain}, model {model}" if plain else platform.processor() or platform.machine()


def has_any(*flags: str) -> bool:
    """Return whether the processor has one of some instructions, as Linux calls them, whatever the switch says."""
    return not _flags().isdisjoint(flags)


def _own() -> Level:
    levels = [each for each, flags in FLAGS.items() if flags <= _flags()]
    return max(levels, default=Level.BASE)


def _flags() -> frozenset[str]:
    return frozenset((facts().get("flags") or facts().get("Features") or "").split())


@cache
def facts() -> dict[str, str]:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
