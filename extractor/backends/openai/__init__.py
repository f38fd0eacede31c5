"""Any server that speaks the OpenAI protocol (vLLM, SGLang, llama.cpp, Ollama), through the official client.

The answers are judged like those of the local model, so what a server cannot constrain is caught afterwards. The client
retries after 429, 5xx and timeouts, with exponential backoff or as long as the server's Retry-After says.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import time
from concurrent.futures import Future
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionMessageParam

from extractor.backends._support.escape_control_tokens import escape_control_tokens
from extractor.backends.openai.event_loop import EventLoopThread
from extractor.backends.openai.reply import read_reply
from extractor.backends.openai.request_mode import ModeSelector, RequestMode
from extractor.backends.openai.server import credentials, find_model, reason, wrapped_errors
from extractor.backends.openai.token_counting import find_counter
from extractor.config import ModelConfig, ServerConfig
from extractor.data import Completion, Prompt, Usage
from extractor.errors import UsageError

log = logging.getLogger(__name__)

TAKES_SERVER = True
USUAL_CONTEXT = 4096
"""Tokens of a context that neither the server nor the user tells: what small servers have by default."""

_LIST_TIMEOUT = 30.0  # seconds that a server may take to list its models
_TIMEOUTS_WITH_RETRIES = 3  # times --timeout: for a request with all its retries, waiting included
_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window)|too (long|many tokens)|max_model_len|maximum.*tokens", re.IGNORECASE
)
_LONGEST_BACKOFF = 120  # seconds of a Retry-After that the client waits by itself
_REFUSALS = (400, 422)
_LOCAL_OPTIONS = ("revision", "precision", "device", "kv_memory")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Backend:
    """A queue in front of a server, with at most `concurrency` requests in flight.

    A prompt that the server gives up on comes back as an `error`, one that it finds too long as `overflow`. Creating
    and collecting raise ModelError when the server as a whole cannot be used: gone, or closed to this key.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = _checked(config)
        self._client = openai.OpenAI(**credentials(self._config))
        first = self._client.with_options(max_retries=1, timeout=min(_LIST_TIMEOUT, self._config.timeout))
        served = find_model(first, self._config, _named(config))
        self._count = find_counter(self._client, self._config, served.name)
        self._modes = ModeSelector(served.owner)
        self._served = served
        self._done: queue.SimpleQueue[Future[Completion]] = queue.SimpleQueue()
        self._in_flight = 0
        self.name = served.name
        self.context = _context(self._config, served.context)
        log.info("%s at %s: context %d, tokens %s", self.name, self._config.address, self.context, self._count.kind)

    @property
    def identity(self) -> str:
        return f"{self.name} by {self._served.owner or 'a server'}, context {self.context}, tokens {self._count.kind}"

    def __enter__(self) -> Backend:
        self._requests = openai.AsyncOpenAI(**credentials(self._config))
        self._slots = asyncio.Semaphore(self._config.concurrency)
        self._loop = EventLoopThread(self._requests.close)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.close()
        self._client.close()

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, counted by the server or estimated."""
        return self._count(text)

    def submit(self, prompt: Prompt) -> None:
        """Start the request, or let it wait for a free slot."""
        self._in_flight += 1
        self._loop.start(self._complete(prompt)).add_done_callback(self._done.put)

    def collect(self) -> list[Completion]:
        """Wait for one answer."""
        if not self._in_flight:
            return []
        finished = self._done.get()
        self._in_flight -= 1
        return [finished.result()]

    async def _complete(self, prompt: Prompt) -> Completion:
        """Return the answer to a prompt, or why there is none. Raise what makes the server unusable."""
        async with self._slots:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(_TIMEOUTS_WITH_RETRIES * self._config.timeout):
                    return await self._ask(prompt, began)
            except (TimeoutError, openai.APITimeoutError):
                why = f"no answer within {self._config.timeout:g} s: raise --timeout or lower --concurrency"
            except openai.APIConnectionError as error:
                await self._check_alive()
                why = f"the connection broke ({reason(error)})"
            except (openai.APIError, ValueError) as error:
                why = f"the server's reply cannot be read ({type(error).__name__})"
            return _given_up(prompt, why, began)

    async def _ask(self, prompt: Prompt, began: float) -> Completion:
        """Send a prompt in the best mode, and again in a weaker one where the server refuses that."""
        mode: RequestMode | None = self._modes.for_prompt(prompt)
        while mode:
            try:
                reply = await self._send(prompt, mode)
            except openai.APIStatusError as error:
                with wrapped_errors(self._config):
                    _raise_if_unusable(error)
                if _is_too_long(error):
                    detail = f"the server finds the prompt too long (HTTP {error.status_code})"
                    return Completion(prompt, "", "overflow", detail=detail, decoding=mode.capability)
                refused = error
                if pause := _pause(error):
                    await asyncio.sleep(pause)
                else:
                    mode = self._fallback(mode, error)
            else:
                self._modes.accept(mode)
                return read_reply(prompt, reply, time.perf_counter() - began, mode.capability)
        return _given_up(prompt, _refusal(refused), began)

    def _fallback(self, mode: RequestMode, error: openai.APIStatusError) -> RequestMode | None:
        """Return the mode for the next try; None where the server refuses for another reason."""
        return self._modes.fallback(mode, _message(error)) if error.status_code in _REFUSALS else None

    async def _send(self, prompt: Prompt, mode: RequestMode) -> object:
        messages = [{"role": each.role, "content": escape_control_tokens(each.content)} for each in prompt.messages]
        return await self._requests.chat.completions.create(
            model=self.name,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            max_tokens=prompt.max_tokens,
            temperature=prompt.sampling.temperature,
            seed=prompt.sampling.seed,
            **mode.fields(prompt),
        )

    async def _check_alive(self) -> None:
        """Raise ModelError if the server is gone: then the document is not to blame, and no other is sent."""
        with wrapped_errors(self._config):
            try:
                await self._requests.with_options(timeout=10, max_retries=1).models.list()
            except openai.NotFoundError:
                return


def _checked(config: ModelConfig) -> ServerConfig:
    """Return the server's config. Raise UsageError where it is missing, or for an option of local models only."""
    if config.server is None:
        raise UsageError("Say where the server is: --base-url http://localhost:8000/v1")
    usual = ModelConfig()
    for name in _LOCAL_OPTIONS:
        if getattr(config, name) != getattr(usual, name):
            raise UsageError(f"--{name.replace('_', '-')} is decided where the model is served: leave it out.")
    if config.offline and urlsplit(config.server.base_url).hostname not in _LOOPBACK:
        raise UsageError(
            f"--offline forbids asking {config.server.address}: only a server on this machine may be asked."
        )
    return config.server


def _named(config: ModelConfig) -> str | None:
    """Return the model that was asked for, if one was."""
    return None if config.model == ModelConfig().model else config.model


def _context(config: ServerConfig, served: int | None) -> int:
    known = [length for length in (config.context, served) if length is not None]
    if not known:
        log.warning("The server does not say how long a prompt may be: assuming %d tokens (--context).", USUAL_CONTEXT)
    return min(known, default=USUAL_CONTEXT)


def _raise_if_unusable(error: openai.APIStatusError) -> None:
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError | openai.NotFoundError):
        raise error


def _is_too_long(error: openai.APIStatusError) -> bool:
    """Tell whether the prompt is; a limit of tokens per minute (429) only sounds like it."""
    named = error.status_code != HTTPStatus.TOO_MANY_REQUESTS and _TOO_LONG.search(_message(error)) is not None
    return named or error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _pause(error: openai.APIStatusError) -> float:
    """Return the seconds that the server asks to wait, where they are more than the client waits by itself; else 0."""
    asked = error.response.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() and float(asked) > _LONGEST_BACKOFF else 0.0


def _message(error: openai.APIStatusError) -> str:
    message = error.body.get("message") if isinstance(error.body, dict) else error.body
    return str(message or "")


def _refusal(error: openai.APIStatusError) -> str:
    """Return what goes into a record: the status alone, since a server may quote the document in its message."""
    log.info("The server says: %s", _message(error)[:300])
    tries = int(error.request.headers.get("x-stainless-retry-count", "0")) + 1
    return f"the server answered HTTP {error.status_code}" + (
        f" after {tries} tries" if tries > 1 else " (-v says more)"
    )


def _given_up(prompt: Prompt, why: str, began: float) -> Completion:
    return Completion(prompt, "", "error", Usage(seconds=time.perf_counter() - began), detail=why)
