"""Label Studio: the JSON of its tasks, with annotations or predictions, and its JSON-MIN.

A labelled range is a mention of its label. A choice, a text or a number about the whole text is a value, without a
place, of the field that its control is named after. Of several annotations of a task the one marked as ground truth
counts, else the newest; skipped tasks and those that nobody has annotated are left out, and where nobody has annotated
any, the newest prediction of each counts. Offsets count UTF-16 units. A run's results are written as predictions, all
else as annotations, for controls named `label` (ranges) and after the field (`Choices`), on a text named `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from extractor.annotation_formats._support.annotated_text import (
    AnnotatedText,
    Mention,
    Notes,
    annotated,
    mentions,
    unplaced,
)
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.json_list import json_list
from extractor.annotation_formats._support.options import WriteOptions
from extractor.data import Json
from extractor.errors import InputError
from extractor.text.places import written
from extractor.text.utf16 import Utf16Offsets

NAME = "label-studio"
TITLE = "Label Studio JSON (JSON-MIN is read)"
SUFFIXES = ()
NEEDS = ("text",)

PEOPLE, MODELS = ("annotations", "completions"), ("predictions",)
"""Where a task keeps answers; annotations were called completions."""
MIN_KEYS = ("annotation_id", "annotator", "lead_time", "completed_by")
VALUES = ("choices", "text", "number", "rating", "datetime")
"""Where a control about a whole text keeps its value."""

Result = Mapping[str, Json]


def recognises(file: AnnotationFile) -> bool:
    """Tell whether the first item is a task of Label Studio."""
    first = file.first_object
    task = isinstance(first.get("data"), dict) and any(isinstance(first.get(key), list) for key in (*PEOPLE, *MODELS))
    return task or ("data" not in first and any(key in first for key in MIN_KEYS))


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the tasks that have an answer."""
    keys = PEOPLE if any(_answers(task, PEOPLE) for _, task in file.objects()) else MODELS
    for number, (where, task) in enumerate(file.objects(), 1):
        try:
            if item := _task(task, where, file.row_id(number), keys, notes):
                yield item
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{where} is not a task of Label Studio ({type(error).__name__}: {error}).") from error


def _answers(task: Result, keys: Sequence[str]) -> list[Result]:
    found = [each for key in keys for each in task.get(key) or () if isinstance(each, dict)]
    return [each for each in found if not each.get("was_cancelled")]


def _task(task: Result, where: str, name: str, keys: Sequence[str], notes: Notes) -> AnnotatedText | None:
    if not isinstance(task.get("data"), dict):
        return _minimal(task, where, name)
    answers = _answers(task, keys)
    notes.add("tasks that nobody has annotated, left out", not answers)
    notes.add("tasks with several answers, of which the ground truth or the newest counts", len(answers) > 1)
    if not answers:
        return None
    id = str(task["data"].get("id", task.get("id", name)))
    return _result(id, _text(task["data"], where), max(answers, key=_weight)["result"], where, notes)


def _weight(answer: Result) -> tuple[bool, str]:
    return bool(answer.get("ground_truth")), str(answer.get("updated_at") or answer.get("created_at") or "")


def _text(data: Mapping[str, Json], where: str) -> str:
    """Return the text of a task: that under `text`, else the longest."""
    if isinstance(data.get("text"), str):
        return str(data["text"])
    texts = [value for value in data.values() if isinstance(value, str)]
    if not texts:
        raise InputError(f"{where} holds no text. Only tasks about texts are read.")
    return max(texts, key=len)


def _result(id: str, text: str, results: Sequence[Result], where: str, notes: Notes) -> AnnotatedText:
    offsets = Utf16Offsets.of(text)
    found: list[Mention] = []
    values: dict[str, list[Json]] = {}
    for each in results:
        value, kind = each.get("value", {}), str(each.get("type", ""))
        if kind == "labels" or (not kind and "labels" in value):
            found += _labelled(value, text, offsets, where, each.get("score"))
        elif kind == "relation":
            notes.add("relations, left out")
        elif "start" in value or not any(key in value for key in VALUES):
            notes.add(f"results of the kind {kind or 'unknown'} about a part of the text, left out")
        else:
            given = next(value[key] for key in VALUES if key in value)
            values.setdefault(str(each["from_name"]), []).extend(given if isinstance(given, list) else [given])
    return annotated(id, text, found, {name: _one(given) for name, given in values.items()}, where)


def _one(given: list[Json]) -> Json:
    return given[0] if len(given) == 1 else given


def _labelled(
    value: Mapping[str, Json], text: str, offsets: Utf16Offsets, where: str, score: Json = None
) -> Iterator[Mention]:
    """Yield a mention for each label of a range: of characters, where only they give the text that it shows."""
    start, end, shown = int(value["start"]), int(value["end"]), value.get("text")
    try:
        span = offsets.decode(start), offsets.decode(end)
    except ValueError as error:
        raise InputError(f"{where}: {start}:{end} is not a range of the text: {error}.") from error
    if isinstance(shown, str) and not _alike(text[slice(*span)], shown):
        if not _alike(text[start:end], shown):
            raise InputError(f"{where}: {start}:{end} should be {shown!r}, but the text has {text[slice(*span)]!r}.")
        span = start, end
    for label in value.get("labels") or ():
        yield Mention(str(label), span, None if score is None else float(score))


def _alike(actual: str, shown: str) -> bool:
    """Tell whether a range holds the text that it shows, in which a line end may be written as two characters."""
    return "".join(actual.split()) == "".join(shown.replace("\\n", "\n").split())


def _minimal(task: Result, where: str, name: str) -> AnnotatedText:
    """Return the text of an item of JSON-MIN, whose keys are the data's and the names of the controls."""
    known = ("id", "text", *MIN_KEYS, "created_at", "updated_at")
    text = _text({"text": task["text"]} if "text" in task else task, where)
    offsets = Utf16Offsets.of(text)
    found: list[Mention] = []
    values: dict[str, Json] = {}
    for key, value in task.items():
        regions = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
        if regions:
            found += [each for region in regions for each in _labelled(region, text, offsets, where)]
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            values[key] = value["choices"]
        elif key not in known and value != text and not isinstance(value, dict):
            values[key] = value
    return annotated(str(task.get("id", name)), text, found, values, where)


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield a list of tasks to import. One without an answer is a task to annotate."""
    return json_list(_written(item, options.notes) for item in items)


def _written(item: AnnotatedText, notes: Notes) -> Json:
    text = item.text or ""
    task: dict[str, Json] = {"data": {"id": item.id, "text": text}}
    if item.data is None:
        return task
    results = [*_regions(item, text, notes), *_whole_text(item)]
    if not item.model:
        return {**task, "annotations": [{"result": results}]}
    scores = [*item.confidence.values()]
    lowest = {"score": min(scores)} if scores else {}
    return {**task, "predictions": [{"model_version": item.model, **lowest, "result": results}]}


def _regions(item: AnnotatedText, text: str, notes: Notes) -> Iterator[Json]:
    offsets = Utf16Offsets.of(text)
    for number, each in enumerate(mentions(item, notes, unplaced(item)), 1):
        start, end = each.span
        value = {"start": offsets.encode(start), "end": offsets.encode(end), "text": text[start:end]}
        score = {} if each.confidence is None else {"score": each.confidence}
        names = {"id": f"r{number}", "from_name": "label", "to_name": "text", "type": "labels"}
        yield {**names, **score, "value": {**value, "labels": [each.type]}}


def _whole_text(item: AnnotatedText) -> Iterator[Json]:
    for name, value in unplaced(item).items():
        choices = [written(each) for each in (value if isinstance(value, list) else [value])]
        names = {"id": f"c-{name}", "from_name": name, "to_name": "text", "type": "choices"}
        yield {**names, "value": {"choices": choices}}
