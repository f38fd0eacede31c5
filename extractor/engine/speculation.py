"""Guesses what an answer copies from its prompt: what followed the last tokens there.

A wrong guess costs a row of a forward pass and changes nothing: what is taken is what decoding alone would give.
"""

from __future__ import annotations

from collections.abc import Sequence


class Copying:
    """Follows an answer through its source: the places whose last tokens are those of the answer."""

    def __init__(self, source: Sequence[int]) -> None:
        self._source = source
        self._places: dict[int, list[int]] = {}
        for place, token in enumerate(source):
            self._places.setdefault(token, []).append(place + 1)
        self._open: list[int] = []

    def take(self, token: int) -> None:
        """The answer goes on with `token`."""
        self._open = self._after(self._open, token)

    def guess(self, draft: Sequence[int]) -> int | None:
        """The token that may come behind the answer and this draft; None where nothing speaks for one."""
        places = self._open
        for token in draft:
            places = self._after(places, token)
        return next((self._source[place] for place in places if place < len(self._source)), None)

    def _after(self, places: list[int], token: int) -> list[int]:
        source = self._source
        longer = [place + 1 for place in places if place < len(source) and source[place] == token]
        return longer or self._places.get(token, [])
