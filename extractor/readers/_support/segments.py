"""Text that is put together piece by piece, each with its place in the file."""

from __future__ import annotations

from collections.abc import Mapping

from extractor.data import Json, Segment


class TextBuilder:
    """Grows a text; what is placed becomes a segment, what is written only stands between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.segments: list[Segment] = []

    def __len__(self) -> int:
        return self._length

    def write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def place(self, text: str, where: Mapping[str, Json]) -> None:
        """Write text that stands at a place. An empty one says that there is nothing at that place."""
        self.segments.append(Segment(self._length, self._length + len(text), where))
        self.write(text)

    def line(self, text: str, where: Mapping[str, Json]) -> None:
        """Place text on a line of its own."""
        if self._length:
            self.write("\n")
        self.place(text, where)

    @property
    def text(self) -> str:
        return "".join(self._parts)
