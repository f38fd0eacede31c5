"""Nodes of a Ray cluster as processes of their own: each has an address, a raylet and workers, and dies as a whole."""

import contextlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from tests.cli.conftest import environment

QUICK = {
    "RAY_AUTH_MODE": "token",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # a minute, by default
    "RAY_health_check_period_ms": "500",  # 3 s
}
STORE_BYTES = 80 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """A process `ray start --block` and what it has started."""

    address: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """Kill all processes of the node at once, as a power cut does."""
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid)
            killed = [*own.children(recursive=True), own]
            for each in killed:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(killed, timeout=60)
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A head and its worker nodes, with the environment that admits to it."""

    head: Node
    workers: tuple[Node, ...]
    port: int
    env: dict[str, str]

    @property
    def address(self) -> str:
        return f"{self.head.address}:{self.port}"


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """Start a head and workers with a processor each; kill what is left of them at the end."""
    env = {**environment(), **QUICK, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    port = free_port()
    with contextlib.ExitStack() as started:
        folder = started.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))  # sockets: short paths

        def start(address: str, *options: str) -> Node:
            node = _started(address, env, options, Path(folder, address))
            started.callback(node.kill)
            return node

        head = start("127.0.0.3", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
        others = [start(f"127.0.0.{4 + number}", f"--address={head.address}:{port}") for number in range(workers)]
        yield Cluster(head, tuple(others), port, env)


def _started(address: str, env: dict[str, str], options: tuple[str, ...], log: Path, tries: int = 3) -> Node:
    """Return a node that has come up. Ray gives its raylet 30 s, which a busy machine may exceed: try again then."""
    with log.open("wb") as stream:
        process = _start(address, env, options, stream)
    node = Node(address, process)
    try:
        wait_until(lambda: process.poll() is not None or "runtime started" in log.read_text("utf-8"))
    except BaseException:
        node.kill()
        raise
    if process.poll() is None:
        return node
    assert tries > 1, log.read_text("utf-8")
    return _started(address, env, options, log, tries - 1)


def _start(address: str, env: dict[str, str], options: tuple[str, ...], log: BinaryIO) -> "subprocess.Popen[bytes]":
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={address}"]
    return subprocess.Popen(
        [*line, "--num-cpus=1", "--num-gpus=0", f"--object-store-memory={STORE_BYTES}", *options],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port


def wait_until(is_so: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"still waiting after {seconds} s"
        time.sleep(0.02)
