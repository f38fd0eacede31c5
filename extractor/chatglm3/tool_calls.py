"""What the model wrote, as turns of a chat: plain text, or a tool call as parsed data. Nothing is evaluated.

An assistant's turn is a metadata line and the content. The line is empty for plain text; for a tool call it is the
tool's name, and the content is a Python call in a code fence: `tool_call(city='北京', days=3)`. This module knows
neither tokens nor torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from extractor.chatglm3.chat_format import Turn

Response = str | dict[str, Any]
"""Plain text, or a tool call `{"name", "parameters"}`, or other content for a tool `{"name", "content"}`."""

LONGEST_NAME = 64
"""A first line of more characters is not a tool's name, so the answer is text from its beginning."""

_NAME = re.compile(r"[ \t]*[\w.\-]{1,64}[ \t]*")
_FENCE = re.compile(r"```[^\n]*\n(.*?)\n?```", re.DOTALL)
_PLACEHOLDER, _TRAINED = "[[训练时间]]", "2023年"
"""The chat model writes the placeholder when asked for its training date; the original replaces it like this."""


def assistant_turn(text: str) -> Turn:
    """Split the text of an answer into the metadata line, if there is one, and the content."""
    line, newline, rest = text.partition("\n")
    if newline and not line.strip():
        return _text_turn(rest)
    if newline and is_tool_line(line):
        return {"role": "assistant", "metadata": line.strip(), "content": rest}
    return _text_turn(text)


def _text_turn(text: str) -> Turn:
    return {"role": "assistant", "metadata": "", "content": text.strip().replace(_PLACEHOLDER, _TRAINED)}


def is_tool_line(line: str) -> bool:
    """Tell whether the first line of an answer can be a tool's name: one word, at most 64 characters."""
    return _NAME.fullmatch(line) is not None


def response_of(turn: Mapping[str, Any]) -> Response:
    """Return what a caller gets for a turn: its text, or a tool's name with parameters (raw content if not a call)."""
    if not turn["metadata"]:
        return str(turn["content"])
    parameters = parse_tool_call(str(turn["content"]))
    if parameters is None:
        return {"name": turn["metadata"], "content": turn["content"]}
    return {"name": turn["metadata"], "parameters": parameters}


def parse_tool_call(content: str) -> dict[str, Any] | None:
    """Return the arguments of `tool_call(key=literal, ...)`, inside a code fence or bare; None for anything else.

    Only literals are read (text, numbers, booleans, None, lists, tuples, dicts, negative numbers); names, calls and
    operators are refused, and nothing is ever run.
    """
    fenced = _FENCE.search(content)
    try:
        tree = ast.parse((fenced.group(1) if fenced else content).strip(), mode="eval")
        return _call_arguments(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _call_arguments(node: ast.expr) -> dict[str, Any] | None:
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Name)
        or node.func.id != "tool_call"
        or node.args
    ):
        return None
    if any(keyword.arg is None for keyword in node.keywords):
        return None
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
