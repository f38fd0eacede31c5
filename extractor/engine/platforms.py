"""What the machine allows: threads, the allocator, memory for the KV cache, tokens of a step.

The figures are measured (benchmarks/RESULTS.md); none of them changes an answer.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch
from torch import Tensor

from extractor.kernels import processor

_SMALL_MODEL = 50_000_000
"""Parameters below which a second thread costs more in waiting than it saves."""

# What mallopt(3) calls them; ctypes has no header to take them from.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)
_PAUSE_HARD = 2  # omp_pause_resource_t of OpenMP 5.0
_LARGEST_MMAP_THRESHOLD = 32 * 1024**2
_KEEP = 1024**3  # free bytes at the top of the heap that are not returned to the system
_GROUP = Path("/sys/fs/cgroup")  # inside a container, its own group


def tune_process(parameters: int) -> None:
    """Set threads and the allocator for a model of so many parameters.

    glibc gives buffers of some megabytes back to the system when they are freed and faults them in again at the next
    step; here it keeps them. Where there is no glibc, nothing is changed.
    """
    if parameters < _SMALL_MODEL:
        torch.set_num_threads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _KEEP)


def use_one_arena() -> None:
    """Let threads allocate where the main thread does.

    The arenas that glibc gives them return a step's buffers to the system, which faults them in again at the next step,
    whatever `tune_process` sets.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except (AttributeError, OSError, TypeError):
        return


def end_idle_threads() -> None:
    """End the workers that OpenMP gave this thread for loading.

    While they are there, with those of the engine's thread they are more than the processor has cores, and so sleep
    between any two operations, which takes a quarter longer.
    """
    try:
        ctypes.CDLL("libgomp.so.1").omp_pause_resource_all(_PAUSE_HARD)
    except (AttributeError, OSError):
        return


def kv_cache_budget(device: torch.device) -> int:
    """Return the bytes that the KV cache may take: half of the free memory on the CPU, four fifths on a GPU."""
    return int(free_memory(device) * (0.8 if device.type == "cuda" else 0.5))


def free_memory(device: torch.device) -> int:
    """Return the bytes of a device that are free; on the CPU, within the limit of the container."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _available()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on the device. The host does not wait for a copy to CUDA."""
    # Only from pinned memory is the copy asynchronous; torch keeps the buffer until it is done.
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it was raised while handling, says that memory ran out, on any device."""
    # torch's error for the CPU is a plain RuntimeError, and a capture that breaks off raises another one over it.
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return True
        error = error.__context__
    return False


def max_batched_tokens(device: torch.device) -> int:
    """Return the most tokens of a forward pass.

    Enough rows for the full rate of matrix products in prefill, few enough that decoding does not wait long.
    """
    return 8192 if device.type == "cuda" else 1024


def speculative_rows(device: torch.device) -> int:
    """Return the rows of a step up to which reading the weights takes the time, not computing: a draft is cheap."""
    return 256 if device.type == "cuda" else 32


def tokens_beside_first(device: torch.device) -> int:
    """Return the tokens of other prompts that hardly lengthen a step of the very first answer.

    A step of one row takes as long as reading the weights; without a matrix unit a chunk of a prompt, which has 17 rows
    or more, makes it longer by its products.
    """
    return 256 if device.type == "cuda" else 32 if processor.level() >= processor.Level.AMX else 0


def _available() -> int:
    """Return the bytes available without swapping (MemAvailable), within the limit of the control group if any."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return free
    return min(kibibytes * 1024, _group_room())


def _group_room() -> int:
    """Return the bytes that the control group (version 2) still allows; a very large number where it sets no limit."""
    try:
        most, used = (int((_GROUP / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):
        return 2**62
    return max(0, most - used)
