"""One person's way through rows: their order, what has been decided of each, and what a decision writes.

Rows come with their texts, the doubtful first. What is decided is in the gold file before anything else happens. This
module knows no JSON of the page and no HTTP.
"""

from __future__ import annotations

import heapq
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from extractor.data import STATUSES, Json, Record, Span, Status
from extractor.report.entries import rank, ungrounded
from extractor.review.draft import Draft
from extractor.review.form import Form
from extractor.review.gold import Decision, GoldFile, GoldRow, spans_of
from extractor.review.values import Refusal, Values
from extractor.task.task import Task
from extractor.text.json_pointer import scalars

MOST_INDEXED = 8
"""Texts whose indexes are kept: those that somebody is working on."""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A record and the text that it is about."""

    record: Record
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows a person is asked about. `again` asks about decided ones as well; `limit` takes the first so many."""

    statuses: Collection[Status] = ()
    again: bool = False
    limit: int = 1_000


@dataclass
class Selection:
    """The records to ask about, the doubtful first, and how many there are: of all, decided, of documents
    that the run could not read, and wanted at all."""

    records: list[Record] = field(default_factory=list)
    total: int = 0
    decided: int = 0
    unread: int = 0
    wanted: int = 0


def rows_to_review(records: Iterable[Record], task: Task, gold: GoldFile, wanted: Wanted) -> Selection:
    """Return which records to ask about, of documents that the run could read.

    Those that are decided are left out unless they are wanted again; a document that has changed since is to be
    decided anew. No more records are held than are asked about.
    """
    selection = Selection()
    asked = _asked(records, gold, wanted, selection)
    selection.records = heapq.nsmallest(wanted.limit, asked, key=lambda record: rank(record, task))
    return selection


def _asked(records: Iterable[Record], gold: GoldFile, wanted: Wanted, selection: Selection) -> Iterator[Record]:
    for record in records:
        decided = is_decided(record, gold)
        selection.total += 1
        selection.decided += decided
        was_read = bool(record.attempts) or record.data is not None
        selection.unread += not was_read
        if was_read and record.status in (wanted.statuses or STATUSES) and (wanted.again or not decided):
            selection.wanted += 1
            yield record


def is_decided(record: Record, gold: GoldFile) -> bool:
    """Tell whether the gold has a decision about the very text of a record."""
    row = gold.rows.get(record.id)
    return row is not None and row.get("sha256", record.source.sha256) == record.source.sha256


@dataclass
class Session:
    """Rows, the task that they answer to, and the gold file that decisions go to. `by` is who decides."""

    rows: Sequence[ReviewRow]
    task: Task
    gold: GoldFile
    by: str
    decided: dict[int, Decision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.form = Form(self.task)
        self._writing = threading.Lock()
        self.values = lru_cache(MOST_INDEXED)(self._values)

    def state(self, number: int) -> Decision | None:
        """Return what is decided of a row: in this session, or in the file before it."""
        row = self.rows[number]
        earlier = self.gold.rows.get(row.record.id, {}) if is_decided(row.record, self.gold) else {}
        return self.decided.get(number) or (earlier.get("decision", "accepted") if earlier else None)

    def draft(self, number: int) -> Draft:
        """Return what a row begins with: what was decided of it last, else what the run found."""
        record = self.rows[number].record
        earlier = self.gold.rows.get(record.id, {})
        if is_decided(record, self.gold) and isinstance(earlier.get("data"), dict):
            return Draft(self.task.completed(earlier["data"]), dict(spans_of(earlier)))
        draft = Draft(self.task.completed(record.data or {}), record.spans)
        return replace(draft, about={leaf: said for leaf, said in self._about(record) if said})

    def decide(self, number: int, draft: Draft) -> dict[str, Refusal]:
        """Save a row as gold and return nothing, or return what is against it, by pointer, and save nothing."""
        row, draft = self.rows[number], draft.tidied()
        refusals = self.values(number).refusals(draft, _known(row.record))
        if refusals:
            return refusals
        placed = {
            leaf.pointer for leaf in self.task.leaves(draft.data) if leaf.value is not None and leaf.ground != "none"
        }
        spans = {pointer: each for pointer, each in draft.spans.items() if pointer in placed}
        decision: Decision = "accepted" if self._is_as_found(row.record, draft.data, spans) else "corrected"
        self._save(number, decision, draft.data, spans)
        return {}

    def skip(self, number: int) -> None:
        """Note that a row is no gold."""
        self._save(number, "skipped", None, {})

    def settle(self) -> None:
        """Wait until no decision is being written, and let none begin."""
        self._writing.acquire()

    def _save(
        self, number: int, decision: Decision, data: Mapping[str, Json] | None, spans: Mapping[str, tuple[Span, ...]]
    ) -> None:
        row = self.rows[number]
        with self._writing:
            self.gold.append(GoldRow(row.record.id, row.text, row.record.source.sha256, decision, self.by, data, spans))
            self.decided[number] = decision

    def _is_as_found(self, record: Record, data: Mapping[str, Json], spans: Mapping[str, Sequence[Span]]) -> bool:
        if record.data is None:
            return False
        found, kept = self.task.without_nulls(dict(record.data)), self.task.without_nulls(dict(data))
        same_places = {key: [*map(list, value)] for key, value in record.spans.items()} == {
            key: [*map(list, value)] for key, value in spans.items()
        }
        return same_places and json.dumps(found, sort_keys=True) == json.dumps(kept, sort_keys=True)

    def _about(self, record: Record) -> Iterator[tuple[str, dict[str, Json]]]:
        odd = ungrounded(record, self.task)
        for scalar in scalars(record.data or {}):
            others = [[other.value, other.span] for other in record.conflicts.get(scalar.pointer, ())]
            said: dict[str, Json] = {"others": others} if others else {}
            if scalar.value is not None and scalar.pointer in record.confidence:
                said["confidence"] = record.confidence[scalar.pointer]
            yield scalar.pointer, said | ({"odd": True} if scalar.pointer in odd else {})

    def _values(self, number: int) -> Values:
        return Values(self.task, self.rows[number].text)


def _known(record: Record) -> Iterator[tuple[Json, Span]]:
    """Yield the values that the run has placed, with their places."""
    for scalar in scalars(record.data or {}):
        for span in record.spans.get(scalar.pointer, ()):
            yield scalar.value, span
