"""Stands before a server and passes everything on, counting the completions that are asked for."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Meter:
    """What was asked at `address`, and what was answered to it: the tokens that were written, whatever the content is.

    llama.cpp's own /completion is passed on as it is (`llguidance`), as by a server built without that (`gbnf`), or
    not at all ("").
    """

    behind: str
    shows: str = "llguidance"
    address: str = ""
    completions: int = 0
    written: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, path: str, body: bytes) -> None:
        if path.endswith("/chat/completions"):
            with self.lock:
                self.completions += 1
                self.written += map(_tokens, json.loads(body).get("choices", ()))


@contextmanager
def metering(behind: str, shows: str = "llguidance") -> Iterator[Meter]:
    """Serve on a free port what another address serves."""
    meter = Meter(behind, shows)
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"meter": meter}))
    meter.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield meter
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    meter: Meter

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _pass_on(self, body: bytes | None) -> None:
        hidden = self.path == "/completion" and not self.meter.shows
        path = "/nothing" if hidden else self.path
        request = urllib.request.Request(
            self.meter.behind + path, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
            error.close()
        if self.path == "/completion" and self.meter.shows == "gbnf":
            answer = _as_built_without(answer)
        self.meter.note(self.path, answer if status == 200 else b"{}")
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except (BrokenPipeError, ConnectionResetError):  # the run was killed
            self.close_connection = True


def _tokens(choice: dict[str, Any]) -> str:
    content = (choice.get("logprobs") or {}).get("content") or ()
    return "".join(each["token"] for each in content)


def _as_built_without(answer: bytes) -> bytes:
    """Return an answer that shows the rules of a schema in GBNF, as a llama.cpp without llguidance would."""
    reply = json.loads(answer)
    if reply["generation_settings"]["grammar"].startswith("%llguidance"):
        reply["generation_settings"]["grammar"] = "root ::= object"
    return json.dumps(reply).encode()
