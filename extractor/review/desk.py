"""What the page asks, as JSON: a row, an edit of its draft, where typed text occurs, a decision.

The draft of a row lies with the page and comes with every question, so nothing of it is kept here between two. Places
are in UTF-16 units in all that comes and goes. What does not have the form that the page gives it is a BadRequest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from extractor.data import Json, Span
from extractor.report.entries import lowest_confidence
from extractor.review.draft import Draft, Placed
from extractor.review.offsets import Utf16
from extractor.review.session import Session
from extractor.review.values import Refusal

Answer = dict[str, Json]


class BadRequest(Exception):
    """A question that the page would not ask."""


@dataclass(frozen=True)
class Desk:
    """Answers the questions of the page about one session. `language` is that of the page, empty for the browser's."""

    session: Session
    language: str = ""

    def answer(self, question: str, body: Json) -> Answer:
        """Return the answer to a question. Raise BadRequest, and OSError where a decision cannot be written."""
        ask = self._QUESTIONS.get(question)
        if ask is None or not isinstance(body, dict):
            raise BadRequest("unknown question")
        try:
            return ask(self, body)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BadRequest(f"{question}: {type(error).__name__}") from error

    def _session(self, body: Answer) -> Answer:
        session = self.session
        return {
            "language": self.language,
            "by": session.by,
            "gold": os.path.basename(session.gold.path),
            "schema": session.task.name,
            "rows": [self._summary(number) for number in range(len(session.rows))],
        }

    def _row(self, body: Answer) -> Answer:
        number = self._number(body)
        row = self.session.rows[number]
        earlier = self.session.gold.rows.get(row.record.id, {}) if self.session.state(number) else {}
        withheld = [
            {"field": each.field, "value": each.value, "spans": [*map(self._utf16(number).to_units, each.spans)]}
            for each in row.record.provenance.withheld
        ]
        return {
            "text": row.text,
            "errors": [error.as_json() for error in row.record.errors],
            "withheld": withheld,
            "earlier": {key: earlier[key] for key in ("decision", "decided_by", "decided_at") if key in earlier},
            **self._shown(number, self.session.draft(number)),
        }

    def _edit(self, body: Answer) -> Answer:
        """Change a draft. A value that cannot be leaves it as it was, and the answer says why."""
        number, draft, pointer = self._number(body), self._draft(body), str(body["pointer"])
        match body["edit"]:
            case "select" | "type":
                return self._value(number, draft, pointer, body)
            case "blank":
                draft = draft.placing(pointer, Placed())
            case "add":
                name = body.get("name")
                if name is not None and (not isinstance(name, str) or not name):
                    raise ValueError("a name")
                blank = self.session.form.blank(draft.data, pointer, name)
                draft, pointer = draft.adding(pointer, blank, name)
            case "remove":
                draft = draft.without(pointer)
            case _:
                raise ValueError("an edit")
        return {"pointer": pointer, **self._shown(number, draft)}

    def _value(self, number: int, draft: Draft, pointer: str, body: Answer) -> Answer:
        node, values = self.session.form.node(draft.data, pointer), self.session.values(number)
        span = self._span(number, body["span"]) if body.get("span") is not None else None
        if body["edit"] == "select":
            found = values.selected(node, span or (0, 0))
        elif isinstance(body["value"], str | int | float):
            found = values.typed(node, body["value"], span)
        else:
            raise TypeError("a value")
        if isinstance(found, Refusal):
            return {"refused": {pointer: asdict(found)}}
        return {"pointer": pointer, **self._shown(number, draft.placing(pointer, found))}

    def _find(self, body: Answer) -> Answer:
        number, draft, typed = self._number(body), self._draft(body), str(body["typed"])
        node = self.session.form.node(draft.data, str(body["pointer"]))
        found = self.session.values(number).places(node, typed)
        convert = self._utf16(number).to_units
        return {"places": [{"value": each.value, "span": convert(each.spans[0])} for each in found]}

    def _decide(self, body: Answer) -> Answer:
        number = self._number(body)
        if body.get("skip") is True:
            self.session.skip(number)
            return {"saved": self._summary(number)}
        refused = self.session.decide(number, self._draft(body))
        if refused:
            return {"refused": {pointer: asdict(refusal) for pointer, refusal in refused.items()}}
        return {"saved": self._summary(number)}

    def _summary(self, number: int) -> Answer:
        record = self.session.rows[number].record
        return {
            "id": record.id,
            "status": record.status,
            "code": record.code,
            "confidence": lowest_confidence(record),
            "decision": self.session.state(number),
        }

    def _shown(self, number: int, draft: Draft) -> Answer:
        """Return a draft as the page holds it, and its form."""
        convert = self._utf16(number).to_units
        about = {pointer: _with_others(said, convert) for pointer, said in draft.about.items()}
        spans = {pointer: [*map(convert, each)] for pointer, each in draft.spans.items()}
        lines = [line.as_json() for line in self.session.form.lines(draft)]
        return {"draft": {"data": draft.data, "spans": spans, "about": about}, "form": lines}

    def _draft(self, body: Answer) -> Draft:
        given = body["draft"]
        number = self._number(body)
        if not isinstance(given["data"], dict):
            raise TypeError("data")
        spans = {
            str(pointer): tuple(self._span(number, span) for span in each) for pointer, each in given["spans"].items()
        }
        about = {
            str(pointer): _with_others(said, lambda span: self._span(number, span))
            for pointer, said in given.get("about", {}).items()
        }
        return Draft(given["data"], spans, about)

    def _span(self, number: int, pair: Json) -> Span:
        start, end = pair
        if not (type(start) is int and type(end) is int and 0 <= start <= end):
            raise TypeError("a span")
        return self._utf16(number).to_characters((start, end))

    def _number(self, body: Answer) -> int:
        number = body["row"]
        if type(number) is not int or not 0 <= number < len(self.session.rows):
            raise IndexError("row")
        return number

    def _utf16(self, number: int) -> Utf16:
        return self.session.values(number).utf16

    _QUESTIONS: ClassVar[Mapping[str, Callable[[Desk, Answer], Answer]]] = {
        "session": _session,
        "row": _row,
        "edit": _edit,
        "find": _find,
        "decide": _decide,
    }


def _with_others(said: Mapping[str, Json], convert: Callable[[Span], Span]) -> dict[str, Json]:
    """Return what is said of a value with the places of the other values converted."""
    others = [[value, convert(span) if span else None] for value, span in said.get("others", ())]
    return {**said, "others": others} if others else dict(said)
