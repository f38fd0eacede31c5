"""What a server sends becomes a Completion: its text, why it ended, tokens, usage."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Literal

from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice

from extractor.types import Completion, Prompt, Usage

_PART = "\N{REPLACEMENT CHARACTER}"
_FINISHES: Mapping[str | None, Literal["stop", "length"]] = {
    "stop": "stop", "length": "length", None: "stop", "eos_token": "stop", "stop_sequence": "stop"
}  # fmt: skip


def completion(prompt: Prompt, reply: object, seconds: float, means: str) -> Completion:
    """The first choice of a reply. One that is none, or that ended before its time, is an `error`."""
    if not isinstance(reply, ChatCompletion) or not reply.choices:
        detail = "the server's reply is no chat completion: check --base-url, which ends in /v1 with most servers"
        return Completion(prompt, "", "error", Usage(seconds=seconds), detail=detail, means=means)
    choice = reply.choices[0]
    usage = _usage(reply, seconds)
    finish = _FINISHES.get(choice.finish_reason)
    if finish is None:
        detail = f"the server ended the answer: {choice.finish_reason}"
        return Completion(prompt, "", "error", usage, detail=detail, means=means)
    written = choice.message.content or ""
    return Completion(prompt, written.strip(), finish, usage, _tokens(choice, written), means=means)


def _usage(reply: ChatCompletion, seconds: float) -> Usage:
    if reply.usage is None:
        return Usage(seconds=seconds)
    return Usage(reply.usage.prompt_tokens or 0, reply.usage.completion_tokens or 0, seconds)


def _tokens(choice: Choice, text: str) -> tuple[tuple[str, float], ...]:
    """Tokens as pieces of the text with their log-probabilities; none where they do not spell it.

    A server may leave out the space that a token begins with, and write U+FFFD for a part of a character: what is
    missing goes to the next token.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces: list[tuple[str, float]] = []
    place = unknown = 0
    for token in (choice.logprobs and choice.logprobs.content) or ():
        piece = token.token if token.bytes is None else decoder.decode(bytes(token.bytes))
        at = text.find(piece, place)
        if place == len(text):
            break
        if at >= 0 and len(text[place:at].strip()) <= unknown:
            pieces.append((text[place : at + len(piece)], token.logprob))
            place, unknown = at + len(piece), 0
        elif set(piece) == {_PART}:
            pieces.append(("", token.logprob))
            unknown += 1
        else:
            return ()
    return tuple(pieces)
