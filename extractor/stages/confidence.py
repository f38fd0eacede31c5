"""Stage 6: each value of an Extraction gets a confidence, the probability of the value as the model wrote it.

It needs the log-probabilities of a completion whose text is the JSON that was parsed: an answer that had to be repaired
gets none. Of six definitions that were measured this one is kept (`docs/grounding-and-confidence.md`). This module does
not know whether a value occurs in the document.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from extractor.data import Completion, Extraction, Outcome, Span, carry_on
from extractor.text.strict_json import STRICT, value_ranges


def score(outcome: Outcome) -> Outcome:
    """Give an extraction, or what a rejection would leave of one, the confidence of its values."""
    return carry_on(outcome, _score)


def _score(extraction: Extraction) -> Extraction:
    if extraction.parsed != STRICT:
        return extraction
    return replace(extraction, confidence=confidence(extraction.completion))


def confidence(completion: Completion) -> Mapping[str, float]:
    """Return the confidence of each value in 0..1, by JSON Pointer: the product over the tokens that overlap it.

    A token's probability is that among the tokens which the constraint allowed there, so 1 where it was forced. The
    quotes of a string belong to it: the opening one is the decision that there is a value and not null, the closing
    one that it ends there. Empty where the backend gave no log-probabilities, or they do not make up the answer.
    """
    tokens = list(_token_ranges(completion))
    ranges = value_ranges(completion.text) if tokens else {}
    result: dict[str, float] = {}
    # Values and tokens both come in the order of the text, so one sweep over the tokens does for all values. A token
    # may overlap two values (`",`), so the next value begins again at the first token that ends after its start.
    first = 0
    for pointer, (start, end) in ranges.items():
        while first < len(tokens) and tokens[first][0][1] <= start:
            first += 1
        overlapping = first
        total = 0.0
        while overlapping < len(tokens) and tokens[overlapping][0][0] < end:
            total += tokens[overlapping][1]
            overlapping += 1
        if overlapping > first:
            result[pointer] = round(min(1.0, math.exp(total)), 4)
    return result


def _token_ranges(completion: Completion) -> Iterator[tuple[Span, float]]:
    """Yield the characters of the answer that each token stands for; nothing if the tokens do not make up the answer.

    Nor if a log-probability is not a number, as a server may say.

    Tokens before the answer (the model opens its turn with a line break) have negative offsets.
    """
    text = "".join(piece for piece, _ in completion.tokens)
    finite = all(math.isfinite(logprob) for _, logprob in completion.tokens)
    if completion.text not in text or not finite:
        return
    end = -text.index(completion.text)
    for piece, logprob in completion.tokens:
        start, end = end, end + len(piece)
        yield (start, end), logprob
