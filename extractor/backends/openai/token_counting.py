"""How many tokens a text takes in a prompt: counted by the server where it does that, else estimated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

import openai

from extractor.backends._support.escape_control_tokens import plain
from extractor.backends.openai.server import translated
from extractor.config import ServerConfig
from extractor.data import Json

_REFUSALS = (400, 413, 422)
_LETTER = re.compile(r"[A-Za-z]")

Ask = Callable[[str, str], Mapping[str, Json]]
_DIALECTS: Mapping[str, Ask] = {
    "count": lambda model, text: {"model": model, "prompt": text, "add_special_tokens": False},  # vLLM, SGLang
    "tokens": lambda model, text: {"content": text, "add_special": False},  # llama.cpp
}
"""What the answer is called -> what is asked."""


@dataclass(frozen=True, slots=True)
class ServerCounter:
    """Counts by the server's /tokenize, which stands beside the protocol's paths; estimates a text that it refuses.

    Raises ModelError when the server is gone.
    """

    client: openai.OpenAI
    config: ServerConfig
    model: str
    answer: str

    kind = "counted by the server"

    def __call__(self, text: str) -> int:
        with translated(self.config):
            try:
                return self._ask(text)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSALS:
                    raise
                return Estimate()(text)

    def answers(self) -> bool:
        """Whether the server counts in this dialect."""
        try:
            return self._ask("1") > 0
        except (openai.APIError, ValueError, LookupError, TypeError):
            return False

    def _ask(self, text: str) -> int:
        url = urljoin(str(self.client.base_url), "../tokenize")
        body = _DIALECTS[self.answer](self.model, plain(text))
        said: Json = self.client.post(url, body=body, cast_to=object)
        return int(said["count"]) if self.answer == "count" else len(said["tokens"])


class Estimate:
    """More tokens than most vocabularies take: half a one for a letter, one and a half for a character beyond ASCII."""

    kind = "estimated"

    def __call__(self, text: str) -> int:
        letters = len(_LETTER.findall(text))
        plain = sum(map(str.isascii, text))
        return math.ceil(letters / 2 + (plain - letters) + 1.5 * (len(text) - plain))


Counter = ServerCounter | Estimate


def find_counter(client: openai.OpenAI, config: ServerConfig, model: str) -> Counter:
    """The server's own count if it gives one."""
    once = client.with_options(max_retries=0)
    for answer in _DIALECTS:
        if ServerCounter(once, config, model, answer).answers():
            return ServerCounter(client, config, model, answer)
    return Estimate()
