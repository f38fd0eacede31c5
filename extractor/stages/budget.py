"""How the context of the model is divided: tokens of an answer, of a chunk, of the overlap, and groups of fields.

    context = instructions + chunk + answer (+ another answer: what earlier passes found)

All of it is decided before the first document is read, and none of it depends on one. This module renders no prompt:
the size of the instructions is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from extractor.config import RunConfig
from extractor.data import Backend
from extractor.errors import UsageError
from extractor.task import field_groups
from extractor.task.task import Task

MIN_CHUNK = 32
"""Tokens: a prompt that leaves less room for the document is refused."""

MIN_OVERLAP = 64
"""Tokens: the overlap of neighbouring chunks, where the values of the schema need no more."""

MAX_OVERLAP_SHARE = 4
"""The overlap is at most a quarter of a chunk."""

ANSWER_SHARE = 8
MOST_CHARACTERS = 16
"""Characters of a token at most, as answers go."""
MIN_ANSWER, MAX_ANSWER = 256, 1024
"""Tokens: without `max_tokens` an answer gets an eighth of the context within these bounds."""


@dataclass(frozen=True)
class Budget:
    """Tokens for one task on one backend. `instructions` counts those of a task's prompt without a document."""

    task: Task
    config: RunConfig
    backend: Backend
    instructions: Callable[[Task], int]

    @cached_property
    def answer(self) -> int:
        """Tokens of an answer."""
        share = self.backend.context // ANSWER_SHARE
        return self.config.max_tokens or max(MIN_ANSWER, min(MAX_ANSWER, share))

    @cached_property
    def groups(self) -> tuple[Task, ...]:
        """The task in as many groups of fields as it takes for each usual answer, and its instructions, to fit."""
        return field_groups.groups(self.task, self._fits)

    def tasks(self, chunks: int) -> tuple[Task, ...]:
        """Return what is asked about each of so many chunks: the whole task if there is one chunk and one group."""
        return self.groups if chunks > 1 or len(self.groups) > 1 else (self.task,)

    @cached_property
    def chunk(self) -> int:
        """Tokens of a chunk: what the context leaves beside the instructions, the answer and what was found before.

        Raises UsageError where that leaves no room for text.
        """
        context = self.backend.context
        instructions = max(map(self.instructions, self.groups))
        answers = self.answer * min(self.config.passes, 2)
        left = context - instructions - answers
        if left < MIN_CHUNK:
            raise UsageError(
                f"The model reads {context} tokens; the prompt without a document takes {instructions} "
                f"and the answer {answers}: no room for text. Use fewer fields or a smaller --max-tokens."
            )
        return left

    @cached_property
    def overlap(self) -> int:
        """Tokens that neighbouring chunks share at most: twice the longest value, or `config.overlap`.

        Twice, because an overlap holds at least half of its tokens (`chunking.split`).
        """
        overlap = self.config.overlap
        if overlap is None:
            overlap = max(MIN_OVERLAP, 2 * field_groups.longest_value(self.task))
        return min(overlap, self.chunk // MAX_OVERLAP_SHARE)

    def _fits(self, task: Task) -> bool:
        """Tell whether one answer holds what a task asks for, and the instructions take half of the rest at most."""
        usual = self.backend.count_tokens(field_groups.usual_answer(task, self.answer * MOST_CHARACTERS))
        return usual <= self.answer and self.instructions(task) <= (self.backend.context - self.answer) // 2
