"""How many tokens a text takes in a prompt: counted by the server if it can, else estimated."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from urllib.parse import urljoin

from extractor.backends._support.escape_control_tokens import escape_control_tokens
from extractor.backends.openai.connection import Connection, NoReply, Reply, Request
from extractor.backends.openai.replies import Refusal, read_count
from extractor.backends.openai.server import START_LIMIT, gone, unusable
from extractor.config import ServerConfig
from extractor.data import Json

log = logging.getLogger(__name__)

_REFUSALS_OF_A_TEXT = (400, 413, 422)
_LETTER = re.compile(r"[A-Za-z]")

Ask = Callable[[str, str], Mapping[str, Json]]
_DIALECTS: Mapping[str, Ask] = {
    "count": lambda model, text: {"model": model, "prompt": text, "add_special_tokens": False},  # vLLM, SGLang
    "tokens": lambda model, text: {"content": text, "add_special": False},  # llama.cpp
}
"""The key of the count in the answer -> the request."""


class TokenEstimator:
    """Estimates more tokens than most vocabularies take: 0.5 for a letter, 1.5 for a character beyond ASCII."""

    kind = "estimated"

    def __call__(self, text: str) -> int:
        letters = len(_LETTER.findall(text))
        ascii_ = sum(map(str.isascii, text))
        return math.ceil(letters / 2 + (ascii_ - letters) + 1.5 * (len(text) - ascii_))


class ServerCounter:
    """Counts with the server's /tokenize, which is outside the protocol; estimates where it gives no count.

    After a failure that has nothing to do with the text, all others are estimated, too. Raises ModelError when the
    server is gone, or refuses whatever it is asked.
    """

    kind = "counted by the server"

    def __init__(self, connection: Connection, config: ServerConfig, model: str, dialect: str) -> None:
        self._connection = connection
        self._config = config
        self._model = model
        self._dialect = dialect
        self._estimate = TokenEstimator()
        self._counts = True

    def __call__(self, text: str) -> int:
        if not self._counts:
            return self._estimate(text)
        reply = self._connection.ask(self._request(text, self._config.timeout, self._config.retries))
        if isinstance(reply, Reply):
            count = read_count(reply.body, self._dialect, text)
            return self._estimate(text) if count is None else count
        self._check(reply)
        return self._estimate(text)

    def answers(self, limit: float) -> bool:
        """Tell whether the server counts in this dialect."""
        reply = self._connection.ask(self._request("1", limit, 1))  # a server may have closed the idle connection
        return isinstance(reply, Reply) and read_count(reply.body, self._dialect, "1") is not None

    def _request(self, text: str, timeout: float, retries: int) -> Request:
        body = _DIALECTS[self._dialect](self._model, escape_control_tokens(text))
        return Request(urljoin(self._connection.base_url, "../tokenize"), timeout, retries, timeout, body)

    def _check(self, reply: Refusal | NoReply) -> None:
        """Raise ModelError if the server is unusable. Count no more unless it refuses a text."""
        if isinstance(reply, NoReply) and not reply.timed_out:
            raise gone(self._config, reply)
        if isinstance(reply, Refusal) and reply.status != 404 and (error := unusable(self._config, reply)):
            raise error
        if isinstance(reply, NoReply) or reply.status not in _REFUSALS_OF_A_TEXT:
            self._counts = False
            log.warning("The server counts tokens no more: estimating them.")


TokenCounter = ServerCounter | TokenEstimator


def find_counter(connection: Connection, config: ServerConfig, model: str) -> TokenCounter:
    """Return the server's own counter if it has one that answers in time."""
    limit = min(START_LIMIT, config.timeout) / len(_DIALECTS)
    counters = (ServerCounter(connection, config, model, dialect) for dialect in _DIALECTS)
    return next((counter for counter in counters if counter.answers(limit)), TokenEstimator())
