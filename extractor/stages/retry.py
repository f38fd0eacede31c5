"""The retry policy: what is asked after a rejected answer. A retry is just another prompt.

    rejected because ...                asked again
    parse, schema, ungrounded, error    the same question, with the last answer and its problems
    length (cut off)                    with twice the tokens; in halves of the chunk where these do not fit
    overflow (the prompt is too long)   in halves of the chunk

Each chunk is asked about at most `max_attempts` times, the attempts before it was halved among them. The prompts that
come back are drafts: rendering, and fitting the history into the context, is the business of `prompting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from extractor.data import Chunk, Prompt, Rejection


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`size` tells the tokens of a prompt without its answer, `context` those that the model takes in all, and `halve`
    cuts a chunk in two (or in none, when it is too short for that)."""

    max_attempts: int
    context: int
    size: Callable[[Prompt], int]
    halve: Callable[[Chunk], Sequence[Chunk]]

    def after(self, rejection: Rejection) -> tuple[Prompt, ...]:
        """Return the drafts that replace a rejected prompt; none when the rejection is final."""
        asked = rejection.completion.prompt
        if asked.attempt >= self.max_attempts:
            return ()
        again = replace(asked, messages=(), rejected=(*asked.rejected, rejection))
        if rejection.code == "overflow" or (rejection.code == "length" and not self._has_room(asked)):
            return tuple(replace(again, chunk=half, task=asked.task.as_part()) for half in self.halve(asked.chunk))
        if rejection.code == "length":
            return (replace(again, max_tokens=2 * asked.max_tokens),)
        return (again,)

    def _has_room(self, asked: Prompt) -> bool:
        """Tell whether twice the answer fits beside the prompt."""
        return self.size(asked) + 2 * asked.max_tokens <= self.context
