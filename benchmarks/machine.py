"""What every measurement asks of the machine: a line on it for the head of a table, and what a process took."""

from __future__ import annotations

import os
import platform
import re
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


def peak_memory() -> int:
    """The most bytes of memory this process has held (Linux only).

    It is the kernel's `VmHWM`; `ru_maxrss` would be at least what the parent process held when it started this one.
    """
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))[0]) * 1024


def process_age() -> float:
    """Seconds since this process was started, the interpreter's own start included (Linux only)."""
    started = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")


def waiting_time() -> float:
    """Seconds that the living threads of this process were ready to run and had no processor (Linux only)."""
    nanoseconds = 0
    for thread in Path("/proc/self/task").iterdir():
        try:
            nanoseconds += int((thread / "schedstat").read_text("ascii").split()[1])
        except FileNotFoundError:  # it has just ended
            continue
    return nanoseconds / 1e9
