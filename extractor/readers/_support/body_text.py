"""The text of a body as it grows: paragraphs are lines, table rows lines with a tab from one cell to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from extractor.data import Json
from extractor.readers._support.segments import TextBuilder

Location = Mapping[str, Json]
Cell = TypeVar("Cell")


class BodyText:
    """Text with the white space before the next one: a line feed, and a tab for each cell since the last text in its
    row. Tabs are counted, not kept: a row can have any number of empty cells."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._line = ""
        self._tabs = 0

    def add(self, text: str, location: Location) -> None:
        """Add a paragraph, unless it is blank."""
        if text.strip():
            self.builder.write(self._line + "\t" * self._tabs)
            self.builder.add(text, location)
            self._line, self._tabs = "\n", 0

    def add_row(self, cells: Iterable[Cell], add: Callable[[Cell, Location], None], location: Location) -> None:
        """Add the cells of a row by `add`, with a tab before each but the first, also where cells are empty."""
        self._begin_line()
        for number, cell in enumerate(cells, 1):
            before = len(self.builder)
            add(cell, {**location, "cell": number})
            if len(self.builder) > before:
                self._line, self._tabs = "", 1
            else:
                self._tabs += 1
        self._begin_line()

    def _begin_line(self) -> None:
        self._line, self._tabs = "\n" if self.builder else "", 0
