"""Records as Python programs want them: with an instance of the class that was asked for, as a dict, as a piece
of HTML. They hold their texts, so that a notebook can show where values were found."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from extractor.api.row_types import RowType
from extractor.data import Document, FailedDocument, Json, Record, RecordError
from extractor.errors import Problem
from extractor.report import notebook
from extractor.report.entries import View
from extractor.storage.rows import to_row
from extractor.task.task import Task

T = TypeVar("T")

_FIELDS = tuple(each.name for each in fields(Record))


@dataclass(frozen=True, slots=True)
class TypedRecord(Record, Generic[T]):
    """A record with its document, as `Extractor` yields it.

    `parsed` is the instance of the class that the schema was given as, or the data where it was none. It is None
    unless the record is `ok`, and with `RunConfig(redact=True)`: an instance holds whole and true values, or there is
    none. What was found is in `data` all the same.
    """

    parsed: T | None = None
    document: Document | FailedDocument | None = field(default=None, repr=False, compare=False)
    view: View = field(default=View(), repr=False, compare=False)

    @property
    def text(self) -> str | None:
        """The text that spans are offsets in; None where the document could not be read."""
        return self.document.text if isinstance(self.document, Document) else None

    def to_dict(self) -> dict[str, Json]:
        """Return the record as JSON values: the row that `extractor run` writes."""
        return to_row(self)

    def _repr_html_(self) -> str:
        """Return a table of the values and the text with highlights, for a notebook."""
        return notebook.html(self, self.text, self.view)


def typed(
    record: Record, document: Document | FailedDocument, task: Task, kind: RowType[Any] | None, redact: bool
) -> TypedRecord[Any]:
    """Return a record with its document and its instance. One that the class refuses is `partial`, and says why."""
    values = {name: getattr(record, name) for name in _FIELDS}
    found: TypedRecord[Any] = TypedRecord(**values, document=document, view=View(task, redact))
    if record.status != "ok" or redact:
        return found
    if kind is None:
        return replace(found, parsed=record.data)
    parsed = kind.instance(task.without_nulls(record.data))
    if isinstance(parsed, Problem):
        return replace(found, status="partial", errors=(*record.errors, RecordError(parsed)))
    return replace(found, parsed=parsed)
