"""One run against gold: every value judged once, and what the counts say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation.annotations import Annotation, Mention
from extractor.evaluation.calibration import Calibration, calibrate
from extractor.evaluation.matching import Key, Verdict, count_overlapping, match_values
from extractor.evaluation.scores import FOUND, GOLD, RIGHT, CountArray, Resampling, Scores, score
from extractor.task.task import Task
from extractor.text.json_pointer import scalars
from extractor.text.meaning import exact, meaning
from extractor.text.places import TextIndex

VALUE_KEYS: Mapping[str, Key] = {"exact": exact, "normalized": meaning}
"""Ways to match values: equal as JSON, or the same in meaning."""

SPAN_MATCHES = ("strict", "partial")
"""Ways to match spans: the same characters, or any in common."""

NOTHING = Annotation("", None)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which values count: of `fields` (properties of a schema), else of the fields that the gold names.

    `grounded` returns the pointers into some data whose values must occur in the document; None takes all but booleans.
    """

    fields: tuple[str, ...] | None = None
    grounded: Callable[[Mapping[str, Json]], Collection[str]] | None = None

    @classmethod
    def of(cls, task: Task) -> Scope:
        """Return the fields of a task; its `x-ground` says which values must occur in the document."""

        def grounded(data: Mapping[str, Json]) -> set[str]:
            return {leaf.pointer for leaf in task.leaves(data) if leaf.ground != "none"}

        return cls(task.all_fields, grounded)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict by meaning, with what else is known. `in_text` is None where the document is not available."""

    id: str
    verdict: Verdict
    confidence: float | None
    gold_is_null: bool
    in_text: bool | None


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Values found where the gold has none, and values that do not occur in their document, of those whose document is
    available (`checked`)."""

    where_null: int
    not_in_text: int
    checked: int


@dataclass(frozen=True)
class Evaluation:
    """One run against gold, document by document and field by field. A document without an answer has found nothing,
    and its nulls are not right."""

    ids: tuple[str, ...]
    fields: tuple[str, ...]
    answered: NDArray[np.bool_]
    counts: Mapping[str, CountArray]
    values: tuple[Judged, ...]
    unscored: Mapping[str, int] = field(default_factory=dict)

    def scores(self, way: str, resampling: Resampling) -> Scores:
        """Return precision, recall and F1 by one way of matching."""
        return score(self.counts[way], resampling)

    def right(self, way: str = "normalized") -> NDArray[np.bool_]:
        """Tell for each field of each document whether it is all right, null for null included: (documents, fields)."""
        counts = self.counts[way]
        same = (counts[..., RIGHT] == counts[..., GOLD]) & (counts[..., RIGHT] == counts[..., FOUND])
        return np.asarray(same & self.answered[:, None])

    @property
    def nulls(self) -> NDArray[np.bool_]:
        """Whether the gold of a field has no value: (documents, fields)."""
        return np.asarray(self.counts["normalized"][..., GOLD] == 0)

    def made_up(self, name: str | None = None) -> MadeUp:
        """Count the values of a field, or of all fields, that are made up."""
        found = [
            each for each in self.values if each.verdict.outcome != "missed" and name in (None, each.verdict.field)
        ]
        return MadeUp(
            sum(each.gold_is_null for each in found),
            sum(each.in_text is False for each in found),
            sum(each.in_text is not None for each in found),
        )

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the values found; None where none has a confidence."""
        found = [each for each in self.values if each.verdict.outcome != "missed"]
        pairs = [(each.confidence, each.verdict.right) for each in found if each.confidence is not None]
        return calibrate(pairs, len(found) - len(pairs), int(self.counts["normalized"][..., GOLD].sum()))


def evaluate(gold: Sequence[Annotation], found: Mapping[str, Annotation], scope: Scope = EVERYTHING) -> Evaluation:
    """Judge what a run found in the documents of the gold; in a document that `found` lacks it found nothing.

    Raise InputError where the gold has no documents or no fields, or both sides no document in common.
    """
    return evaluate_all(gold, [found], scope)[0]


def evaluate_all(
    gold: Sequence[Annotation], runs: Sequence[Mapping[str, Annotation]], scope: Scope = EVERYTHING
) -> list[Evaluation]:
    """Judge several runs on the same fields, so that they can be compared."""
    annotations = [[found.get(each.id, NOTHING) for each in gold] for found in runs]
    for found, given in zip(runs, annotations, strict=True):
        if all(each is NOTHING for each in given):
            raise InputError(_nothing_in_common(gold, found))
    fields = _fields(gold, [each for given in annotations for each in given], scope)
    if not fields:
        raise InputError("The gold names no fields: its rows have empty `data`. Name them with -s SCHEMA.")
    return [_evaluation(gold, given, fields, scope) for given in annotations]


def _evaluation(
    gold: Sequence[Annotation], given: Sequence[Annotation], fields: tuple[str, ...], scope: Scope
) -> Evaluation:
    judge = _Judge(fields, scope)
    for expected, actual in zip(gold, given, strict=True):
        judge.add(expected, actual)
    return Evaluation(
        ids=tuple(each.id for each in gold),
        fields=fields,
        answered=np.array([each.data is not None for each in given]),
        counts=judge.arrays(),
        values=tuple(judge.values),
        unscored={name: count for name, count in _named(given).items() if name not in fields},
    )


@dataclass
class _Judge:
    """Collects counts, document by document."""

    fields: tuple[str, ...]
    scope: Scope
    values: list[Judged] = field(default_factory=list)
    counts: dict[str, list[CountArray]] = field(default_factory=dict)
    has_spans: bool = False

    def add(self, gold: Annotation, given: Annotation) -> None:
        """Judge one document."""
        for way, key in VALUE_KEYS.items():
            verdicts = [each for each in match_values(given.data, gold.data, key) if each.field in self.fields]
            self._count(way, map(_of_verdict, verdicts))
            if way == "normalized":
                self.values += self._judged(gold, given, verdicts)
        marked = gold.mentions is not None
        self.has_spans = self.has_spans or (marked and given.mentions is not None)
        ours, theirs = (side.mentions or frozenset() if marked else frozenset() for side in (given, gold))
        self._count("strict", self._strict(ours, theirs))
        self._count("partial", self._partial(ours, theirs))

    def arrays(self) -> dict[str, CountArray]:
        """Return the counts of all documents; of spans only where both sides have some."""
        ways = [*VALUE_KEYS, *(SPAN_MATCHES if self.has_spans else ())]
        return {way: np.array(self.counts[way]) for way in ways}

    def _count(self, way: str, parts: Iterable[tuple[str, int, int, int]]) -> None:
        table = np.zeros((len(self.fields), 3), np.int64)
        for name, *numbers in parts:
            if name in self.fields:
                table[self.fields.index(name)] += numbers
        self.counts.setdefault(way, []).append(table)

    def _strict(self, ours: frozenset[Mention], theirs: frozenset[Mention]) -> Iterator[tuple[str, int, int, int]]:
        for mention in ours | theirs:
            yield mention[0], mention in theirs, mention in ours, mention in ours and mention in theirs

    def _partial(self, ours: frozenset[Mention], theirs: frozenset[Mention]) -> Iterator[tuple[str, int, int, int]]:
        for name in self.fields:
            mine, yours = ([mention for mention in side if mention[0] == name] for side in (ours, theirs))
            yield name, len(yours), len(mine), count_overlapping(mine, yours)

    def _judged(self, gold: Annotation, given: Annotation, verdicts: Sequence[Verdict]) -> Iterator[Judged]:
        text = given.text if gold.text is None else gold.text
        index = None if text is None else TextIndex(text)
        grounded = self.scope.grounded(given.data) if self.scope.grounded and given.data else None
        named = {each.field for each in verdicts if each.outcome != "wrong"}
        for each in verdicts:
            found = each.outcome != "missed"
            must = found and (each.pointer in grounded if grounded is not None else not isinstance(each.value, bool))
            yield Judged(
                id=gold.id,
                verdict=each,
                confidence=given.confidence.get(each.pointer) if found else None,
                gold_is_null=each.field not in named,
                in_text=bool(index.find_by_meaning(each.value)) if index and must else None,
            )


def _of_verdict(verdict: Verdict) -> tuple[str, int, int, int]:
    missed, right = verdict.outcome == "missed", verdict.right
    return verdict.field, missed or right, not missed, right


def _fields(gold: Sequence[Annotation], annotations: Iterable[Annotation], scope: Scope) -> tuple[str, ...]:
    """Return the fields that count, in the order of the gold. Where it has null, what is found below that counts."""
    named, nulls = _named(gold), _named(gold, null=True)
    known = dict.fromkeys(name for each in (*gold, *annotations) for name, _, _ in scalars(each.data or {}) if name)
    if scope.fields is None:
        wanted = [name for name in known if name in named or any(_is_within(name, other) for other in nulls)]
    else:
        wanted = [name for name in known if _top(name) in scope.fields]
        wanted += [name for name in scope.fields if name not in map(_top, wanted)]
    return tuple(name for name in wanted if name in named or not any(_is_below(other, name) for other in wanted))


def _named(annotations: Iterable[Annotation], null: bool = False) -> Counter[str]:
    """Return how many values of each field there are; or how many nulls."""
    return Counter(
        name for each in annotations for name, _, value in scalars(each.data or {}) if (value is None) == null
    )


def _top(name: str) -> str:
    return name.partition("/")[0]


def _is_below(name: str, other: str) -> bool:
    return name.startswith(f"{other}/")


def _is_within(name: str, other: str) -> bool:
    return name == other or _is_below(name, other)


def _nothing_in_common(gold: Sequence[Annotation], found: Mapping[str, Annotation]) -> str:
    if not gold:
        return "The gold holds no documents."
    known = f"the results have {next(iter(found))!r}" if found else "the results have no rows"
    return f"No document of the gold is in the results: the gold has {gold[0].id!r}, {known}. Ids must be the same."
