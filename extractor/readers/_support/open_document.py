"""What OpenDocument texts and spreadsheets share (ISO/IEC 26300): the package, and the text of a paragraph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from extractor.readers._support import links
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.xml_tree import Element, attribute, name_of
from extractor.readers._support.zip_package import Package, open_package

CONTENT, STYLES, MANIFEST = "content.xml", "styles.xml", "META-INF/manifest.xml"
NOT_SHOWN = frozenset("annotation annotation-end tracked-changes ruby-text forms desc title event-listeners".split())
PARAGRAPHS = frozenset(("p", "h"))
SPACES = 50
"""How many spaces in a row are kept: their number is written, not they."""


def open_document(file: File, what: str, options: ReadOptions) -> Package:
    """Open a file. Raises OSError where it cannot be opened, ReadError where it is locked, damaged or too much."""
    package = open_package(file, what, options)
    if MANIFEST in package and b"encryption-data" in package.bytes(MANIFEST):
        raise ReadError("locked", f"the {what} is encrypted: open it with its password and save it without")
    return package


@dataclass(slots=True)
class Inline:
    """The words of paragraphs, and what was anchored in them on the way: notes and text boxes.

    `hidden` are styles whose words are not shown; None shows them and all else that is hidden. `left_out` counts the
    passages that are not.
    """

    hidden: frozenset[str] | None
    left_out: int = 0
    notes: list[Element] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)

    def text(self, element: Element) -> str:
        """Return the words of a paragraph."""
        return "".join(self._words(element))

    def _words(self, element: Element) -> Iterator[str]:
        yield element.text or ""
        for child in element:
            yield from self._child(child)
            yield child.tail or ""

    def _child(self, child: Element) -> Iterator[str]:
        name = name_of(child)
        if name == "s":
            yield " " * repeated(child, "c", SPACES)
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name == "note":
            self.notes.append(child)
        elif name == "text-box":
            self.boxes.append(child)
        elif name == "a":
            words = "".join(self._words(child))
            shown = links.beside(words, attribute(child, "href") or "")
            yield f"{words} {shown}" if words.strip() and shown else words + shown
        elif name not in NOT_SHOWN and not self.is_hidden(child):
            yield from self._words(child)

    def is_hidden(self, element: Element) -> bool:
        """Tell whether an element, a paragraph or a section, is not shown, and count it if it has words."""
        is_hidden = self.hidden is not None and _is_hidden(element, self.hidden)
        self.left_out += is_hidden and bool("".join(element.itertext()).strip())
        return is_hidden


def _is_hidden(element: Element, styles: frozenset[str]) -> bool:
    if name_of(element) in ("hidden-text", "hidden-paragraph"):
        return True
    return attribute(element, "style-name") in styles or attribute(element, "display") == "none"


def hidden_styles(*roots: Element) -> frozenset[str]:
    """Return the styles of words and of tables whose content is not shown."""
    found = set()
    for root in roots:
        for style in root.iter("{*}style"):
            properties = (each for each in style if name_of(each) in ("text-properties", "table-properties"))
            if any(attribute(each, "display") in ("none", "false") for each in properties):
                found.add(attribute(style, "name") or "")
    return frozenset(found)


def repeated(element: Element, name: str, limit: int) -> int:
    """Return how often an attribute says that something is repeated: from once to a limit, whatever it says."""
    number = attribute(element, name) or "1"
    return max(1, min(limit, int(number[:9]))) if number.isascii() and number.isdigit() else 1
