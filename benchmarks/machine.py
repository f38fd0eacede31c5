"""What every measurement asks of the machine: a line on it for the head of a table, and what a process took."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

from extractor.kernels import processor


def describe() -> str:
    """Processor, GPU if there is one, cores, memory, Python and the packages that matter for speed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    cpu = f"{processor.name()} (kernels for {processor.level().shown})"
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "llguidance"))
    torch = sys.modules.get("torch")
    gpu = f"{torch.cuda.get_device_name()}; " if torch is not None and torch.cuda.is_available() else ""
    return f"{gpu}{cpu}, {os.cpu_count()} cores, {memory} GiB; Python {platform.python_version()}, {packages}"


def peak_memory() -> int:
    """The most bytes of memory this process has held (Linux only).

    It is the kernel's `VmHWM`; `ru_maxrss` would be at least what the parent process held when it started this one.
    """
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))[0]) * 1024


def peak_device_memory() -> int:
    """The most bytes of a GPU that torch has held in this process; 0 where it knows none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return int(torch.cuda.max_memory_reserved())


def process_age() -> float:
    """Seconds since this process was started, the interpreter's own start included (Linux only)."""
    started = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")


def busy_time() -> float:
    """Seconds that all processors together were busy since the machine started, whoever had them (Linux only).

    Less a process's own `time.process_time()`, the difference of two readings is what others took meanwhile.
    """
    fields = [int(field) for field in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    idle, waiting_for_disk = fields[3], fields[4]
    return (sum(fields) - idle - waiting_for_disk) / os.sysconf("SC_CLK_TCK")
