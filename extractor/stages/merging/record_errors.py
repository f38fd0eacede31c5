"""The errors of a record: of each rejected attempt, of parts without an answer, of merged data that breaks the schema.

This module does not decide whether a record fails; `merge` does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from extractor.data import Completion, Outcome, RecordError, Rejection, Span, Withheld
from extractor.errors import Problem

_INDEX = re.compile(r"/\d+(?=/|$)")


def of_answers(outcomes: Sequence[Outcome]) -> Iterator[RecordError]:
    """Yield the problems of each rejected attempt, oldest first, then the parts that have no answer."""
    for rejection in _rejections(outcomes):
        attempt = rejection.completion.prompt.attempt
        yield from (RecordError(problem, rejection.chunk.index, attempt) for problem in rejection.problems)
    yield from _given_up(outcomes)


def of_data(messages: Iterable[str], withheld: Sequence[Withheld]) -> list[RecordError]:
    """Return how merged data breaks the schema: a required value was withheld, or the parts contradict it."""
    return [RecordError(_invalid(message, withheld)) for message in messages]


def is_lost(outcome: Outcome) -> bool:
    """Tell whether a part of the document has no answer."""
    return isinstance(outcome, Rejection) and outcome.completion.prompt.pass_number == 1


def completions(outcomes: Sequence[Outcome]) -> Collection[Completion]:
    """Return every completion of the document once, including those of rejected attempts."""
    rejected = (rejection.completion for rejection in _rejections(outcomes))
    final = (outcome.completion for outcome in outcomes)
    return {id(completion): completion for completion in chain(final, rejected)}.values()


def parts(outcomes: Iterable[Outcome]) -> list[Span]:
    """Return the ranges of text that the document was asked about in, halves of chunks among them."""
    return list(dict.fromkeys((outcome.chunk.start, outcome.chunk.end) for outcome in outcomes))


def groups(outcomes: Iterable[Outcome]) -> set[tuple[str, ...]]:
    """Return the groups of fields that were asked for together."""
    return {_fields(outcome) for outcome in outcomes}


def _rejections(outcomes: Iterable[Outcome]) -> Iterator[Rejection]:
    """Yield every rejected attempt once, oldest first; halves of a chunk share the rejections of the whole."""
    seen: set[int] = set()
    for outcome in outcomes:
        final = (outcome,) if isinstance(outcome, Rejection) else ()
        for rejection in (*outcome.completion.prompt.rejected, *final):
            if id(rejection) not in seen:
                seen.add(id(rejection))
                yield rejection


def _given_up(outcomes: Sequence[Outcome]) -> Iterator[RecordError]:
    """Yield an error for each part, or group of fields, without an answer, where the document has several."""
    numbers = {span: number for number, span in enumerate(parts(outcomes), start=1)}
    several = len(groups(outcomes)) > 1
    for outcome in outcomes:
        if not isinstance(outcome, Rejection) or not is_lost(outcome):
            continue
        start, end = outcome.chunk.start, outcome.chunk.end
        part = f"part {numbers[start, end]} of {len(numbers)}, characters {start} to {end}" if len(numbers) > 1 else ""
        fields = f"the fields {', '.join(_fields(outcome))}" if several else ""
        if part or fields:
            message = f"{'; '.join(filter(None, (part, fields)))}: no usable answer"
            yield RecordError(Problem(outcome.code, message), outcome.chunk.index)


def _fields(outcome: Outcome) -> tuple[str, ...]:
    return tuple(field.name for field in outcome.completion.prompt.task.fields)


def _invalid(message: str, withheld: Iterable[Withheld]) -> Problem:
    field = _INDEX.sub("", message.partition(": ")[0]).removeprefix("/")
    code = next((each.code for each in withheld if f"{each.field}/".startswith(f"{field}/")), None)
    return Problem(code, f"{message}, without the values withheld") if code else Problem("schema", message)
