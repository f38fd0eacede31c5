"""The errors of a record: of each rejected attempt, of parts without an answer, of merged data that breaks the schema.

This module does not decide whether a record fails; `merge` does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from extractor.data import Completion, Extraction, Outcome, RecordError, Rejection, Span, Withheld
from extractor.errors import Problem
from extractor.text.json_pointer import scalars

_INDEX = re.compile(r"/\d+(?=/|$)")


def of_answers(outcomes: Sequence[Outcome], settled: Sequence[Outcome]) -> Iterator[RecordError]:
    """Yield the problems of each rejected attempt, oldest first, then the parts that have no answer."""
    for rejection in _rejections(outcomes):
        attempt = rejection.completion.prompt.attempt
        yield from (RecordError(problem, rejection.chunk.index, attempt) for problem in rejection.problems)
    yield from _given_up(settled)


def of_data(problems: Iterable[Problem], withheld: Sequence[Withheld]) -> list[RecordError]:
    """Return how merged data breaks the schema: what is missing or was withheld first, then what contradicts it."""
    found = [_of_whole(problem, withheld) for problem in problems]
    return [RecordError(problem) for problem in sorted(found, key=lambda problem: problem.code == "schema")]


def of_references(dangling: Mapping[str, str]) -> list[RecordError]:
    """Return an error for each reference that names nothing, by its pointer before it was withheld."""
    messages = (f"{pointer}: names no value of {target}, and was withheld" for pointer, target in dangling.items())
    return [RecordError(Problem("reference", message)) for message in messages]


def settle(outcome: Outcome) -> Outcome:
    """Return what counts of a final outcome: of a rejection, the most that any attempt at this prompt would leave."""
    if isinstance(outcome, Extraction):
        return outcome
    prompt = outcome.completion.prompt
    attempts = [each for each in (*prompt.rejected, outcome) if each.chunk == outcome.chunk]
    left = [each.salvage for each in attempts if each.salvage is not None and _fields(each) == _fields(outcome)]
    return max(left, key=_found_values, default=outcome)


def _found_values(extraction: Extraction) -> int:
    return sum(scalar.value is not None for scalar in scalars(extraction.data))


def is_cut_off(outcome: Outcome, settled: Outcome) -> bool:
    """Tell whether what counts of a final outcome is the beginning of an answer that was cut off."""
    rejected = (*outcome.completion.prompt.rejected, outcome)
    cut = [each for each in rejected if isinstance(each, Rejection) and each.code == "length"]
    return any(each.completion is settled.completion for each in cut) and isinstance(settled, Extraction)


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


def _of_whole(problem: Problem, withheld: Iterable[Withheld]) -> Problem:
    """Return why merged data breaks the schema: for want of what was withheld, where that is the reason."""
    field = _INDEX.sub("", problem.message.partition(": ")[0]).removeprefix("/")
    code = next((each.code for each in withheld if f"{each.field}/".startswith(f"{field}/")), None)
    if code is None:
        return problem
    return Problem(problem.code if code == "schema" else code, f"{problem.message}, without the values withheld")
