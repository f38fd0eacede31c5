"""Tokens as an engine names them, aligned with the text that they spell."""

from __future__ import annotations

from collections.abc import Iterable

_PART = "\N{REPLACEMENT CHARACTER}"


def align_tokens(text: str, tokens: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return each token as the piece of the text that it stands for, with its log-probability; none if they do not fit.

    An engine may leave out the space that a token begins with, and write U+FFFD for a part of a character: what is
    missing goes to the next token.
    """
    pieces: list[tuple[str, float]] = []
    place = unknown = 0
    for token, logprob in tokens:
        if place == len(text):
            break
        at = text.find(token, place)
        if at >= 0 and len(text[place:at].strip()) <= unknown:
            pieces.append((text[place : at + len(token)], logprob))
            place, unknown = at + len(token), 0
        elif set(token) == {_PART}:
            pieces.append(("", logprob))
            unknown += 1
        else:
            return ()
    return tuple(pieces)
