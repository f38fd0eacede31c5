"""What a contender is given and what it gives back, as JSON between two processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One question: the document, the name or path of the prompt around it, and both as token ids."""

    text: str
    prompt: str
    ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be answered, by which model.

    `checkpoint` is in the original layout; `plain` holds the same weights as a GlmForCausalLM folder. `warm` are
    questions to begin with, of another prefix than those of `items`, so that nothing of these is known before.
    `free_tokens` bounds answers without a constraint, `answer_tokens` those with `schema`. Ours works on `batch`
    prompts together (None: on as many as a run does).
    """

    checkpoint: str
    plain: str
    precision: str
    items: Sequence[Item]
    warm: Sequence[Item]
    schema: Mapping[str, Any]
    free_tokens: int
    answer_tokens: int
    batch: int | None = None

    @classmethod
    def read(cls, path: Path) -> Job:
        content = json.loads(path.read_text("utf-8"))
        for part in ("items", "warm"):
            content[part] = [Item(**item) for item in content[part]]
        return cls(**content)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), "utf-8")

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(item.ids) for item in (*self.items, *self.warm))


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens read and written (those that end an answer as well), the text, and seconds since the asking began.

    `seconds` is None where an engine gives everything at once.
    """

    prompt_tokens: int
    tokens: int
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One contender, one round. `ready` are seconds from the start of the process to the end of loading, `first` from
    asking to the first answer; `peak` are bytes of memory, `device_peak` of a GPU's; `objects` counts the answers that
    are JSON objects. `others` is the share of the processors' time that other processes had meanwhile: where that is
    not near 0, the round says little.
    """

    documents: int
    seconds: float
    ready: float
    first: float | None
    others: float
    peak: int
    prompt_tokens: int
    tokens: int
    objects: int
    device_peak: int = 0

    @classmethod
    def read(cls, path: Path) -> Report:
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")
