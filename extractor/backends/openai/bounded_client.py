"""An HTTP client that a server can neither flood, hold up nor send elsewhere.

A request has one limit of seconds for all of it, not one between bytes; a body has a limit of bytes, unpacked or not;
redirects are not followed, and a server on this machine is never asked through a proxy. This module knows no protocol
above HTTP.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import httpx2

LONGEST_BODY = 8 * 2**20
"""Bytes of a body; of a longer one, this many and one are read. 30,000 tokens with their log-probabilities fit."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OWN_BYTES = ("content-encoding", "content-length", "transfer-encoding")  # headers about the bytes on the wire
_ANY_HEADER = 32 + zlib.MAX_WBITS  # that of gzip or of zlib


class BoundedClient(httpx2.AsyncClient):
    """A client whose `send` returns whole responses within the timeout of the request, raising ReadTimeout after it.

    `inspect` is shown each of them first, and may change its headers.
    """

    def __init__(self, connections: int, inspect: Callable[[httpx2.Response], None]) -> None:
        direct = {f"all://{f'[{host}]' if ':' in host else host}": None for host in LOOPBACK}
        super().__init__(
            headers={"Accept-Encoding": "gzip"},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=connections),
            mounts=direct,
        )
        self._inspect = inspect

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request. Return the response with its body, cut after LONGEST_BODY + 1 bytes."""
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(seconds):
                response = await super().send(request, stream=True, follow_redirects=False)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"no whole response within {seconds} s", request=request) from error
        whole = _whole(response, body)
        self._inspect(whole)
        return whole


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LONGEST_BODY:
            break
    return bytes(body[: LONGEST_BODY + 1])


def _whole(response: httpx2.Response, body: bytes) -> httpx2.Response:
    """Return the response with an unpacked body."""
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OWN_BYTES]
    content = _unpacked(body, response.headers.get("content-encoding", ""))
    return httpx2.Response(response.status_code, headers=headers, content=content, request=response.request)


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return the body unpacked, at most LONGEST_BODY + 1 bytes of it; as it is where the encoding is another."""
    if encoding.strip().lower() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_ANY_HEADER).decompress(body, LONGEST_BODY + 1)
    except zlib.error:
        return body
