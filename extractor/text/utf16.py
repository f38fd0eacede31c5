"""Offsets that count UTF-16 units, as strings of JavaScript do, and those that count characters."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Utf16Offsets:
    """The two counts for one text; they differ after characters that are two units wide."""

    wide: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Utf16Offsets:
        """Return those of a text."""
        return cls(tuple(at for at, char in enumerate(text) if char > "\uffff"))

    def encode(self, offset: int) -> int:
        """Return the offset in units of one in characters."""
        return offset + bisect_left(self.wide, offset)

    def decode(self, units: int) -> int:
        """Return the offset in characters of one in units. Raises ValueError for one inside of a character."""
        low, high = 0, len(self.wide)
        while low < high:  # the wide characters that begin before it
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.wide[middle] + middle < units else (low, middle)
        if low and self.wide[low - 1] + low == units:
            raise ValueError(f"{units} is in the middle of a character")
        return units - low
