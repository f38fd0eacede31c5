"""A model's own chat template, which a stranger wrote: rendered once for each shape of a chat, without its text.

A template is a program. It is rendered in a process of its own (`task.rendering`) with limits of time and memory, and
with marks in the place of the contents: these never reach it, so they can neither forge a role nor cost anything. This
module knows no tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from extractor.chatglm3.config_file import read_config
from extractor.data import Message
from extractor.errors import CheckpointError, UsageError
from extractor.task import rendering

TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"

GLM4_TEMPLATE = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message.role }}|>{{ message.metadata or '' }}\n{{ message.content }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The chat format of GLM-4, for folders that hold no template."""

_MARKED = re.compile("\ufde0([0-9]+)\ufde1")
"""What stands for a content: its number between two of Unicode's noncharacters."""

_MAX_BYTES = 1024**2
_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a rendered prompt: of the template, or (`content`) of a message."""

    text: str
    content: bool


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Jinja2 source of a prompt; `variables` are the special tokens that a template may name."""

    path: Path
    source: str
    variables: tuple[tuple[str, str], ...] = ()

    def render(self, messages: Sequence[Message]) -> list[Part]:
        """Return a prompt with the assistant's turn opened. Raises CheckpointError for a template that fails."""
        shape, contents = _marked(messages)
        return [
            Part(contents[int(piece)], True) if number % 2 else Part(piece, False)
            for number, piece in enumerate(_MARKED.split(self._rendered(shape, len(contents))))
            if piece
        ]

    def _rendered(self, shape: str, count: int) -> str:
        text = _render(self.path, self.source, self.variables, shape)
        found = sorted(map(int, _MARKED.findall(text)))
        if found != list(range(count)):
            raise CheckpointError(
                f"{self.path}: the chat template does not show each message once, as it is: use a model with a plain "
                "one, or serve it and use --backend openai"
            )
        return text


def read_template(folder: Path) -> ChatTemplate:
    """Return the chat template of a folder, GLM-4's where it has none."""
    settings = read_config(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    variables = tuple((name, text) for name in _SPECIAL_NAMES if (text := _token_text(settings.get(name))))
    path = folder / TEMPLATE_FILE
    if path.is_file():
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(f"{path} is longer than any chat template: download or copy it again")
        return ChatTemplate(path, path.read_text("utf-8", "replace"), variables)
    return ChatTemplate(folder / TOKENIZER_CONFIG, _default(settings.get("chat_template")) or GLM4_TEMPLATE, variables)


def _token_text(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _default(given: Any) -> str | None:
    """Return the template of a tokenizer's settings, of several the one named `default`."""
    if isinstance(given, list):
        named = {each.get("name"): each.get("template") for each in given if isinstance(each, dict)}
        given = named.get("default")
    return given if isinstance(given, str) else None


def _marked(messages: Sequence[Message]) -> tuple[str, list[str]]:
    """Return the messages as JSON with a mark for each content, and the contents by the numbers of their marks."""
    contents: list[str] = []

    def mark(text: str) -> str:
        if not text:
            return ""
        contents.append(text)
        return f"\ufde0{len(contents) - 1}\ufde1"

    turns: list[Mapping[str, str]] = []
    for message in messages:
        if message.tools:
            raise UsageError("tools are read by ChatGLM3 alone: leave them out, or use chatglm3-6b")
        metadata = {"metadata": mark(message.metadata)} if message.metadata else {}
        turns.append({"role": message.role, **metadata, "content": mark(message.content)})
    return json.dumps(turns), contents


@lru_cache(maxsize=256)
def _render(path: Path, source: str, variables: tuple[tuple[str, str], ...], shape: str) -> str:
    more = {"messages": json.loads(shape), "add_generation_prompt": True, "tools": None}
    try:
        return rendering.render_chat(source, {**dict(variables), **more})
    except rendering.RenderError as error:
        raise CheckpointError(f"{path}: the chat template {error}; use a model with a plain one") from error
