"""The resources of a Ray cluster, and how workers are laid out on them.

A cluster that is started here serves this run alone: it admits nobody without a token that only its own processes know,
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

from extractor.distributed.head import watched
from extractor.errors import ModelError, UsageError

LOOPBACK = "127.0.0.2"  # Ray would take another address of the machine for 127.0.0.1
STORE_BYTES = 512 << 20
DEATH_IS_KNOWN_MS = "20000"
"""How long a batch waits to hear that its worker's machine is gone, which Ray notices within 15 s. Ray's default is one
second, after which it takes the worker for free: one batch after the other is lost on a machine that is not there."""


@dataclass(frozen=True, slots=True)
class NodeResources:
    """What one machine of a cluster has to give."""

    cpus: int
    gpus: float


@dataclass(frozen=True, slots=True)
class WorkerLayout:
    """The number of workers, and the processors and GPUs of each."""

    workers: int
    cpus: int
    gpus: float


def lay_out(nodes: Sequence[NodeResources], workers: int | None, gpus: float | None) -> WorkerLayout:
    """Return the layout of as many workers as asked for; else of one a GPU, or of one a machine where there is none.

    They share the processors. Raise UsageError where they do not fit.
    """
    each = gpus if gpus is not None else float(any(node.gpus for node in nodes))
    room = sum(_fits(node, 1, each) for node in nodes)
    count = workers or (room if each else len(nodes))
    if not 1 <= count <= room:
        raise UsageError(_no_room(nodes, count, each))
    shares = range(max(node.cpus for node in nodes), 0, -1)
    fair = next(cpus for cpus in shares if sum(_fits(node, cpus, each) for node in nodes) >= count)
    return WorkerLayout(count, fair, each)


def _no_room(nodes: Sequence[NodeResources], workers: int, gpus: float) -> str:
    what = f"{sum(node.cpus for node in nodes)} processors, of which each needs at least one"
    if gpus:
        what += f", and {sum(node.gpus for node in nodes):g} GPUs, of which each needs {gpus:g}"
    shown = f"{workers} workers do not fit on" if workers else "There is no room for a worker on"
    return f"{shown} {what}. Change --workers or --gpus-per-worker, or join a larger --address."


def _fits(node: NodeResources, cpus: int, gpus: float) -> int:
    by_cpus = node.cpus // cpus
    return min(by_cpus, int(node.gpus // gpus)) if gpus else by_cpus


@contextlib.contextmanager
def connect(address: str | None, workers: int | None) -> Iterator[list[NodeResources]]:
    """Join the cluster at an address, or the one that this process is in already, or start one; yield its machines.

    Raise UsageError where Ray is not installed or does not answer, ModelError where it does not start.
    """
    _prepare(address)
    import ray

    if ray.is_initialized():
        yield _nodes()
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with _quiet_stderr():
        _start(address, workers)
    with watched(ray.get_runtime_context().gcs_address):
        try:
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray replaces them
            yield _nodes()
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Discard what Ray's processes print while they start: it is in their logs, and what goes wrong is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _prepare(address: str | None) -> None:
    """Set the environment that Ray reads when it is imported. Raise UsageError where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs the package ray: pip install 'chatglm3-extractor[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", DEATH_IS_KNOWN_MS)
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
        raise UsageError(
            f"No Ray cluster answers at {address}: {_first_line(error)}. Is it running (`ray start`)? Where it "
            "asks for a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN unless the token is in your home folder."
        ) from error
    except RuntimeError as error:
        raise ModelError(f"Ray does not start: {_first_line(error)}. Free memory, or run without it.") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _nodes() -> list[NodeResources]:
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = [NodeResources(int(each.get("CPU", 0)), float(each.get("GPU", 0))) for each in alive]
    return [node for node in found if node.cpus or node.gpus]
