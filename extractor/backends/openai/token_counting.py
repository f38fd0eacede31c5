"""How many tokens a text takes in a prompt: counted by the server if it can, else estimated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

import openai

from extractor.backends._support.escape_control_tokens import escape_control_tokens
from extractor.backends.openai.server import wrapped_errors
from extractor.config import ServerConfig
from extractor.data import Json

_REFUSALS = (400, 413, 422)
_LETTER = re.compile(r"[A-Za-z]")

Ask = Callable[[str, str], Mapping[str, Json]]
_DIALECTS: Mapping[str, Ask] = {
    "count": lambda model, text: {"model": model, "prompt": text, "add_special_tokens": False},  # vLLM, SGLang
    "tokens": lambda model, text: {"content": text, "add_special": False},  # llama.cpp
}
"""The key of the count in the answer -> the request."""


@dataclass(frozen=True, slots=True)
class ServerCounter:
    """Counts with the server's /tokenize, which is outside the protocol; estimates a text that it refuses.

    Raises ModelError when the server is gone.
    """

    client: openai.OpenAI
    config: ServerConfig
    model: str
    answer: str

    kind = "counted by the server"

    def __call__(self, text: str) -> int:
        with wrapped_errors(self.config):
            try:
                return self._ask(text)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSALS:
                    raise
                return TokenEstimator()(text)

    def answers(self) -> bool:
        """Tell whether the server counts in this dialect."""
        try:
            return self._ask("1") > 0
        except (openai.APIError, ValueError, LookupError, TypeError):
            return False

    def _ask(self, text: str) -> int:
        url = urljoin(str(self.client.base_url), "../tokenize")
        body = _DIALECTS[self.answer](self.model, escape_control_tokens(text))
        reply: Json = self.client.post(url, body=body, cast_to=object)
        return int(reply["count"]) if self.answer == "count" else len(reply["tokens"])


class TokenEstimator:
    """Estimates more tokens than most vocabularies take: 0.5 for a letter, 1.5 for a character beyond ASCII."""

    kind = "estimated"

    def __call__(self, text: str) -> int:
        letters = len(_LETTER.findall(text))
        ascii_ = sum(map(str.isascii, text))
        return math.ceil(letters / 2 + (ascii_ - letters) + 1.5 * (len(text) - ascii_))


TokenCounter = ServerCounter | TokenEstimator


def find_counter(client: openai.OpenAI, config: ServerConfig, model: str) -> TokenCounter:
    """Return the server's own counter if it has one."""
    once = client.with_options(max_retries=0)
    for answer in _DIALECTS:
        if ServerCounter(once, config, model, answer).answers():
            return ServerCounter(client, config, model, answer)
    return TokenEstimator()
