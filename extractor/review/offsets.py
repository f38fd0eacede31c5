"""Places of a text as Python counts them, in code points, and as JavaScript does, in UTF-16 units."""

from __future__ import annotations

from bisect import bisect_left

from extractor.data import Span


class Utf16:
    """Converts places of one text. A place inside a character of two units is taken for the one before it."""

    def __init__(self, text: str) -> None:
        self._wide = [at for at, char in enumerate(text) if char > "\uffff"]
        self._units = [at + before for before, at in enumerate(self._wide)]

    def to_units(self, span: Span) -> Span:
        """Return a span of code points in UTF-16 units."""
        start, end = (at + bisect_left(self._wide, at) for at in span)
        return start, end

    def to_characters(self, span: Span) -> Span:
        """Return a span of UTF-16 units in code points."""
        start, end = (unit - bisect_left(self._units, unit) for unit in span)
        return start, end
