"""A run compared with gold: the figures of `extractor evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from extractor.annotation_formats import Notes, read_rows
from extractor.api.records import TypedRecord
from extractor.api.row_types import as_data
from extractor.data import Document, Json
from extractor.errors import InputError
from extractor.evaluation import Annotation, Coverage, Evaluation, Resampling, Scope, evaluate, read_annotation, tables
from extractor.evaluation.scores import Score
from extractor.evaluation.summary import as_json, wrong_as_json
from extractor.task.task import Task

Gold = str | os.PathLike[str] | Iterable[Mapping[str, Json]]
"""A file of annotations in whatever format `extractor evaluate` reads, or its rows."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a run came to against gold; printing it shows the tables of `extractor evaluate`.

    `precision`, `recall` and `f1` are over all values, equal in meaning. `records` are those of the run, `notes` what
    of the gold was left out.
    """

    evaluation: Evaluation = field(repr=False)
    coverage: Coverage
    records: tuple[TypedRecord[Any], ...] = field(repr=False)
    resampling: Resampling = Resampling()
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> float | None:
        """The share of the values found that are right; None where none is found and none is there."""
        return self._micro.precision.value

    @property
    def recall(self) -> float | None:
        """The share of the values of the gold that were found."""
        return self._micro.recall.value

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        return self._micro.f1.value

    @property
    def _micro(self) -> Score:
        return self.evaluation.scores("normalized", self.resampling).micro

    def wrong(self) -> list[Json]:
        """Return every value that is wrong or missed, as `extractor evaluate --wrong --json` has it."""
        return wrong_as_json(self.evaluation)

    def to_dict(self) -> dict[str, Json]:
        """Return all figures, as `extractor evaluate --json` has them."""
        return {**asdict(self.coverage), **as_json(self.evaluation, self.resampling)}

    def __str__(self) -> str:
        parts = [tables.coverage(self.coverage), tables.evaluation(self.evaluation, self.resampling)]
        return "\n\n".join([*parts, *(f"Note: {note}" for note in self.notes)])


@dataclass(frozen=True, slots=True)
class GoldRows:
    """The rows of the gold by id, each with its place for messages."""

    rows: Mapping[str, tuple[str, Mapping[str, Json]]]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, gold: Gold, task: Task, max_bytes: int) -> GoldRows:
        """Return the rows of a file or those given. Raise InputError where two have one id."""
        notes = Notes()
        found: Iterable[tuple[str, Mapping[str, Json]]]
        if isinstance(gold, str | os.PathLike):
            found = read_rows(os.fspath(gold), notes, max_bytes=max_bytes, task=task)
        else:
            found = _given(gold)
        rows: dict[str, tuple[str, Mapping[str, Json]]] = {}
        for where, row in found:
            if str(row["id"]) in rows:
                message = f"an earlier row has the id {row['id']!r}, too. Which of the two is the gold?"
                raise InputError(f"{where}: {message}")
            if row.get("text") is not None:
                read_annotation(row, where)  # before a run, which may take hours
            rows[str(row["id"])] = where, row
        return cls(rows, tuple(notes.lines()))

    def documents(self) -> list[tuple[str, str]]:
        """Return the texts that the rows hold. Raise InputError where one holds none."""
        for where, row in self.rows.values():
            if not isinstance(row.get("text"), str):
                raise InputError(
                    f"{where} has no text: give the documents, evaluate(gold, documents), under the ids of the gold."
                )
        return [(id, row["text"]) for id, (_, row) in self.rows.items()]

    def compare(self, records: Sequence[TypedRecord[Any]], task: Task, resampling: Resampling | None) -> Evaluated:
        """Return what records come to against the rows."""
        texts = {each.id: each.document.text for each in records if isinstance(each.document, Document)}
        gold = [read_annotation(row, where, texts.get(id)) for id, (where, row) in self.rows.items()]
        found: dict[str, Annotation] = {each.id: read_annotation(each.to_dict(), each.id) for each in records}
        coverage = Coverage.of(gold, found, len(records) - len(found))
        figures = evaluate(gold, found, Scope.of(task))
        return Evaluated(figures, coverage, tuple(records), resampling or Resampling(), self.notes)


def _given(rows: Iterable[Mapping[str, Json]]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            of_table = 'frame.to_dict("records") in pandas, frame.to_dicts() in polars'
            kind = type(row).__name__
            raise InputError(f'Row {number} of the gold is a {kind}, not {{"text": ..., "data": ...}}. {of_table}.')
        yield f"row {number} of the gold", {"id": str(number), **as_data(row)}
