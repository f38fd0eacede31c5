"""How an answer is constrained: by the best capability of a server, which its refusals reveal.

`grammar` confines verbatim values to text of the document, `json_schema` the answer to the schema, `json_object` to
JSON; with `none` the prompt alone asks for it. In every mode, parsing, schema and grounding judge the answer.
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

CAPABILITIES = ("grammar", "json_schema", "json_object", "none")
"""Ways to constrain an answer, the strictest first."""

_NAMES_STRUCTURE = re.compile(r"response_?format|json|schema|structured|guided|grammar|strict", re.IGNORECASE)
_NAMES_LOGPROBS = re.compile(r"log_?probs?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestMode:
    """How a request is made: the capability that it uses, and whether it asks for log-probabilities."""

    capability: str
    logprobs: bool = True

    def fields(self, prompt: Prompt) -> Mapping[str, Json]:
        """Return what the mode adds to a request."""
        return {**({"logprobs": True} if self.logprobs else {}), **_structure(self.capability, prompt)}


class ModeSelector:
    """The mode of the next request. What the server refuses is not asked for again, and that is logged.

    What it has accepted before, it refuses because of one prompt: then only that prompt falls back.
    """

    def __init__(self, owner: str) -> None:
        """Start with the best mode. `owner` serves the model: vLLM takes a grammar, others silently ignore it."""
        self._best = RequestMode("grammar" if owner == "vllm" else "json_schema")
        self._accepted: set[RequestMode] = set()

    def for_prompt(self, prompt: Prompt) -> RequestMode:
        """Return the best mode for a prompt."""
        return self._best if prompt.constrain else RequestMode("none", self._best.logprobs)

    def accept(self, mode: RequestMode) -> None:
        """Note that the server has answered a request of this mode."""
        self._accepted.add(mode)

    def fallback(self, refused: RequestMode, message: str) -> RequestMode | None:
        """Return the mode without what the server's message complains about; None if that cannot be left out."""
        if refused.logprobs and _NAMES_LOGPROBS.search(message):
            return self._fall_back(refused, replace(refused, logprobs=False), "log-probabilities")
        if refused.capability == "none" or not _NAMES_STRUCTURE.search(message):
            return None
        weaker = CAPABILITIES[CAPABILITIES.index(refused.capability) + 1]
        return self._fall_back(refused, replace(refused, capability=weaker), refused.capability)

    def _fall_back(self, refused: RequestMode, weaker: RequestMode, what: str) -> RequestMode:
        if refused == self._best and refused not in self._accepted:
            self._best = weaker
            log.warning("The server does not take %s: falling back to %s.", what, weaker.capability)
        return weaker


def _structure(capability: str, prompt: Prompt) -> Mapping[str, Json]:
    if capability == "grammar":
        source = grammar(prompt.task, prompt.chunk.text, lead=ANY_LEAD)
        return {"extra_body": {"structured_outputs": {"grammar": source}}}
    if capability == "json_schema":
        schema = {"name": "answer", "strict": True, "schema": answer_schema(prompt.task)}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}} if capability == "json_object" else {}
