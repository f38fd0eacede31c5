"""Fields of RTF: their instruction (`HYPERLINK "https://..."`), and what is filled in in old form fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from extractor.readers._support import links
from extractor.readers._support.word_text import NOT_TICKED, TICKED

LONGEST_INSTRUCTION = 1 << 16
DEEPEST = 32
"""How many fields in one another have a target."""
TICK, CHOICE, BY_DEFAULT = 1, 2, 25


@dataclass(slots=True)
class Field:
    """A field that is open: the number of groups around it, its flow of text, and where its result begins in that."""

    depth: int
    flow: list[str]
    start: int
    instruction: str = ""
    form: dict[str, int] = field(default_factory=dict)
    entries: list[str] = field(default_factory=list)

    def instruct(self, text: str) -> None:
        """Add to the instruction."""
        if len(self.instruction) < LONGEST_INSTRUCTION:
            self.instruction += text

    def end(self) -> None:
        """Put what is filled in in the place of the result, or the target of a link beside it."""
        filled = self._filled()
        if filled is not None:
            self.flow[self.start :] = [filled]
        elif target := links.target_of(self.instruction):
            text = "".join(self.flow[self.start :])
            if shown := links.beside(text, target):
                self.flow.append(f" {shown}" if text.strip() else shown)

    def _filled(self) -> str | None:
        """Return what is ticked or chosen; None for all but check boxes and lists to choose from."""
        kind, chosen = self.form.get("fftype"), self.form.get("ffres", BY_DEFAULT)
        chosen = self.form.get("ffdefres", 0) if chosen == BY_DEFAULT else chosen
        if kind == TICK:
            return TICKED if chosen else NOT_TICKED
        if kind == CHOICE:
            return self.entries[chosen].strip() if 0 <= chosen < len(self.entries) else ""
        return None
