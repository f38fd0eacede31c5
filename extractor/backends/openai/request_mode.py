"""Means to keep an answer in shape: the best that a server takes, found out by its refusals.

`grammar` confines verbatim values to text of the document, `json_schema` the answer to the schema, `json_object` to
JSON; with `none` the prompt alone asks for it. Whatever it was, parsing, schema and grounding judge the answer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from extractor.data import Json, Prompt
from extractor.task.answer_grammar import ANY_LEAD, grammar
from extractor.task.answer_schema import answer_schema

log = logging.getLogger(__name__)

_LADDER = ("grammar", "json_schema", "json_object", "none")
_NAMES_STRUCTURE = re.compile(r"response_?format|json|schema|structured|guided|grammar|strict", re.IGNORECASE)
_NAMES_LOGPROBS = re.compile(r"log_?probs?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a request is made: the means, and whether log-probabilities are asked for."""

    means: str
    logprobs: bool = True

    def fields(self, prompt: Prompt) -> Mapping[str, Json]:
        """What it adds to a request."""
        return {**({"logprobs": True} if self.logprobs else {}), **_structure(self.means, prompt)}


class Manners:
    """The manner of the next request. What the server refuses is left out from then on, and that is logged.

    What it has taken before, it refuses for the sake of one prompt: then that prompt alone is asked in a lower manner.
    """

    def __init__(self, owner: str) -> None:
        """`owner` is who serves the model: vLLM takes a grammar, others would ignore it without a word."""
        self._best = Manner("grammar" if owner == "vllm" else "json_schema")
        self._taken: set[Manner] = set()

    def of(self, prompt: Prompt) -> Manner:
        return self._best if prompt.constrain else Manner("none", self._best.logprobs)

    def took(self, manner: Manner) -> None:
        """The server has answered a request that was made so."""
        self._taken.add(manner)

    def lower(self, refused: Manner, message: str) -> Manner | None:
        """The manner without what the server's message complains about; None if that is nothing to go without."""
        if refused.logprobs and _NAMES_LOGPROBS.search(message):
            return self._lowered(refused, replace(refused, logprobs=False), "log-probabilities")
        if refused.means == "none" or not _NAMES_STRUCTURE.search(message):
            return None
        below = _LADDER[_LADDER.index(refused.means) + 1]
        return self._lowered(refused, replace(refused, means=below), refused.means)

    def _lowered(self, refused: Manner, lower: Manner, what: str) -> Manner:
        if refused == self._best and refused not in self._taken:
            self._best = lower
            log.warning("The server does not take %s: going on with %s.", what, lower.means)
        return lower


def _structure(means: str, prompt: Prompt) -> Mapping[str, Json]:
    if means == "grammar":
        source = grammar(prompt.task, prompt.chunk.text, lead=ANY_LEAD)
        return {"extra_body": {"structured_outputs": {"grammar": source}}}
    if means == "json_schema":
        wanted = {"name": "answer", "strict": True, "schema": answer_schema(prompt.task)}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    return {"response_format": {"type": "json_object"}} if means == "json_object" else {}
