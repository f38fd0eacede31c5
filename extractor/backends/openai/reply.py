"""What a server sends becomes a Completion: its text, why it ended, tokens, usage."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Literal

from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice

from extractor.backends._support.align_tokens import spelled
from extractor.data import Completion, Prompt, Usage

_FINISHES: Mapping[str | None, Literal["stop", "length"]] = {
    "stop": "stop", "length": "length", None: "stop", "eos_token": "stop", "stop_sequence": "stop"
}  # fmt: skip


def completion(prompt: Prompt, reply: object, seconds: float, means: str) -> Completion:
    """The first choice of a reply. One that is none, or that ended before its time, is an `error`."""
    choice = _choice(reply)
    if choice is None or not isinstance(reply, ChatCompletion):
        detail = "the server's reply is no chat completion: check --base-url, which ends in /v1 with most servers"
        return Completion(prompt, "", "error", Usage(seconds=seconds), detail=detail, decoding=means)
    usage = _usage(reply, seconds)
    finish = _FINISHES.get(choice.finish_reason)
    if finish is None:
        detail = f"the server ended the answer: {choice.finish_reason}"
        return Completion(prompt, "", "error", usage, detail=detail, decoding=means)
    written = choice.message.content or ""
    return Completion(prompt, written.strip(), finish, usage, spelled(written, _tokens(choice)), decoding=means)


def _choice(reply: object) -> Choice | None:
    """The first choice, if it is one of a chat: the client hands on whatever a server sends."""
    choices = reply.choices if isinstance(reply, ChatCompletion) else None
    message = choices[0].message if choices else None
    is_chat = isinstance(message, ChatCompletionMessage) and isinstance(message.content, str | None)
    return choices[0] if choices and is_chat else None


def _usage(reply: ChatCompletion, seconds: float) -> Usage:
    if reply.usage is None:
        return Usage(seconds=seconds)
    return Usage(reply.usage.prompt_tokens or 0, reply.usage.completion_tokens or 0, seconds)


def _tokens(choice: Choice) -> Iterator[tuple[str, float]]:
    """Tokens and their log-probabilities; a character in several tokens goes to the last of them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in (choice.logprobs and choice.logprobs.content) or ():
        yield (token.token if token.bytes is None else decoder.decode(bytes(token.bytes))), token.logprob
