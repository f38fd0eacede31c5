"""Records as one HTML page that needs nothing else: no network, no other file.

    records -> summary, the oddest first -> entries (with highlights) -> page

The texts are handed in, because a record does not hold them. Everything that comes from documents is data of the page,
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
from extractor.report.entries import DetailLimit, View, entry, rank
from extractor.report.summary import Summary
from extractor.task.task import Task

__all__ = ["Collected", "View", "collect", "page"]

SMALL_REPORT = 1_000
"""This many documents fit into `BASE_BYTES`, whatever their length; each further one may take `EXTRA_BYTES`."""

BASE_BYTES = 4_800_000
EXTRA_BYTES = 2_000

SHARES = ((0.8, 200), (0.6, 80), (0.3, 30), (0.1, 10))
"""Share of the bytes that texts may take and values shown of a document, from most to least: the first that fits."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Collected:
    """The summary of all records, and those that are shown, the oddest first."""

    summary: Summary
    records: Sequence[Record]


def collect(records: Iterable[Record], task: Task | None, limit: int) -> Collected:
    """Summarize all records and keep the `limit` that a reader should see first."""
    summary = Summary(task)
    kept = heapq.nsmallest(limit, map(summary.add, records), key=lambda record: rank(record, task))
    return Collected(summary, kept)


def page(
    collected: Collected, texts: Mapping[str, str | Problem], view: View, title: str, throughput: float | None = None
) -> str:
    """Return the page, in no more bytes than the number of documents allows; long texts are shown in part.

    `texts` has each record's text, or why there is none; `throughput` is in documents per second.
    """
    names = collected.summary.names()
    view = View(view.task, view.redact, {name: number for number, name in enumerate(names)})
    allowed = BASE_BYTES + EXTRA_BYTES * max(0, len(collected.records) - SMALL_REPORT)
    head = {"fields": names, "summary": collected.summary.as_json(throughput), "redacted": view.redact}
    for share, values in SHARES:
        rooms = _rooms(collected.records, texts, int(allowed * share))
        entries = [
            entry(record, texts[record.id], view, DetailLimit(room, values))
            for record, room in zip(collected.records, rooms, strict=True)
        ]
        html = _html(title, head | {"documents": entries})
        if len(html.encode()) <= allowed:
            break
    return html


def _rooms(records: Sequence[Record], texts: Mapping[str, str | Problem], allowed: int) -> list[int]:
    """Return the characters of each text to show, so that all take at most `allowed` bytes: short texts whole, long
    ones an equal share of what is left."""
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
    """Return the name of a script or style in the page's Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _embedded(data: Json) -> str:
    """Return JSON for a script element: without `<`, so that nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
