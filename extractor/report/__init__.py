"""Records as one HTML page that needs nothing else: no network, no other file.

    records -> summary, the oddest first -> entries (with marked places) -> page

The texts are handed in, for a record does not hold them. Everything that comes from documents is data of the page,
never markup: the page builds its elements from text.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import jinja2

from extractor.data import Json, Record
from extractor.errors import Problem
from extractor.report.entries import Detail, View, entry, rank
from extractor.report.summary import Summary
from extractor.task.task import Task

__all__ = ["Collected", "View", "collect", "page"]

SMALL = 1_000
"""So many documents fit into `MOST_BYTES`, whatever their length; each further one may take `EACH_BYTES`."""

MOST_BYTES = 4_800_000
EACH_BYTES = 2_000

SHARES = ((0.8, 200), (0.6, 80), (0.3, 30), (0.1, 10))
"""Share of the bytes that texts may take and values shown of a document, from most to least: the first that fits."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Collected:
    """The summary of all records, and those that are shown, the oddest first."""

    summary: Summary
    records: Sequence[Record]


def collect(records: Iterable[Record], task: Task | None, limit: int) -> Collected:
    """Look at every record once and keep the `limit` that a reader should see first."""
    summary = Summary(task)
    kept = heapq.nsmallest(limit, map(summary.add, records), key=lambda record: rank(record, task))
    return Collected(summary, kept)


def page(
    collected: Collected, texts: Mapping[str, str | Problem], view: View, title: str, per_second: float | None = None
) -> str:
    """The page, in no more bytes than the number of documents allows; long texts are shown in part.

    `texts` has each record's text, or why there is none.
    """
    names = collected.summary.names()
    view = View(view.task, view.redact, {name: number for number, name in enumerate(names)})
    allowed = MOST_BYTES + EACH_BYTES * max(0, len(collected.records) - SMALL)
    head = {"fields": names, "summary": collected.summary.as_json(per_second), "redacted": view.redact}
    for share, values in SHARES:
        rooms = _rooms(collected.records, texts, int(allowed * share))
        entries = [
            entry(record, texts[record.id], view, Detail(room, values))
            for record, room in zip(collected.records, rooms, strict=True)
        ]
        html = _html(title, head | {"documents": entries})
        if len(html.encode()) <= allowed:
            break
    return html


def _rooms(records: Sequence[Record], texts: Mapping[str, str | Problem], allowed: int) -> list[int]:
    """Characters of each text that are shown, so that all take at most so many bytes: short ones whole, long ones as
    much as is left, each the same."""
    shown = [text if isinstance(text := texts[record.id], str) else "" for record in records]
    sizes = [len(text.encode("utf-8", "replace")) for text in shown]
    left, waiting = allowed, len(sizes)
    cap = 0
    for size in sorted(sizes):
        cap = left // waiting
        if size > cap:
            break
        left, waiting, cap = left - size, waiting - 1, size
    return [len(text) * min(size, cap) // size if size else 0 for text, size in zip(shown, sizes, strict=True)]


def _html(title: str, data: Mapping[str, Json]) -> str:
    style, script = _asset("page.css"), _asset("page.js")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_asset("page.html"))
    return template.render(
        title=title,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_embedded(data),
    )


@cache
def _asset(name: str) -> str:
    return (files("extractor.report") / name).read_text("utf-8").strip("\n")


def _hash(content: str) -> str:
    """What the page's security policy calls this one script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _embedded(data: Json) -> str:
    """JSON that can stand in a script element: no `<`, so that nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
