"""How the context of the model is divided: tokens of an answer, of a chunk, of the overlap, and groups of fields.

All of it is decided before the first document is read, and none of it depends on one. This module renders no prompt
and counts no tokens itself: both are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from extractor.config import RunConfig
from extractor.errors import UsageError
from extractor.task import field_groups
from extractor.task.task import Task

MIN_CHUNK = 32
"""Tokens: a prompt that leaves less room for the document is refused."""

MIN_OVERLAP = 64
"""Tokens that neighbouring chunks share at most, where the schema asks for no more."""

ANSWER_SHARE = 8
MIN_ANSWER, MAX_ANSWER = 256, 1024
"""An answer gets an eighth of the context within these bounds, where nothing is asked for."""


@dataclass(frozen=True)
class Budget:
    """Tokens for one task on one backend. `instructions` tells the tokens of a task's prompt without a document."""

    task: Task
    config: RunConfig
    context: int
    count_tokens: Callable[[str], int]
    instructions: Callable[[Task], int]

    @cached_property
    def answer(self) -> int:
        """Tokens of an answer."""
        return self.config.max_tokens or max(MIN_ANSWER, min(MAX_ANSWER, self.context // ANSWER_SHARE))

    @cached_property
    def groups(self) -> tuple[Task, ...]:
        """The task in as many groups of fields as it takes for each usual answer, and its instructions, to fit."""
        return field_groups.groups(self.task, self._fits)

    def tasks(self, chunks: int) -> tuple[Task, ...]:
        """Return what is asked about each of so many chunks: the whole task where one answer is about all."""
        return self.groups if chunks > 1 or len(self.groups) > 1 else (self.task,)

    @cached_property
    def chunk(self) -> int:
        """Tokens of a chunk: what the context leaves beside the instructions, the answer and what was found before.

        Raises UsageError where that is no room for text.
        """
        instructions = max(map(self.instructions, self.groups))
        answers = self.answer * min(self.config.passes, 2)
        left = self.context - instructions - answers
        if left < MIN_CHUNK:
            raise UsageError(
                f"The model reads {self.context} tokens; the prompt without a document takes {instructions} "
                f"and the answer {answers}: no room for text. Use fewer fields or a smaller --max-tokens."
            )
        return left

    @cached_property
    def overlap(self) -> int:
        """Tokens that neighbouring chunks share at most: twice the longest value, or what is asked for."""
        wanted = self.config.overlap
        if wanted is None:
            wanted = max(MIN_OVERLAP, 2 * field_groups.longest_value(self.task))
        return min(wanted, self.chunk // 4)

    def _fits(self, task: Task) -> bool:
        """Tell whether one answer holds what a task asks for, and the instructions take half of the rest at most."""
        usual = self.count_tokens(field_groups.usual_answer(task))
        return usual <= self.answer and self.instructions(task) <= (self.context - self.answer) // 2
