"""ChatGLM3's prompt format: special tokens, roles, and what a turn consists of. Knows no ids and no torch.

    [gMASK] sop  <|role|> {metadata}\n {content and tools}  ...  <|assistant|>

A turn is the role's special token, a metadata line (a tool's name, usually empty) and the content, below which the
tools of a system turn are listed as JSON. `tokenizer.Tokenizer.chat_prompt` turns it into ids; `chat_template.jinja`
is the same format for transformers; `tool_calls` reads what the model writes in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from extractor.data import Message
from extractor.errors import UsageError

SPECIAL_TOKENS = (
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
)
"""The special tokens in the order of their ids, which follow the pieces of the SentencePiece model."""

PROMPT_START = ("[gMASK]", "sop")
ASSISTANT = "<|assistant|>"
"""Opens the answer; within an answer it opens the assistant's next turn."""

STOP_TOKENS = ("<|user|>", "<|observation|>")
"""Besides `</s>` these end an answer: the turn passes to the user or to a tool."""

ROLES = ("system", "user", "assistant", "observation")

TOOLS_SYSTEM = "Answer the following questions as best as you can. You have access to the following tools:"
"""The system content that ChatGLM3 was trained with for tools; used where tools are given without a system text."""

Turn = dict[str, Any]
"""One turn of a history: `{"role", "content", "metadata"?, "tools"?}`, as in the original."""

ChatMessage = Message | Mapping[str, Any]
"""A turn as a caller gives it: a `Message` or a dict with the keys of `Turn`."""


def as_message(message: ChatMessage) -> Message:
    """Return a `Message` for a message or a dict; UsageError says what is wrong with a dict."""
    if isinstance(message, Message):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise UsageError(f"a message has role {role!r}: use one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise UsageError(f"a {role} message has no text as its content: give a string")
    return Message(role, content, str(message.get("metadata") or ""), tuple(message.get("tools") or ()))


def format_turn(message: Message) -> tuple[str, str, str]:
    """Return the three parts of a turn: the role's special token, the metadata line, the content with its tools."""
    content = message.content
    if message.tools:
        content += "\n" + json.dumps([dict(tool) for tool in message.tools], indent=4, ensure_ascii=False)
    return f"<|{message.role}|>", f"{message.metadata}\n", content


def with_system(history: list[Turn], system: str | None, tools: Sequence[Mapping[str, Any]] | None) -> list[Turn]:
    """Return the history with its system turn replaced by `system` and `tools`; unchanged where neither is given."""
    if system is None and not tools:
        return history
    rest = history[1:] if history and history[0].get("role") == "system" else history
    turn: Turn = {"role": "system", "content": system if system is not None else TOOLS_SYSTEM}
    return [turn | ({"tools": list(tools)} if tools else {}), *rest]
