"""How an answer is asked for: constrained by the best capability of a server, with the parameters that it takes.

`grammar` confines verbatim values to text of the document, `json_schema` the answer to the schema, `json_object` to
JSON; with `none` the prompt alone asks for it. In every mode, parsing, schema and grounding judge the answer. What a
server takes is what it does not refuse.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from extractor.backends.openai.grammar_dialect import Dialect, grammar_fields, takes
from extractor.backends.openai.replies import Refusal
from extractor.data import Json, Prompt
from extractor.task.answer_schema import answer_schema

log = logging.getLogger(__name__)

CAPABILITIES = ("grammar", "json_schema", "json_object", "none")
"""Ways to constrain an answer, the strictest first."""

_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "max_tokens": ("max_tokens", "max_completion_tokens", ""),
    "temperature": ("temperature", "", "temperature=1"),  # some take no other value, and some insist on that
    "seed": ("seed", ""),
    "logprobs": ("logprobs", ""),
}
"""What is sent for a parameter, and in its place after each refusal; nothing is sent for an empty name."""

_NAMES_STRUCTURE = re.compile(r"response_?format|json|schema|structured|guided|grammar|strict", re.IGNORECASE)
_SPELLINGS = {"logprobs": r"log_?probs?|log.probabilit"}


@dataclass(frozen=True, slots=True)
class RequestMode:
    """How a request is made: the capability that it uses, and the parameters that were refused, each as often.

    `dialect` is the notation of a grammar."""

    capability: str
    refused: tuple[str, ...] = ()
    dialect: Dialect = ""

    def fields(self, prompt: Prompt) -> Mapping[str, Json]:
        """Return what the mode adds to the messages of a request."""
        limit, temperature = prompt.max_tokens, prompt.sampling.temperature
        values = {
            **{"max_tokens": limit, "max_completion_tokens": limit, "temperature": temperature, "temperature=1": 1},
            **{"seed": prompt.sampling.seed, "logprobs": True},
        }
        sent = {name.partition("=")[0]: values[name] for name in map(self.sent, _PARAMETERS) if name}
        return {**sent, **self._structure(prompt)}

    def sent(self, parameter: str) -> str:
        """Return what is sent for a parameter."""
        return _PARAMETERS[parameter][self.refused.count(parameter)]

    def without(self, parameter: str) -> RequestMode:
        """Return the mode after a refusal of a parameter."""
        return replace(self, refused=tuple(sorted((*self.refused, parameter))))

    def _structure(self, prompt: Prompt) -> Mapping[str, Json]:
        if self.capability == "grammar":
            return grammar_fields(self.dialect, prompt)
        if self.capability == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": answer_schema(prompt.task)}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        return {"response_format": {"type": "json_object"}} if self.capability == "json_object" else {}

    def find_refused(self, refusal: Refusal) -> str | None:
        """Return the parameter that a server complains about, in a member of its own or in words."""
        names = {
            (self.sent(parameter) or parameter).partition("=")[0]: parameter
            for parameter, choices in _PARAMETERS.items()
            if self.refused.count(parameter) + 1 < len(choices)
        }
        if refusal.param in names:
            return names[refusal.param]
        if _NAMES_STRUCTURE.search(refusal.param):
            return None  # a schema may have fields of these names
        return next((parameter for name, parameter in names.items() if _is_named(name, refusal.message)), None)


class ModeSelector:
    """The mode of the next request. What the server refuses is not asked for again, and that is logged.

    What it has accepted before, it refuses because of one prompt: then only that prompt falls back.
    """

    def __init__(self, dialect: Dialect) -> None:
        """Start with the best mode. `dialect` is the notation in which the server takes a grammar, if it does."""
        self._best = RequestMode("grammar" if dialect else "json_schema", dialect=dialect)
        self._accepted: set[RequestMode] = set()

    def for_prompt(self, prompt: Prompt) -> RequestMode:
        """Return the best mode for a prompt."""
        if not prompt.constrain:
            return replace(self._best, capability="none")
        too_long = self._best.capability == "grammar" and not takes(self._best.dialect, prompt)
        return replace(self._best, capability="json_schema") if too_long else self._best

    def accept(self, mode: RequestMode) -> None:
        """Note that the server has answered a request of this mode."""
        self._accepted.add(mode)

    def fallback(self, refused: RequestMode, refusal: Refusal) -> RequestMode | None:
        """Return the mode without what the server complains about; None if that cannot be left out."""
        parameter = refused.find_refused(refusal)
        if parameter is not None:
            weaker = refused.without(parameter)
            sent = refused.sent(parameter)
            self._fall_back(refused, weaker, f"does not take {sent}" if sent else f"insists on a {parameter}")
            return weaker
        if refused.capability == "none" or not _NAMES_STRUCTURE.search(f"{refusal.param} {refusal.message}"):
            return None
        weaker = replace(refused, capability=CAPABILITIES[CAPABILITIES.index(refused.capability) + 1])
        self._fall_back(refused, weaker, f"does not take {refused.capability}: using {weaker.capability}")
        return weaker

    def _fall_back(self, refused: RequestMode, weaker: RequestMode, why: str) -> None:
        """Begin with the weaker mode from now on, if the best was refused and never accepted."""
        if refused in self._accepted or refused not in (self._best, replace(self._best, capability="none")):
            return
        constrained = weaker.capability if refused == self._best else self._best.capability
        self._best = replace(weaker, capability=constrained)
        log.warning("The server %s. That is remembered for this run.", why)


def _is_named(parameter: str, message: str) -> bool:
    """Tell whether a message holds the parameter as a word; Chinese may stand beside it."""
    spelling = _SPELLINGS.get(parameter, re.escape(parameter))
    return re.search(rf"(?<![A-Za-z_])({spelling})(?![A-Za-z_])", message, re.IGNORECASE) is not None
