"""The way of an answer: extract, unwrap, coerce, validate.

The schema has the last word, whatever produced the text. Messages of a Rejection name fields and rules, never values:
they end up in records and logs. This module does not read JSON itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extractor.data import Completion, Extraction, Json, Outcome, Rejection
from extractor.stages.parsing.extract_json import is_complete, is_lossy, read_json, without_end
from extractor.stages.parsing.salvage import salvage, says_something
from extractor.stages.parsing.unwrap import unwrap
from extractor.task.coerce import coerce, fold
from extractor.task.task import Task
from extractor.text.strict_json import ParsedJson, plain

_NO_ANSWER = {
    "overflow": "the prompt exceeds the model's context",
    "numerics": "the model computed NaN or infinity",
    "error": "the backend gave up on this prompt",
    "internal": "a bug of this program",
}
_CUT_OFF = "the answer was cut off at the limit of tokens"
_THINK = re.compile(r"\s*<think>")
LONGEST = 1_000_000
"""Characters of an answer: seconds where it is no JSON, and no model's. A server may not care for `--max-tokens`."""
_TOO_LONG = f"the answer has more than {LONGEST:,} characters"
_NO_JSON, _EMPTY = "the answer holds no JSON", "the answer is empty"


def parse(completion: Completion) -> Outcome:
    """Parse a backend's answer to data of its task, or reject it with the reason."""
    if completion.finish != "stop" and completion.finish != "length":
        return Rejection.of(completion, completion.finish, completion.detail or _NO_ANSWER[completion.finish])
    if len(completion.text) > LONGEST:
        return Rejection.of(completion, "length", _TOO_LONG)
    text = _after_thinking(completion.text)
    if text is None:
        return Rejection.of(completion, "length", _CUT_OFF)
    extracted = read_json(text, _names(completion.prompt.task))
    if completion.finish == "length" and not is_complete(extracted, text):
        return Rejection.of(completion, "length", _CUT_OFF, salvage=_begun(completion, extracted))
    if extracted is None:
        return Rejection.of(completion, "parse", _NO_JSON if text.strip() else _EMPTY)
    return _judge(completion, extracted if text == completion.text else extracted.after("thoughts"))


def _begun(completion: Completion, extracted: ParsedJson | None) -> Extraction | None:
    """Return what a cut-off answer had said to its end, if the schema takes it; what is missing there does no harm."""
    whole = None if extracted is None else without_end(extracted)
    judged = None if whole is None else _judge(completion, whole)
    begun = judged.salvage if isinstance(judged, Rejection) else judged
    return begun if begun is not None and says_something(begun) else None


def _judge(completion: Completion, extracted: ParsedJson) -> Outcome:
    """Bring what was read to the form of the task. The schema decides."""
    task = completion.prompt.task
    names = _names(task)
    answer = unwrap(extracted, names)
    if not isinstance(answer.value, dict):
        return Rejection.of(completion, "parse", f"the answer must be one JSON object, not {_kind(answer.value)}")
    # A lossy step makes an object of nearly anything ("{" becomes {}); one without any field of the task is garbage.
    if is_lossy(answer) and not (_has_field(answer.value, names) or (task.is_map and answer.value)):
        return Rejection.of(completion, "parse", "the answer names no field")
    coerced = coerce(answer, task)
    extraction = Extraction(completion, plain(coerced.value), "+".join(coerced.steps))
    problems = task.problems(coerced.value)
    if not problems:
        return extraction
    # What the document may just not have costs nothing that was found, and neither does another value that is wrong.
    only_missing = all(problem.code == "required" for problem in problems)
    return Rejection(completion, problems, extraction if only_missing else salvage(extraction))


def _after_thinking(text: str) -> str | None:
    """Return an answer without the thoughts before it (`<think>...</think>`); None where they do not end."""
    while (start := _THINK.match(text)) is not None:
        _, end, text = text[start.end() :].partition("</think>")
        if not end:
            return None
    return text


def _names(task: Task) -> tuple[str, ...]:
    """List the keys that a field may have in an answer: its name, then its title."""
    names = [field.name for field in task.fields]
    titles = [field.title for field in task.fields if field.title]
    return tuple(dict.fromkeys([*names, *titles]))


def _has_field(value: Mapping[str, Json], names: tuple[str, ...]) -> bool:
    return not set(map(fold, names)).isdisjoint(map(fold, value))


def _kind(value: Json) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "null" if value is None else f"a {'string' if isinstance(value, str) else 'single value'}"
