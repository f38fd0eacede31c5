"""In which notation a server takes a grammar for an answer, as it shows itself.

vLLM says its name. llama.cpp does, too, and shows what it makes of a JSON Schema: rules of llguidance, where it was
built with that, else GBNF. Since it ignores a grammar of llguidance that it cannot read, and one built without ends
over it, a small grammar is tried first, in the notation that it has shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import urljoin

from extractor.backends.openai.connection import Connection, Reply, Request
from extractor.backends.openai.replies import Completed, read_completion
from extractor.backends.openai.server import START_LIMIT
from extractor.config import ServerConfig
from extractor.data import Json, Prompt
from extractor.task.answer_gbnf import MOST_CHARACTERS, gbnf
from extractor.task.answer_grammar import ANY_LEAD, grammar

Dialect = Literal["vllm", "llguidance", "gbnf", ""]
"""`vllm`: llguidance under a name of vLLM's; the others are what llama.cpp calls `grammar`; none: no grammar."""

_LLGUIDANCE = "%llguidance"
_TRIED = '{"a": "b c"}'
_TRIALS: Mapping[Dialect, str] = {
    "llguidance": f"{_LLGUIDANCE} {{}}\n"
    + r"""start: "{\"a\": " A "}"
A: "\"" (T & /.{3}/) "\""
T: %regex {"substring_chunks": ["b", " ", "c"]}
""",
    "gbnf": 'root ::= "{" a "}"\na ::= "\\"a\\": \\"b c\\""\n',
}
"""Grammars, in all of what ours use, that accept one text."""


def find_dialect(connection: Connection, config: ServerConfig, owner: str) -> Dialect:
    """Return the notation that a server takes; `owner` is what it says that serves the model."""
    if owner != "llamacpp":
        return "vllm" if owner == "vllm" else ""
    shown = _complete(connection, config, {"n_predict": 1, "json_schema": {"type": "object"}})
    if shown is None or not shown.grammar:
        return ""
    dialect: Dialect = "llguidance" if shown.grammar.startswith(_LLGUIDANCE) else "gbnf"
    trial = {"n_predict": 32, "temperature": 0, "grammar": _TRIALS[dialect]}
    kept = _complete(connection, config, trial)
    return dialect if kept is not None and kept.text.strip() == _TRIED else ""


def takes(dialect: Dialect, prompt: Prompt) -> bool:
    """Tell whether the grammar for a prompt can be sent."""
    return bool(dialect) and (dialect != "gbnf" or len(prompt.chunk.text) <= MOST_CHARACTERS)


def grammar_fields(dialect: Dialect, prompt: Prompt) -> Mapping[str, Json]:
    """Return the fields of a request that confine its answer to schema and document."""
    if dialect == "gbnf":
        return {"grammar": gbnf(prompt.task, prompt.chunk.text)}
    source = grammar(prompt.task, prompt.chunk.text, lead=ANY_LEAD)
    if dialect == "llguidance":
        return {"grammar": f"{_LLGUIDANCE} {{}}\n{source}"}
    return {"structured_outputs": {"grammar": source}}


def _complete(connection: Connection, config: ServerConfig, fields: Mapping[str, Json]) -> Completed | None:
    limit = min(START_LIMIT, config.timeout) / 2
    body = {"prompt": "1", **fields}
    reply = connection.ask(Request(urljoin(connection.base_url, "../completion"), limit, 1, limit, body))
    return read_completion(reply.body) if isinstance(reply, Reply) else None
