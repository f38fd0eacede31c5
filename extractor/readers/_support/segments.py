"""Text that is built from segments, each with its location in the file."""

from __future__ import annotations

from collections.abc import Mapping

from extractor.data import Json, Segment


class TextBuilder:
    """Builds a text: what is added becomes a segment, what is written only separates segments."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.segments: list[Segment] = []

    def __len__(self) -> int:
        return self._length

    def write(self, text: str) -> None:
        """Append text that has no location."""
        self._parts.append(text)
        self._length += len(text)

    def add(self, text: str, location: Mapping[str, Json]) -> None:
        """Append a segment. An empty text says that there is nothing at the location."""
        self.segments.append(Segment(self._length, self._length + len(text), location))
        self.write(text)

    def add_line(self, text: str, location: Mapping[str, Json]) -> None:
        """Append a segment on a line of its own."""
        if self._length:
            self.write("\n")
        self.add(text, location)

    @property
    def text(self) -> str:
        return "".join(self._parts)
