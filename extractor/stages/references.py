"""Stage 9: an answer in which a value refers to nothing (`x-ref`) is a Rejection, so that it is asked for again.

Only an answer about all of a document can be judged: in a part of one, or in a later pass, a value may name what
another answer has. What is left dangling in the end is for `merging` to withhold.
"""

from __future__ import annotations

from extractor.data import Extraction, Outcome, Rejection, carry_on
from extractor.task.references import dangling


def check(outcome: Outcome) -> Outcome:
    """Reject an extraction with dangling references; what it holds counts where no better answer comes."""
    return carry_on(outcome, _check)


def _check(extraction: Extraction) -> Outcome:
    prompt = extraction.completion.prompt
    if prompt.task.origin is not None or prompt.found:
        return extraction
    messages = [
        f"{pointer}: names no value of {target}" for pointer, target in dangling(prompt.task, extraction.data).items()
    ]
    return Rejection.of(extraction.completion, "reference", *messages, salvage=extraction) if messages else extraction
