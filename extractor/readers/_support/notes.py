"""What the text of a file leaves out, in words: `left out: 2 hidden rows, 1 hidden sheet (工资)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from extractor.data import Document, FailedDocument

NAMED = 10
"""How many of the things left out are named."""


def counted(count: int, what: str, names: Sequence[str] = ()) -> str:
    """Return `2 hidden rows`, with their names where they have some; nothing for 0."""
    if not count:
        return ""
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    named = f" ({', '.join([*names[:NAMED], *more])})" if names else ""
    return f"{count:,} {what}{'' if count == 1 else 's'}{named}"


def left_out(*parts: str) -> tuple[str, ...]:
    """Return the note that names what is left out; none where all parts are empty."""
    named = ", ".join(filter(None, parts))
    return (f"left out: {named}",) if named else ()


def with_notes(found: Iterable[Document | FailedDocument], notes: Sequence[str]) -> Iterator[Document | FailedDocument]:
    """Yield the documents of a file, the first of them with the notes on the file."""
    for item in found:
        if notes and isinstance(item, Document):
            item = replace(item, source=replace(item.source, notes=(*item.source.notes, *notes)))
            notes = ()
        yield item


NAMED_PAGES = 20
"""How many pages, or ranges of them, a note names."""


def named_pages(numbers: Sequence[int]) -> str:
    """Return ascending page numbers as people write them: `page 3`, `pages 1-3, 7`."""
    ranges = list(_ranges(numbers))
    more = f" and {len(ranges) - NAMED_PAGES} more" if len(ranges) > NAMED_PAGES else ""
    return f"page{'' if len(numbers) == 1 else 's'} {', '.join(ranges[:NAMED_PAGES])}{more}"


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    start = numbers[0] if numbers else 0
    for number, following in zip(numbers, [*numbers, 0][1:], strict=True):
        if following != number + 1:
            yield str(number) if start == number else f"{start}-{number}"
            start = following
