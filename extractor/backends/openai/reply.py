"""A server's reply as a Completion: its text, why it ended, tokens, usage."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Literal

from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice

from extractor.backends._support.align_tokens import align_tokens
from extractor.data import Completion, Prompt, Usage

_FINISHES: Mapping[str | None, Literal["stop", "length"]] = {
    "stop": "stop", "length": "length", None: "stop", "eos_token": "stop", "stop_sequence": "stop"
}  # fmt: skip


def read_reply(prompt: Prompt, reply: object, seconds: float, decoding: str) -> Completion:
    """Return the first choice of a reply. A reply of another kind, or one that the server broke off, is an `error`."""
    choice = _choice(reply)
    if choice is None or not isinstance(reply, ChatCompletion):
        detail = "the server's reply is not a chat completion: check --base-url, which ends in /v1 with most servers"
        return Completion(prompt, "", "error", Usage(seconds=seconds), detail=detail, decoding=decoding)
    usage = _usage(reply, seconds)
    finish = _FINISHES.get(choice.finish_reason)
    if finish is None:
        detail = f"the server ended the answer: {choice.finish_reason}"
        return Completion(prompt, "", "error", usage, detail=detail, decoding=decoding)
    written = choice.message.content or ""
    return Completion(prompt, written.strip(), finish, usage, align_tokens(written, _tokens(choice)), decoding=decoding)


def _choice(reply: object) -> Choice | None:
    """Return the first choice, if it is one of a chat: the client passes on whatever a server sends."""
    choices = reply.choices if isinstance(reply, ChatCompletion) else None
    message = choices[0].message if choices else None
    is_chat = isinstance(message, ChatCompletionMessage) and isinstance(message.content, str | None)
    return choices[0] if choices and is_chat else None


def _usage(reply: ChatCompletion, seconds: float) -> Usage:
    if reply.usage is None:
        return Usage(seconds=seconds)
    return Usage(reply.usage.prompt_tokens or 0, reply.usage.completion_tokens or 0, seconds)


def _tokens(choice: Choice) -> Iterator[tuple[str, float]]:
    """Yield tokens and their log-probabilities; a character in several tokens goes to the last of them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in (choice.logprobs and choice.logprobs.content) or ():
        yield (token.token if token.bytes is None else decoder.decode(bytes(token.bytes))), token.logprob
