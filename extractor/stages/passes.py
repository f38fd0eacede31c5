"""Further passes over a chunk: asking once more for what is missing, as long as the last pass found something new.

This module does not know how extractions are merged: that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from extractor.data import Extraction, Json, Outcome, Prompt

MergeData = Callable[[Sequence[Extraction]], Mapping[str, Json]]
"""The data that several extractions of a chunk come to."""


def after(outcome: Outcome, passes: int, max_tokens: int, merge_data: MergeData) -> tuple[Prompt, ...]:
    """Return the draft of the next pass over a chunk, of at most `passes`; its answer may take `max_tokens`.

    None after a rejection, after the last pass, or where the last pass found nothing new.
    """
    if not isinstance(outcome, Extraction):
        return ()
    prompt = outcome.completion.prompt
    found = (*prompt.found, outcome)
    if len(found) >= passes:
        return ()
    known = merge_data(found)
    if prompt.found and known == prompt.known:
        return ()
    task = prompt.task.as_part()  # what earlier passes found need not be found again: nothing is required
    return (replace(prompt, messages=(), task=task, max_tokens=max_tokens, rejected=(), found=found, known=known),)
