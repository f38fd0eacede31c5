"""The machines that Ray has, and how workers are laid out on them.

A Ray that is started here serves this run alone: it takes nobody without a token that only its own processes know,
has no dashboard and reports no usage. It ends with the run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from extractor.errors import ExtractorError, UsageError

LOOPBACK = "127.0.0.2"  # Ray would take another address of the machine for 127.0.0.1
STORE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine of a Ray has to give."""

    cpus: int
    gpus: float


@dataclass(frozen=True, slots=True)
class Layout:
    """So many workers, each with so many processors and devices."""

    workers: int
    cpus: int
    gpus: float


def lay_out(machines: Sequence[Machine], workers: int | None, gpus: float | None) -> Layout:
    """Workers as asked for; else one for each GPU, or one for each machine where there is none. They share the
    processors. Raises UsageError where they do not fit."""
    each = gpus if gpus is not None else float(any(machine.gpus for machine in machines))
    room = sum(_fits(machine, 1, each) for machine in machines)
    count = workers or (room if each else len(machines))
    if not 1 <= count <= room:
        raise UsageError(_no_room(machines, count, each))
    shares = range(max(machine.cpus for machine in machines), 0, -1)
    fair = next(cpus for cpus in shares if sum(_fits(machine, cpus, each) for machine in machines) >= count)
    return Layout(count, fair, each)


def _no_room(machines: Sequence[Machine], workers: int, gpus: float) -> str:
    what = f"{sum(machine.cpus for machine in machines)} processors, of which each takes one at least"
    if gpus:
        what += f", and {sum(machine.gpus for machine in machines):g} GPUs, of which each takes {gpus:g}"
    told = f"{workers} workers do not fit on" if workers else "There is no room for a worker on"
    return f"{told} {what}. Change --workers or --gpus-per-worker, or join a larger --address."


def _fits(machine: Machine, cpus: int, gpus: float) -> int:
    by_cpus = machine.cpus // cpus
    return min(by_cpus, int(machine.gpus // gpus)) if gpus else by_cpus


@contextlib.contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[list[Machine]]:
    """The machines of the Ray at an address, of the one that is there already, or of one that is started here.

    Raises UsageError where Ray is not installed or does not answer, ExtractorError where it does not start.
    """
    _prepare(address)
    import ray

    if ray.is_initialized():
        yield _machines()
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with _quiet_stderr():
        _start(address, workers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray puts its own in their place
        yield _machines()
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """What Ray's processes say on starting is in its logs; what goes wrong it raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _prepare(address: str | None) -> None:
    """The environment that Ray reads on being imported. Raises UsageError where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs the package ray: pip install 'chatglm3-extractor[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None and "ray" not in sys.modules:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _start(address: str | None, workers: int | None) -> None:
    import ray

    here = {
        "num_cpus": max(len(os.sched_getaffinity(0)), workers or 1),
        "include_dashboard": False,
        "_node_ip_address": LOOPBACK,
        "object_store_memory": STORE_BYTES,
    }
    more = {} if address else here
    try:
        ray.init(address or "local", logging_level=logging.CRITICAL, log_to_driver=False, **more)
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"No Ray answers at {address}: {_first_line(error)}. Is it running (`ray start`)?") from error
    except RuntimeError as error:
        raise ExtractorError(f"Ray does not start: {_first_line(error)}. Free memory, or run without it.") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _machines() -> list[Machine]:
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(int(it.get("CPU", 0)), float(it.get("GPU", 0))) for it in alive if it.get("CPU") or it.get("GPU")]
