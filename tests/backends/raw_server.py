"""A local server whose bytes are a test's own: what it sends for a path, beyond what any HTTP library would write."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Chunks = Iterable[bytes]

MODELS = b'{"object": "list", "data": [{"id": "small", "object": "model", "owned_by": "someone"}]}'


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole response."""
    about = [f"Content-Length: {len(body)}", "Content-Type: application/json", "Connection: close"]
    lines = [f"HTTP/1.1 {status}", *about, *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def completion(text: str, **choice: Any) -> bytes:
    """Return the body of a chat completion."""
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"finish_reason": "stop", "message": message, **choice}]}).encode()


def drip(*parts: bytes, delay: float = 0.05) -> Iterator[bytes]:
    """Yield the parts at once, then the last of them again and again, slowly."""
    yield from parts
    while True:
        time.sleep(delay)
        yield parts[-1]


def flood(head: bytes, part: bytes) -> Iterator[bytes]:
    """Yield the head, then the part without an end."""
    yield head
    while True:
        yield part


@dataclass
class RawServer:
    """`replies` are bytes or a function that makes them, by path; the listing of one model is there unless given."""

    replies: Mapping[str, Any]
    paths: list[str] = field(default_factory=list)
    sent: int = 0

    def reply(self, path: str) -> Chunks:
        found = {"/v1/models": http(MODELS), **self.replies}.get(path, http(b"{}", "404 Not Found"))
        return [found] if isinstance(found, bytes) else found()


@contextmanager
def serving(server: RawServer) -> Iterator[str]:
    """Serve on a free local port; yields the base URL."""
    handler = type("Handler", (_Handler,), {"state": server})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as tcp:
        tcp.daemon_threads = True
        tcp.block_on_close = False
        thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{tcp.server_address[1]}/v1"
        finally:
            tcp.shutdown()
            thread.join()


class _Handler(socketserver.StreamRequestHandler):
    state: RawServer

    def handle(self) -> None:
        line, length = self.rfile.readline(), 0
        while header := self.rfile.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.rfile.read(length)
        path = line.split(b" ")[1].decode()
        self.state.paths.append(path)
        with contextlib.suppress(OSError):  # the client has gone
            for chunk in self.state.reply(path):
                self.wfile.write(chunk)
                self.state.sent += len(chunk)
