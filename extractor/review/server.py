"""The page and its questions over HTTP, for this machine and this session alone.

Answered is who comes to 127.0.0.1 by that very name (`Host`), with the token in the path; questions are POST, JSON, of
bounded length and from the page itself (`Origin`). So no page of the web can reach it, by whatever name it knows it.
This module does not know what a question means.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from extractor.data import Json
from extractor.errors import UsageError
from extractor.review.desk import BadRequest, Desk

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
MOST_BYTES = 8 << 20
"""Of a question: a draft, which holds values and places but no text."""

SECONDS = 30.0
"""A connection that is silent for longer is closed."""

ASSETS = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "words.js": ("words.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Refused(Exception):
    """A request that is not answered, and the status that says why."""


class ReviewServer(ThreadingHTTPServer):
    """Serves one desk; `address` is what to open."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        self.token = secrets.token_urlsafe(32)
        super().__init__((ADDRESS, port), _Handler)
        self.host = f"{ADDRESS}:{self.server_port}"

    @property
    def address(self) -> str:
        return f"http://{self.host}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a failure of one request; a connection that broke off is none of ours."""
        log.debug("a request of the page failed", exc_info=True)


@contextmanager
def serve(desk: Desk, port: int = 0) -> Iterator[ReviewServer]:
    """Yield the server of a desk. Raise UsageError where the port is taken."""
    try:
        server = ReviewServer(desk, port)
    except OSError as error:
        raise UsageError(f"Port {port} cannot be used: {error.strerror}. Leave --port out, or name another.") from error
    try:
        yield server
    finally:
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = SECONDS
    server_version, sys_version = "extractor", ""

    def do_GET(self) -> None:
        """Answer with a file of the page."""
        self._answered(self._asset)

    def do_POST(self) -> None:
        """Answer a question of the page."""
        self._answered(self._question)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say the status in plain text; what the request held is never repeated."""
        status = HTTPStatus(code)
        self._send(status, f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests: their path holds the token."""

    def _answered(self, answer: Callable[[str], tuple[bytes, str]]) -> None:
        try:
            body, kind = answer(self._path())
        except _Refused as refused:
            self.send_error(refused.args[0])
        else:
            self._send(HTTPStatus.OK, body, kind)

    def _path(self) -> str:
        """Return what is asked for, behind the token."""
        if self.headers.get_all("Host") != [self.server.host]:
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST)
        token, _, path = self.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN)
        return path

    def _asset(self, path: str) -> tuple[bytes, str]:
        if path not in ASSETS:
            raise _Refused(HTTPStatus.NOT_FOUND)
        name, kind = ASSETS[path]
        return (files("extractor.review") / name).read_bytes(), kind

    def _question(self, path: str) -> tuple[bytes, str]:
        if self.headers.get_all("Origin") != [f"http://{self.server.host}"]:
            raise _Refused(HTTPStatus.FORBIDDEN)
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            answer = self.server.desk.answer(path, self._body())
        except BadRequest as error:
            log.debug("refused: %s", error)
            raise _Refused(HTTPStatus.BAD_REQUEST) from error
        except OSError as error:
            log.error("%s cannot be written: %s", self.server.desk.session.gold.path, error.strerror or error)
            raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE) from error
        return json.dumps(answer).encode(), "application/json"

    def _body(self) -> Json:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > 12 or int(length) > MOST_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST) from error

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
