"""The watch over the head of a cluster.

A minute after its head is gone Ray ends this process, from a thread of its own, without a word and with code 1: nothing
can catch that, and `ray.shutdown` waits for it. So the watch ends the process before that, with a message and the code
of a model that cannot be used. Nothing is lost: what is done is in the part files, which workers write.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

from extractor.errors import ModelError

INTERVAL = 2.0
RAY_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"
GONE = (
    "Error: the head of the Ray cluster ({address}) has not answered for {seconds:.0f} s. The parts that were written "
    "are safe: start the cluster again if it is yours, then run the same line again.\n"
)


@contextlib.contextmanager
def watched(address: str) -> Iterator[None]:
    """End this process, should the head at HOST:PORT be gone for good while the context is open."""
    closed = threading.Event()
    threading.Thread(target=_watch, args=(address, closed), name="head", daemon=True).start()
    try:
        yield
    finally:
        closed.set()


def _watch(address: str, closed: threading.Event) -> None:
    patience = 0.8 * float(os.environ.get(RAY_WAITS, "60"))
    seen = time.monotonic()
    while not closed.wait(INTERVAL):
        if answers(address):
            seen = time.monotonic()
        elif time.monotonic() - seen > patience and not closed.is_set():
            os.write(2, GONE.format(address=address, seconds=patience).encode())
            os._exit(ModelError.exit_code)


def answers(address: str) -> bool:
    """Tell whether something listens at HOST:PORT. A head that is merely busy does."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=INTERVAL):
            return True
    except OSError:
        return False
