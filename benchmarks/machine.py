"""One line on the machine and the versions, for the head of every table."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """Processor, cores, memory, Python and the packages that matter for speed."""
    cpu, memory = platform.processor() or platform.machine(), 0
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        stripped = {key.strip(): value.strip() for key, value in fields.items()}
        cpu = f"{stripped.get('model name', cpu)}, model {stripped.get('model', '?')}"
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "llguidance"))
    return f"{cpu}, {os.cpu_count()} cores, {memory} GiB; Python {platform.python_version()}, {packages}"
