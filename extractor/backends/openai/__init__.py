"""Any server that speaks the OpenAI protocol (vLLM, SGLang, llama.cpp, Ollama), through the official client.

The answers are judged like those of the local model, so what a server cannot constrain is caught afterwards. A reply of
any shape costs its prompt at most: `replies.py` reads all of them. Exponential backoff, or as long as the server's
Retry-After says, comes between tries.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import time
from concurrent.futures import Future
from http import HTTPStatus
from urllib.parse import urlsplit

from extractor.backends._support.align_tokens import align_tokens
from extractor.backends._support.escape_control_tokens import escape_control_tokens
from extractor.backends.openai.bounded_client import LOOPBACK
from extractor.backends.openai.connection import Connection, Exchange, NoReply, Reply, Request
from extractor.backends.openai.credentials import quote
from extractor.backends.openai.grammar_dialect import find_dialect
from extractor.backends.openai.replies import Answer, Refusal, read_answer
from extractor.backends.openai.request_mode import ModeSelector, RequestMode
from extractor.backends.openai.server import check_alive, find_model, unusable
from extractor.backends.openai.token_counting import find_counter
from extractor.config import ModelConfig, ServerConfig
from extractor.data import Completion, Prompt, Usage
from extractor.errors import ModelError, UsageError

log = logging.getLogger(__name__)

TAKES_SERVER = True
USUAL_CONTEXT = 4096
"""Tokens of a context that neither the server nor the user tells: what small servers have by default."""

_TIMEOUTS_WITH_RETRIES = 3  # times --timeout: for a request with all its retries, waiting included
_ALIVE_TIMEOUT = 10.0  # seconds
_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window)|too (long|many tokens)|max_model_len|maximum.*tokens", re.IGNORECASE
)
_LONGEST_ANSWER = 100_000  # characters that are parsed, whatever the limit of tokens is
_CHARACTERS_A_TOKEN = 64  # ... and where that is more, those of each token: thinking counts, and some ignore the limit
_LONGEST_BACKOFF = 120  # seconds of a Retry-After that the client waits by itself
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_LOCAL_OPTIONS = ("revision", "precision", "device", "kv_memory")


class Backend:
    """A queue in front of a server, with at most `concurrency` requests in flight.

    A prompt that the server gives up on comes back as an `error`, one that it finds too long as `overflow`. Creating
    and collecting raise ModelError when the server as a whole cannot be used: gone, closed to this key, without funds,
    or moved elsewhere.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = _checked(config)
        self._connection = Connection(self._config)
        self._served = find_model(self._connection, self._config, _named(config))
        self._count = find_counter(self._connection, self._config, self._served.name)
        self._modes = ModeSelector(find_dialect(self._connection, self._config, self._served.owner))
        self._done: queue.SimpleQueue[Future[Completion]] = queue.SimpleQueue()
        self._in_flight = 0
        self.name = quote(self._served.name)
        self.context = _context(self._config, self._served.context)
        log.info("%s at %s: context %d, tokens %s", self.name, self._config.address, self.context, self._count.kind)

    @property
    def identity(self) -> str:
        owner = quote(self._served.owner) or "a server"
        return f"{self.name} by {owner}, context {self.context}, tokens {self._count.kind}"

    def __enter__(self) -> Backend:
        self._slots = asyncio.Semaphore(self._config.concurrency)
        self._unusable: ModelError | None = None  # why nothing more is sent
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, counted by the server or estimated."""
        return self._count(text)

    def submit(self, prompt: Prompt) -> None:
        """Start the request, or let it wait for a free slot."""
        self._in_flight += 1
        self._connection.start(self._complete(prompt)).add_done_callback(self._done.put)

    def collect(self) -> list[Completion]:
        """Wait for one answer."""
        if not self._in_flight:
            return []
        finished = self._done.get()
        self._in_flight -= 1
        return [finished.result()]

    async def _complete(self, prompt: Prompt) -> Completion:
        """Return the answer to a prompt, or why there is none. Raise ModelError for an unusable server."""
        async with self._slots:
            if self._unusable:  # until the run, in its own thread, has heard of it
                raise self._unusable
            began = time.perf_counter()
            mode = self._modes.for_prompt(prompt)
            try:
                async with asyncio.timeout(_TIMEOUTS_WITH_RETRIES * self._config.timeout):
                    answer, mode = await self._ask(prompt, mode)
            except TimeoutError:
                answer = self._too_slow()
            except ModelError as error:
                self._unusable = error
                raise
            usage = Usage(answer.prompt_tokens, answer.completion_tokens, time.perf_counter() - began)
            tokens = align_tokens(answer.text, answer.tokens)
            text = answer.text.strip()
            return Completion(prompt, text, answer.finish, usage, tokens, answer.detail, mode.capability)

    async def _ask(self, prompt: Prompt, mode: RequestMode) -> tuple[Answer, RequestMode]:
        """Send a prompt, and again in a weaker mode where the server refuses it. Return the last mode, too."""
        while True:
            reply = await self._send(prompt, mode)
            if not isinstance(reply, Refusal):
                return await self._answer(reply, mode, prompt.max_tokens), mode
            if error := unusable(self._config, reply):
                raise error
            if _is_too_long(reply):
                detail = f"the server finds the prompt too long (HTTP {reply.status})"
                return Answer(finish="overflow", detail=detail), mode
            if reply.retry_after > _LONGEST_BACKOFF:
                await asyncio.sleep(reply.retry_after)
            elif weaker := self._fallback(mode, reply):
                mode = weaker
            else:
                return Answer(detail=_describe(reply)), mode

    async def _answer(self, reply: Reply | NoReply, mode: RequestMode, max_tokens: int) -> Answer:
        """Return what a reply says, or why there is none. Raise ModelError if the server is gone."""
        if isinstance(reply, Reply):
            answer = read_answer(reply.body, longest=max(_LONGEST_ANSWER, _CHARACTERS_A_TOKEN * max_tokens))
            if answer.finish != "error":
                self._modes.accept(mode)
            return answer
        if reply.timed_out:
            return self._too_slow()
        alive = Request("/models", _ALIVE_TIMEOUT, limit=2 * _ALIVE_TIMEOUT)
        check_alive(self._config, await self._connection.exchange(alive))
        return Answer(detail=f"the connection broke ({reply.reason})")

    async def _send(self, prompt: Prompt, mode: RequestMode) -> Exchange:
        messages = [{"role": each.role, "content": escape_control_tokens(each.content)} for each in prompt.messages]
        body = {"model": self._served.name, "messages": messages, **mode.fields(prompt)}
        config = self._config
        return await self._connection.exchange(Request("/chat/completions", config.timeout, config.retries, body=body))

    def _fallback(self, mode: RequestMode, refusal: Refusal) -> RequestMode | None:
        """Return the mode for the next try; None where the server refuses for another reason."""
        return self._modes.fallback(mode, refusal) if refusal.status in _REFUSALS else None

    def _too_slow(self) -> Answer:
        return Answer(detail=f"no answer within {self._config.timeout:g} s: raise --timeout or lower --concurrency")


def _checked(config: ModelConfig) -> ServerConfig:
    """Return the server's config. Raise UsageError where it is missing, or for an option of local models only."""
    if config.server is None:
        raise UsageError("Say where the server is: --base-url http://localhost:8000/v1")
    usual = ModelConfig()
    for name in _LOCAL_OPTIONS:
        if getattr(config, name) != getattr(usual, name):
            raise UsageError(f"--{name.replace('_', '-')} is decided where the model is served: leave it out.")
    if config.offline and urlsplit(config.server.base_url).hostname not in LOOPBACK:
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


def _is_too_long(refusal: Refusal) -> bool:
    """Tell whether the prompt is; a limit of tokens per minute (429) only sounds like it."""
    named = refusal.status != HTTPStatus.TOO_MANY_REQUESTS and _TOO_LONG.search(refusal.message) is not None
    return named or refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _describe(refusal: Refusal) -> str:
    """Return what goes into a record: the status alone, since a server may quote the document in its message."""
    log.info("The server says: %s", quote(refusal.message))
    tries = f" after {refusal.tries} tries" if refusal.tries > 1 else " (-v says more)"
    return f"the server answered HTTP {refusal.status}{tries}"
