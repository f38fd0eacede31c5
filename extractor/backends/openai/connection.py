"""The requests to one server, through the official client: it asks again after 429, 5xx and timeouts.

Whatever becomes of a request is a value: a Reply, a Refusal, or NoReply.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import openai

from extractor.backends.openai.bounded_client import BoundedClient
from extractor.backends.openai.credentials import api_key, quote
from extractor.backends.openai.event_loop import EventLoopThread
from extractor.backends.openai.replies import Refusal, read_refusal
from extractor.config import ServerConfig
from extractor.data import Json
from extractor.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent (GET where there is no body), and how patiently: `timeout` are the seconds of each of the tries,
    `limit` those of all of them together, waiting included."""

    path: str
    timeout: float
    retries: int = 1
    limit: float | None = None
    body: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply whose status is 2xx."""

    body: bytes


@dataclass(frozen=True, slots=True)
class NoReply:
    """No whole reply: in time, or because the connection could not be made or broke."""

    reason: str
    timed_out: bool = False


Exchange = Reply | Refusal | NoReply


class Connection:
    """A client in an event loop with a thread of its own. The first request opens it, and so does one after `close`."""

    def __init__(self, config: ServerConfig) -> None:
        """Check key and address. Raise UsageError where they cannot be used."""
        self._config = config
        self._lock = threading.Lock()
        self._thread: EventLoopThread | None = None
        self._client = _client(config)

    @property
    def base_url(self) -> str:
        return str(self._client.base_url)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine that asks the server. Return a future of its result."""
        with self._lock:
            if self._thread is None:
                self._client = _client(self._config) if self._client.is_closed() else self._client
                self._thread = EventLoopThread(self._client.close)
                weakref.finalize(self, self._thread.stop)
            return self._thread.start(work)

    def ask(self, request: Request) -> Exchange:
        """Send a request and wait for what becomes of it."""
        return self.start(self.exchange(request)).result()

    def close(self) -> None:
        """Cancel what is in flight."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    async def exchange(self, request: Request) -> Exchange:
        """Send a request. Return what becomes of it."""
        try:
            async with asyncio.timeout(request.limit):
                response = await self._send(request)
        except openai.APIStatusError as error:
            return _refusal(error.response)
        except (TimeoutError, openai.APITimeoutError):
            return NoReply(f"no whole reply within {request.timeout:g} s", timed_out=True)
        except (openai.APIError, ValueError) as error:  # ValueError: text that UTF-8 does not hold
            return NoReply(reason(error))
        return Reply(response.content)

    async def _send(self, request: Request) -> httpx2.Response:
        patience: Any = {"timeout": request.timeout, "max_retries": request.retries}
        if request.body is None:
            return await self._client.get(request.path, cast_to=httpx2.Response, options=patience)
        return await self._client.post(request.path, cast_to=httpx2.Response, body=request.body, options=patience)


def _client(config: ServerConfig) -> openai.AsyncOpenAI:
    try:
        http = BoundedClient(config.concurrency, _do_not_ask_again)
        return openai.AsyncOpenAI(base_url=config.base_url, api_key=api_key(), http_client=http)
    except (ValueError, ImportError, httpx2.InvalidURL) as error:  # of the address, or of a proxy in the environment
        raise UsageError(
            f"The server at {config.address} cannot be asked ({quote(str(error))}): check --base-url and the proxy "
            "of the environment."
        ) from error


def _do_not_ask_again(response: httpx2.Response) -> None:
    """Tell the client not to repeat what will be refused until somebody pays, though it looks like a rate limit."""
    if response.is_error and _refusal(response).no_funds:
        response.headers["x-should-retry"] = "false"


def _refusal(response: httpx2.Response) -> Refusal:
    tries = int(response.request.headers.get("x-stainless-retry-count", "0")) + 1
    return read_refusal(response.status_code, response.headers, response.content, tries)


def reason(error: Exception) -> str:
    """Return one line about a connection that failed."""
    cause = error.__cause__ or error
    return quote(next(iter(str(cause).splitlines()), type(cause).__name__))
