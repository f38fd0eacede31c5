"""One record as a piece of HTML for a notebook: its values, and its text with highlights in the colours of the report.

It needs no script and no style sheet, which notebooks of others are not trusted with. Everything that comes from a
document is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import jinja2

from extractor.data import Record
from extractor.errors import Problem
from extractor.report.entries import DetailLimit, View, details
from extractor.report.highlighting import Excerpt
from extractor.text.json_pointer import escape_pointer, scalars, unescape_pointer

LIMIT = DetailLimit(characters=20_000, values=100)

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNREAD = Problem("unread", "The document could not be read.")


def html(record: Record, text: str | None, view: View) -> str:
    """Return the piece of HTML. `text` is the document's, None where there is none."""
    names = _names(record, view)
    numbered = View(view.task, view.redact, {name: number for number, name in enumerate(names)})
    data, excerpts = details(record, _UNREAD if text is None else text, numbered, LIMIT)
    values = data.get("values", [])  # in a template `data.values` is the method
    made = _template().render(data=data, values=values, names=names, excerpts=_marked(excerpts))
    return _SURROGATE.sub("\ufffd", made)


def _names(record: Record, view: View) -> list[str]:
    """Return the fields in the order of the schema, then those that only the data has."""
    asked = [escape_pointer(field.name) for field in view.task.fields] if view.task else []
    return list(dict.fromkeys([*asked, *(each.field for each in scalars(record.data or {}))]))


def _marked(excerpts: list[Excerpt] | None) -> list[tuple[int, list[tuple[str, int | None, bool]]]] | None:
    """Return for each excerpt how much is left out before it, and its pieces."""
    return None if excerpts is None else [(each.skipped, list(_pieces(each))) for each in excerpts]


def _pieces(excerpt: Excerpt) -> Iterator[tuple[str, int | None, bool]]:
    """Yield the text, split where highlights begin and end: each piece with the number of the value that the shortest
    highlight around it is of, and whether that is another value for the field."""
    borders = {0, len(excerpt.text)}.union(*((each.start, each.end) for each in excerpt.highlights))
    ordered = sorted(borders)
    for start, end in zip(ordered, ordered[1:], strict=False):
        around = [each for each in excerpt.highlights if each.start <= start and end <= each.end]
        shortest = min(around, key=lambda each: each.end - each.start, default=None)
        number, other = (None, False) if shortest is None else (shortest.value, shortest.other)
        yield excerpt.text[start:end], number, other


@cache
def _template() -> jinja2.Template:
    source = (files("extractor.report") / "notebook.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)  # keys without content lack
    environment.filters.update(hue=_hue, pointer=_label)
    return environment.from_string(source)


def _hue(number: int) -> int:
    """Return the colour of a field, which is that of the report."""
    return round((number * 137.508 + 210) % 360)


def _label(name: str) -> str:
    """Return the name of a field as people write it."""
    return "/".join(map(unescape_pointer, name.split("/")))
