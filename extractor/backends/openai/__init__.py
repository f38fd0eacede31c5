"""Any server that speaks the OpenAI protocol (vLLM, SGLang, llama.cpp, Ollama), through the official client.

The answers are judged as those of the local model are, so what a server cannot confine is caught afterwards. The
client waits and asks again on 429, 5xx and time limits, as long as the server's Retry-After says.
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

from extractor.backends._support.escape_control_tokens import plain
from extractor.backends.openai.event_loop import Loop
from extractor.backends.openai.reply import completion
from extractor.backends.openai.request_mode import Manner, Manners
from extractor.backends.openai.server import credentials, find, reason, translated
from extractor.backends.openai.token_counting import find_counter
from extractor.config import ModelConfig, ServerConfig
from extractor.data import Completion, Prompt, Usage
from extractor.errors import UsageError

log = logging.getLogger(__name__)

TAKES_SERVER = True
USUAL_CONTEXT = 4096
"""Tokens of a context that neither the server nor the user names: what small servers give by default."""

_FIRST_ANSWER = 30.0  # seconds that a server may take to list its models
_PATIENCE = 3  # times the limit of one request: for all that is sent again, waiting included
_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window)|too (long|many tokens)|max_model_len|maximum.*tokens", re.IGNORECASE
)
_CLIENT_WAITS = 120  # seconds of a Retry-After that the client sits out by itself
_REFUSALS = (400, 422)
_LOCAL_OPTIONS = ("revision", "precision", "device", "kv_memory")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Backend:
    """A queue in front of a server: at most `concurrency` requests are under way.

    A prompt that the server gives up on comes back as an `error`, one that it finds too long as `overflow`. Raises
    ModelError, on making and on collecting, when the server as a whole is of no use: gone, or closed to this key.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = _checked(config)
        self._client = openai.OpenAI(**credentials(self._config))
        first = self._client.with_options(max_retries=1, timeout=min(_FIRST_ANSWER, self._config.timeout))
        served = find(first, self._config, _named(config))
        self._count = find_counter(self._client, self._config, served.name)
        self._manners = Manners(served.owner)
        self._served = served
        self._done: queue.SimpleQueue[Future[Completion]] = queue.SimpleQueue()
        self._under_way = 0
        self.name = served.name
        self.context = _context(self._config, served.context)
        log.info("%s at %s: context %d, tokens %s", self.name, self._config.place, self.context, self._count.kind)

    @property
    def identity(self) -> str:
        return f"{self.name} by {self._served.owner or 'a server'}, context {self.context}, tokens {self._count.kind}"

    def __enter__(self) -> Backend:
        self._requests = openai.AsyncOpenAI(**credentials(self._config))
        self._slots = asyncio.Semaphore(self._config.concurrency)
        self._loop = Loop(self._requests.close)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.close()
        self._client.close()

    def count_tokens(self, text: str) -> int:
        return self._count(text)

    def submit(self, prompt: Prompt) -> None:
        self._under_way += 1
        self._loop.start(self._complete(prompt)).add_done_callback(self._done.put)

    def collect(self) -> list[Completion]:
        if not self._under_way:
            return []
        finished = self._done.get()
        self._under_way -= 1
        return [finished.result()]

    async def _complete(self, prompt: Prompt) -> Completion:
        """The answer to a prompt, or why there is none. What makes the server useless is raised."""
        async with self._slots:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(_PATIENCE * self._config.timeout):
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
        """Send a prompt in the best manner, and again in a lower one where the server refuses that."""
        manner: Manner | None = self._manners.of(prompt)
        while manner:
            try:
                reply = await self._send(prompt, manner)
            except openai.APIStatusError as error:
                with translated(self._config):
                    _raise_if_useless(error)
                if _is_too_long(error):
                    detail = f"the server finds the prompt too long (HTTP {error.status_code})"
                    return Completion(prompt, "", "overflow", detail=detail, decoding=manner.means)
                refused = error
                if pause := _pause(error):
                    await asyncio.sleep(pause)
                else:
                    manner = self._lowered(manner, error)
            else:
                self._manners.took(manner)
                return completion(prompt, reply, time.perf_counter() - began, manner.means)

        return _given_up(prompt, _refusal(refused), began)

    def _lowered(self, manner: Manner, error: openai.APIStatusError) -> Manner | None:
        """The manner to ask in again; None where the server refuses for another reason."""
        return self._manners.lower(manner, _message(error)) if error.status_code in _REFUSALS else None

    async def _send(self, prompt: Prompt, manner: Manner) -> object:
        messages = [{"role": each.role, "content": plain(each.content)} for each in prompt.messages]
        return await self._requests.chat.completions.create(
            model=self.name,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            max_tokens=prompt.max_tokens,
            temperature=prompt.sampling.temperature,
            seed=prompt.sampling.seed,
            **manner.fields(prompt),
        )

    async def _check_alive(self) -> None:
        """Raise ModelError if the server is gone for all: then one document is not to blame, and no more are asked."""
        with translated(self._config):
            try:
                await self._requests.with_options(timeout=10, max_retries=1).models.list()
            except openai.NotFoundError:
                return


def _checked(config: ModelConfig) -> ServerConfig:
    """The server's part of the options. Raises UsageError for one that is missing, or that only a local model has."""
    if config.server is None:
        raise UsageError("Say where the server is: --base-url http://localhost:8000/v1")
    usual = ModelConfig()
    for name in _LOCAL_OPTIONS:
        if getattr(config, name) != getattr(usual, name):
            raise UsageError(f"--{name.replace('_', '-')} is decided where the model is served: leave it out.")
    if config.offline and urlsplit(config.server.base_url).hostname not in _LOOPBACK:
        raise UsageError(f"--offline forbids to ask {config.server.place}: only a server on this machine.")
    return config.server


def _named(config: ModelConfig) -> str | None:
    """The model that was asked for, if one was."""
    return None if config.model == ModelConfig().model else config.model


def _context(config: ServerConfig, served: int | None) -> int:
    known = [length for length in (config.context, served) if length is not None]
    if not known:
        log.warning("The server does not say how long a prompt may be: taking %d tokens (--context).", USUAL_CONTEXT)
    return min(known, default=USUAL_CONTEXT)


def _raise_if_useless(error: openai.APIStatusError) -> None:
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError | openai.NotFoundError):
        raise error


def _is_too_long(error: openai.APIStatusError) -> bool:
    """Whether the prompt is; a limit on the tokens of a minute (429) only sounds so."""
    said = error.status_code != HTTPStatus.TOO_MANY_REQUESTS and _TOO_LONG.search(_message(error)) is not None
    return said or error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _pause(error: openai.APIStatusError) -> float:
    """Seconds that the server asks to wait where they are more than the client waits by itself, else 0."""
    asked = error.response.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() and float(asked) > _CLIENT_WAITS else 0.0


def _message(error: openai.APIStatusError) -> str:
    said = error.body.get("message") if isinstance(error.body, dict) else error.body
    return str(said or "")


def _refusal(error: openai.APIStatusError) -> str:
    """What goes into a record: the status alone, since a server may quote the document in its message."""
    log.info("The server says: %s", _message(error)[:300])
    tries = int(error.request.headers.get("x-stainless-retry-count", "0")) + 1
    return f"the server answered HTTP {error.status_code}" + (
        f" after {tries} tries" if tries > 1 else " (-v says more)"
    )


def _given_up(prompt: Prompt, why: str, began: float) -> Completion:
    return Completion(prompt, "", "error", Usage(seconds=time.perf_counter() - began), detail=why)
