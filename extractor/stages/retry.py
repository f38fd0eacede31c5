"""The retry policy: what is asked after a rejected answer. A retry is just another prompt.

    rejected because ...                asked again
    parse, schema, ungrounded, error    the same, with the last answer and its problems
    required (a value is missing)       the same, once: asking again does not bring what the document has not
    reference (a value names nothing)   the same, once
    length (cut off)                    with twice the tokens; in halves of the chunk where these do not fit
    overflow (the prompt is too long)   in halves of the chunk
    numerics (NaN or infinity)          never: the model would compute the same
    internal (a bug)                    never

Each chunk is asked about at most `max_attempts` times, the attempts before it was halved among them. The prompts are
drafts: this module does not know how they are rendered, nor how an answer is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from extractor.data import Chunk, Outcome, Prompt, Rejection

MAX_ATTEMPTS_FOR_MISSING = 2
"""A greedy attempt that only lacks what the schema requires is repeated once."""

Fits = Callable[[Prompt], bool]
"""Whether a prompt and its answer fit the context of the model."""

Halve = Callable[[Chunk], Sequence[Chunk]]
"""A chunk in two; in none when it is too short for that."""


def after(outcome: Outcome, max_attempts: int, fits: Fits, halve: Halve) -> tuple[Prompt, ...]:
    """Return the drafts that replace a rejected prompt; none after an extraction, or when the rejection is final."""
    if not isinstance(outcome, Rejection) or outcome.completion.prompt.attempt >= max_attempts:
        return ()
    if outcome.code in ("numerics", "internal"):
        return ()
    rejected = outcome.completion.prompt
    only_missing = all(problem.code in ("required", "reference") for problem in outcome.problems)
    if only_missing and rejected.attempt >= MAX_ATTEMPTS_FOR_MISSING:
        return ()
    draft = replace(rejected, messages=(), rejected=(*rejected.rejected, outcome))
    longer = 2 * rejected.max_tokens
    if outcome.code == "length" and fits(replace(rejected, max_tokens=longer)):
        return (replace(draft, max_tokens=longer),)
    if outcome.code in ("length", "overflow"):
        return tuple(replace(draft, chunk=half, task=rejected.task.as_part()) for half in halve(rejected.chunk))
    return (draft,)
