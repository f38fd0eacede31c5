"""Prompt lookup: drafts for speculative decoding out of the prompt, because an extracted answer copies from it.

A draft token is what followed the last tokens of the answer where they occur in the prompt (prompt-lookup decoding,
n-gram speculation). A wrong one costs a row of a forward pass and changes nothing: what the model would have sampled is
what is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

Draft = Sequence[Sequence[int]]
"""Drafted tokens in parts: a draft token, followed by those that the grammar forces after it."""


class PromptLookup:
    """Follows an answer through the prompt: the places after the longest match of its last tokens."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._prompt = prompt
        self._places: dict[int, list[int]] = {}  # token -> the places after each of its occurrences
        for place, token in enumerate(prompt):
            self._places.setdefault(token, []).append(place + 1)
        self._matches: list[int] = []

    def append(self, token: int) -> None:
        """Follow the answer to its next token."""
        self._matches = self._advance(self._matches, token)

    def propose(self, draft: Sequence[int]) -> int | None:
        """Return the token likely to follow the answer and this draft; None where the prompt suggests none."""
        places = self._matches
        for token in draft:
            places = self._advance(places, token)
        return next((self._prompt[place] for place in places if place < len(self._prompt)), None)

    def _advance(self, places: list[int], token: int) -> list[int]:
        prompt = self._prompt
        longer = [place + 1 for place in places if place < len(prompt) and prompt[place] == token]
        return longer or self._places.get(token, [])  # no match goes on: start again from this token alone
