"""What a server sends, checked: the one place where its replies are read. All others see frozen, plain values.

A server may send anything: no shape, size or depth of a body raises here.
"""

from __future__ import annotations

import codecs
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypeVar

from extractor.backends.openai.bounded_client import LONGEST_BODY
from extractor.backends.openai.credentials import quote
from extractor.data import Json

log = logging.getLogger(__name__)

T = TypeVar("T")
Finish = Literal["stop", "length", "overflow", "error"]

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop", "length": "length", "eos_token": "stop", "stop_sequence": "stop"
}  # fmt: skip
_REASON = re.compile(r"[\w-]{1,40}", re.ASCII)  # a finish_reason that may be shown: it cannot quote a document
_ROUNDING = 0.01  # above 0, of a log-probability
_MOST_TOKENS = 10**9  # of a count that is believed
_SPECIAL_TOKENS = 16  # that a tokenizer may add to those of a text
_LONGEST_MESSAGE = 2_000
_NO_FUNDS_CODES = re.compile(
    r"insufficient_quota|insufficient_balance|exceeded_current_quota|billing|arrear", re.IGNORECASE
)
_NO_FUNDS = re.compile(
    r"insufficient.{0,20}(quota|balance|credit|fund)|(quota|balance|credits?|funds?) (is |are )?(insufficient|exhaust)"
    r"|exceeded your current quota|(out of|not enough) (credit|fund)|余额不足|欠费",
    re.IGNORECASE,
)
_LONGEST_WAIT = 86_400.0
_ADDRESS = "check --base-url, which ends in /v1 with most servers"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that is not JSON: what it is instead."""

    what: str


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as its server lists it. `context` is None where the server does not say; `owner` names what serves it."""

    name: str
    context: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """What llama.cpp wrote after a prompt, and the grammar that it says it kept to."""

    text: str
    grammar: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The first choice of a chat completion, or (`error`, `overflow`) why there is none: `detail` says it.

    `tokens` are what the server says that it wrote, with their log-probabilities: all of them finite, or none.
    """

    text: str = ""
    finish: Finish = "error"
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply whose status is not 2xx. `message` is what the server says, safe to show; `param` what it is about.

    `retry_after` are the seconds that it asks to wait (0 where it does not), `tries` how often it was asked.
    """

    status: int
    message: str = ""
    param: str = ""
    no_funds: bool = False
    location: str = ""
    retry_after: float = 0.0
    tries: int = 1


def read_json(body: bytes) -> Json | Unreadable:
    """Return the value of a JSON body."""
    if len(body) > LONGEST_BODY:
        return Unreadable(f"more than {LONGEST_BODY >> 20} MiB")
    if _is_page(body):
        return Unreadable("a web page")
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Unreadable("not JSON in UTF-8")


def read_models(body: bytes) -> tuple[ServedModel, ...] | Unreadable:
    """Return the models of a listing; those without a name that can be asked for are left out."""
    listing = read_json(body)
    if isinstance(listing, Unreadable):
        return listing
    entries = listing if isinstance(listing, list) else _get(listing, "data", list)
    return tuple(_model(entry) for entry in entries or () if _is_name(_get(entry, "id", str)))


def read_count(body: bytes, key: str, text: str) -> int | None:
    """Return the tokens that a text takes, from a number or a list of tokens; None for one that cannot be."""
    reply = read_json(body)
    count = _get(reply, key, int)
    if count is None and (tokens := _get(reply, key, list)) is not None:
        count = len(tokens)
    most = len(text.encode("utf-8", "replace")) + _SPECIAL_TOKENS
    return count if count is not None and bool(text) <= count <= most else None


def read_completion(body: bytes) -> Completed | None:
    """Return a completion in llama.cpp's own protocol; None where it is none."""
    reply = read_json(body)
    text = _get(reply, "content", str)
    grammar = _get(_get(reply, "generation_settings", dict), "grammar", str)
    return None if text is None else Completed(text, grammar or "")


def read_answer(body: bytes, longest: int = LONGEST_BODY) -> Answer:
    """Return the answer of a chat completion; one of more than `longest` characters is an error."""
    reply = read_json(body)
    if isinstance(reply, Unreadable):
        return Answer(detail=f"the server's reply is {reply.what} in place of a chat completion: {_ADDRESS}")
    choice = _first(_get(reply, "choices", list))
    message = _get(choice, "message", dict)
    if message is None:
        return Answer(detail=_no_choice(reply))
    usage = _get(reply, "usage", dict)
    prompt_tokens, completion_tokens = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    finish, detail = _finish(choice, message, longest)
    if finish == "error":
        return Answer("", finish, detail, prompt_tokens, completion_tokens)
    return Answer(_content(message) or "", finish, "", prompt_tokens, completion_tokens, _logprobs(choice))


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, tries: int = 1) -> Refusal:
    """Return what a reply with another status than 2xx says."""
    reply = read_json(body)
    message = _message(reply) or ("" if _is_page(body) else body[:_LONGEST_MESSAGE].decode("utf-8", "replace"))
    asked = headers.get("retry-after", "")
    return Refusal(
        status,
        quote(message, _LONGEST_MESSAGE),
        _get(_error(reply), "param", str) or "",
        no_funds=_is_out_of_funds(status, _error(reply), message, waits=bool(asked)),
        location=quote(headers.get("location", "")) if 300 <= status < 400 else "",
        retry_after=min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else 0.0,
        tries=tries,
    )


def _get(value: object, key: str, kind: type[T]) -> T | None:
    """Return the member of an object, if there is one of that type."""
    member = value.get(key) if isinstance(value, dict) else None
    return member if isinstance(member, kind) and not isinstance(member, bool) else None


def _is_page(body: bytes) -> bool:
    return body[:1_000].lstrip().startswith(b"<")


def _first(values: list[Json] | None) -> Json:
    return values[0] if values else None


def _is_name(name: str | None) -> bool:
    """Tell whether a name of a model can be sent: lone surrogates cannot."""
    return bool(name) and name is not None and name == name.encode("utf-8", "replace").decode("utf-8")


def _model(entry: Json) -> ServedModel:
    lengths = (_get(entry, "max_model_len", int), _get(_get(entry, "meta", dict), "n_ctx", int))
    believed = [length for length in lengths if length is not None and 0 < length <= _MOST_TOKENS]
    return ServedModel(
        _get(entry, "id", str) or "", believed[0] if believed else None, _get(entry, "owned_by", str) or ""
    )


def _no_choice(reply: Json) -> str:
    if _get(reply, "error", dict) or _get(reply, "error", str):
        log.info("The server says: %s", quote(_message(reply)))
        return "the server reports an error in place of an answer (-v says more)"
    return f"the server's reply is not a chat completion: {_ADDRESS}"


def _finish(choice: Json, message: Mapping[str, Json], longest: int) -> tuple[Finish, str]:
    """Return how an answer ended; with a detail where there is none."""
    reason = choice.get("finish_reason") if isinstance(choice, dict) else None
    finish = _FINISHES.get(reason.lower()) if isinstance(reason, str) else "stop" if reason is None else None
    if finish is None:
        named = reason if isinstance(reason, str) and _REASON.fullmatch(reason) else "a reason without a name"
        return "error", f"the server ended the answer: {named}"
    content = _content(message)
    if content is None and message.get("content") is not None:
        return "error", f"the server's reply is a message without text: {_ADDRESS}"
    if content is not None and len(content) > longest:
        return "error", f"the server's answer has {len(content)} characters, far more than the tokens asked for"
    return (finish, "") if content or finish == "length" else _without_content(message)


def _without_content(message: Mapping[str, Json]) -> tuple[Finish, str]:
    """Return how an empty answer ended: what the model thought or declined is not an answer."""
    if _get(message, "reasoning_content", str) or _get(message, "reasoning", str):
        return (
            "error",
            "the server sent reasoning and no answer: serve the model without thinking, or raise --max-tokens",
        )
    if _get(message, "refusal", str):
        return "error", "the model declined to answer"
    return "stop", ""


def _content(message: Mapping[str, Json]) -> str | None:
    """Return the text of a message, which may come in parts; None where it has none."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [_get(part, "text", str) for part in content if _get(part, "type", str) == "text"]
        return "".join(filter(None, texts)) if texts else None
    return content if isinstance(content, str) else None


def _tokens(usage: Mapping[str, Json] | None, key: str) -> int:
    """Return a number of tokens; 0 for one that cannot be."""
    count = _get(usage, key, int)
    return count if count is not None and 0 <= count <= _MOST_TOKENS else 0


def _logprobs(choice: Json) -> tuple[tuple[str, float], ...]:
    """Return the tokens and their log-probabilities; none at all if one of them is not such a pair."""
    entries = _get(_get(choice, "logprobs", dict), "content", list) or []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pairs = [(_spelled(entry, decoder), _logprob(entry)) for entry in entries]
    good = [(token, logprob) for token, logprob in pairs if token is not None and logprob is not None]
    return tuple(good) if len(good) == len(pairs) else ()


def _spelled(entry: Json, decoder: codecs.IncrementalDecoder) -> str | None:
    """Return the characters of a token; one in several tokens goes to the last of them."""
    parts = _get(entry, "bytes", list)
    if parts is None:
        return _get(entry, "token", str)
    return decoder.decode(bytes(parts)) if all(_is_byte(part) for part in parts) else None


def _is_byte(value: Json) -> bool:
    return isinstance(value, int) and 0 <= value < 256


def _logprob(entry: Json) -> float | None:
    """Return a finite number that is at most 0, give or take rounding."""
    value = _get(entry, "logprob", float)
    if value is None:
        whole = _get(entry, "logprob", int)
        value = None if whole is None or whole > 0 else float(max(whole, -_MOST_TOKENS))
    return min(value, 0.0) if value is not None and math.isfinite(value) and value < _ROUNDING else None


def _error(reply: Json | Unreadable) -> Json:
    """Return what describes an error: a member of that name, or all of the reply."""
    if isinstance(reply, Unreadable):
        return None
    return reply.get("error") or reply if isinstance(reply, dict) else reply


def _message(reply: Json | Unreadable) -> str:
    """Return what an error says: the message of the protocol, or what other servers write in its place."""
    error = _error(reply)
    for value in (_get(error, "message", str), error, _get(reply, "message", str), _get(reply, "detail", str)):
        if isinstance(value, str) and value:
            return value
    return "; ".join(_details(_get(reply, "detail", list) or ()))


def _details(entries: Iterable[Json]) -> Iterator[str]:
    """Yield the places and complaints of a validation; not its inputs, which may be whole requests."""
    for entry in entries:
        place = [part for part in _get(entry, "loc", list) or () if isinstance(part, str)]
        yield f"{'.'.join(place)}: {_get(entry, 'msg', str) or ''}"


def _is_out_of_funds(status: int, error: Json, message: str, *, waits: bool) -> bool:
    """Tell whether no request will be answered until somebody pays; a rate limit says how long to wait instead."""
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return True
    named = any(_NO_FUNDS_CODES.search(_get(error, key, str) or "") for key in ("code", "type"))
    limited = status in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS) and not waits
    return named or (limited and _NO_FUNDS.search(message) is not None)
