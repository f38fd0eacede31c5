"""Further passes over a chunk: asking once more for what is missing, as long as the last pass found something new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from extractor.data import Extraction, Json, Prompt

Unite = Callable[[Sequence[Extraction]], Mapping[str, Json]]
"""The data that several extractions of a chunk come to."""


@dataclass(frozen=True, slots=True)
class PassPolicy:
    """At most `passes` passes; an answer of a further one may take `max_tokens`."""

    passes: int
    max_tokens: int
    unite: Unite

    def after(self, extraction: Extraction) -> tuple[Prompt, ...]:
        """Return the draft of the next pass over a chunk; none after the last, or where the last found nothing new."""
        asked = extraction.completion.prompt
        found = (*asked.found, extraction)
        if len(found) >= self.passes:
            return ()
        known = self.unite(found)
        if asked.found and known == asked.known:
            return ()
        task = asked.task.as_part()
        return (
            replace(asked, messages=(), task=task, max_tokens=self.max_tokens, rejected=(), found=found, known=known),
        )
