"""A local HTTP server that speaks the ModelScope client's protocol: a file listing and file contents with ranges.

    GET /api/v1/models/{owner}/{name}/repo/files?Revision=...          -> {"Data": {"Files": [...]}}
    GET /api/v1/models/{owner}/{name}/repo?Revision=...&FilePath=...   -> bytes; 206 for a Range

Faults are queued by a test: each is used once, by the first request it fits.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as the server saw it: the file asked for (`listing` for the file list) and its Range header."""

    file: str
    range: str | None


@dataclass
class Hub:
    """One repository with one revision, its faults, and the requests that came."""

    files: dict[str, bytes]
    revision: str = "v1.0.0"
    status: dict[str, list[int]] = field(default_factory=dict)
    """File (or `listing`) -> statuses to answer with before it works."""
    break_after: dict[str, list[int]] = field(default_factory=dict)
    """File -> bytes after which the connection breaks, once for each number."""
    wrong_checksum: frozenset[str] = frozenset()
    requests: list[Request] = field(default_factory=list)

    def listing(self) -> bytes:
        entries = [
            {"Path": name, "Name": name, "Type": "blob", "Size": len(data), "Sha256": self._sha256(name)}
            for name, data in self.files.items()
        ]
        return json.dumps({"Code": 200, "Success": True, "Data": {"Files": entries}}).encode()

    def ranges_of(self, file: str) -> list[str | None]:
        return [request.range for request in self.requests if request.file == file]

    def _sha256(self, name: str) -> str:
        data = b"another" if name in self.wrong_checksum else self.files[name]
        return hashlib.sha256(data).hexdigest()


def folder_as_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve `hub` on a free local port; yields its address."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        file = "listing" if url.path.endswith("/repo/files") else query.get("FilePath", url.path)
        self.hub.requests.append(Request(file, self.headers["Range"]))
        statuses = self.hub.status.get(file, [])
        if statuses:
            self._refuse(statuses.pop(0))
        elif query.get("Revision") != self.hub.revision or (file != "listing" and file not in self.hub.files):
            self._refuse(404)
        elif file == "listing":
            self._send(200, self.hub.listing())
        else:
            self._send_file(file)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _refuse(self, status: int) -> None:
        self._send(status, json.dumps({"Code": status, "Success": False, "Message": f"fault {status}"}).encode())

    def _send_file(self, file: str) -> None:
        data = self.hub.files[file]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(wanted.group(1)) if wanted else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if wanted else {}
        breaks = self.hub.break_after.get(file, [])
        self._send(206 if wanted else 200, data[start:], headers, cut=breaks.pop(0) if breaks else None)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = self.close_connection or cut is not None
