"""Tokens as an engine names them, aligned with the text that they spell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_PART = "\N{REPLACEMENT CHARACTER}"

Pieces = tuple[tuple[str, float], ...]


def align_tokens(text: str, tokens: Iterable[tuple[str, float]]) -> Pieces:
    """Return each token as the piece of the text that it stands for, with its log-probability; none if they do not fit.

    An engine may leave out the space that a token begins with, and write U+FFFD for a part of a character: what is
    missing goes to the next token. It may also cut the text, and not the tokens: a fence, or what was thought first.
    """
    known = tuple(tokens)
    return _from_start(text, known) or _within(text, known)


def _from_start(text: str, tokens: Sequence[tuple[str, float]]) -> Pieces:
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
    return () if text[place:].strip() else tuple(pieces)


def _within(text: str, tokens: Sequence[tuple[str, float]]) -> Pieces:
    """Return the tokens of the last place where they spell the text; the first and the last may be cut."""
    answer = text.strip()
    start = "".join(token for token, _ in tokens).rfind(answer) if answer else -1
    if start < 0:
        return ()
    end = start + len(answer)
    pieces: list[tuple[str, float]] = []
    place = 0
    for token, logprob in tokens:
        before, place = place, place + len(token)
        if place > start or before >= start:  # also a token that is a part of a character, and spells nothing
            pieces.append((token[max(start - before, 0) : end - before], logprob))
        if place >= end:
            break
    return tuple(pieces)
