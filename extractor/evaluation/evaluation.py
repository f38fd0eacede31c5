"""One run against gold: every value judged once, and what the counts say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation.answers import Answer, Place
from extractor.evaluation.calibration import Reliability, reliability
from extractor.evaluation.matching import Key, Verdict, judge, overlapping
from extractor.evaluation.scores import FOUND, GOLD, RIGHT, Counts, Resampling, Scores, score
from extractor.task.json_pointer import scalars
from extractor.text.meaning import exact, meaning
from extractor.text.places import TextIndex

VALUES: Mapping[str, Key] = {"exact": exact, "normalized": meaning}
"""Ways to match values: equal as JSON, or the same in meaning."""

PLACES = ("strict", "partial")
"""Ways to match marked places: the same characters, or any of them."""

NOTHING = Answer("", None)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which values count: of `fields` (properties of a schema), else of the fields that the gold names.

    `grounded` gives the pointers into some data whose values must stand in the document; None takes all but true and
    false.
    """

    fields: tuple[str, ...] | None = None
    grounded: Callable[[Mapping[str, Json]], Collection[str]] | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict by meaning, with what is known beside it. `in_text` is None where the document is not at hand."""

    id: str
    verdict: Verdict
    confidence: float | None
    gold_is_null: bool
    in_text: bool | None


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Values found where the gold has none, and values that stand nowhere in their document, of those whose document
    is at hand (`checked`)."""

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
    counts: Mapping[str, Counts]
    values: tuple[Judged, ...]
    unscored: Mapping[str, int] = field(default_factory=dict)

    def scores(self, way: str, resampling: Resampling) -> Scores:
        return score(self.counts[way], resampling)

    def right(self, way: str = "normalized") -> NDArray[np.bool_]:
        """Whether a field of a document is all right, null for null included: (documents, fields)."""
        counts = self.counts[way]
        same = (counts[..., RIGHT] == counts[..., GOLD]) & (counts[..., RIGHT] == counts[..., FOUND])
        return np.asarray(same & self.answered[:, None])

    @property
    def nulls(self) -> NDArray[np.bool_]:
        """Whether the gold of a field has no value: (documents, fields)."""
        return np.asarray(self.counts["normalized"][..., GOLD] == 0)

    def made_up(self, name: str | None = None) -> MadeUp:
        """Values of a field, or of all, that nobody wrote."""
        found = [
            each for each in self.values if each.verdict.outcome != "missed" and name in (None, each.verdict.field)
        ]
        return MadeUp(
            sum(each.gold_is_null for each in found),
            sum(each.in_text is False for each in found),
            sum(each.in_text is not None for each in found),
        )

    @property
    def reliability(self) -> Reliability | None:
        """What the confidence of the values found is worth; None where none has a confidence."""
        found = [each for each in self.values if each.verdict.outcome != "missed"]
        pairs = [(each.confidence, each.verdict.right) for each in found if each.confidence is not None]
        return reliability(pairs, len(found) - len(pairs), int(self.counts["normalized"][..., GOLD].sum()))


def evaluate(gold: Sequence[Answer], found: Mapping[str, Answer], scope: Scope = EVERYTHING) -> Evaluation:
    """Judge the answers to the documents of the gold; a document that `found` lacks has found nothing.

    Raises InputError where the gold has no documents or no fields, or both sides no document in common.
    """
    return evaluate_all(gold, [found], scope)[0]


def evaluate_all(
    gold: Sequence[Answer], runs: Sequence[Mapping[str, Answer]], scope: Scope = EVERYTHING
) -> list[Evaluation]:
    """Judge several runs on the same fields, so that they can be compared."""
    answers = [[found.get(each.id, NOTHING) for each in gold] for found in runs]
    for found, given in zip(runs, answers, strict=True):
        if all(each is NOTHING for each in given):
            raise InputError(_nothing_in_common(gold, found))
    fields = _fields(gold, [each for given in answers for each in given], scope)
    if not fields:
        raise InputError("The gold names no fields: its rows have empty `data`. Name them with -s SCHEMA.")
    return [_evaluation(gold, given, fields, scope) for given in answers]


def _evaluation(gold: Sequence[Answer], given: Sequence[Answer], fields: tuple[str, ...], scope: Scope) -> Evaluation:
    judging = _Judge(fields, scope)
    for expected, answer in zip(gold, given, strict=True):
        judging.add(expected, answer)
    return Evaluation(
        ids=tuple(each.id for each in gold),
        fields=fields,
        answered=np.array([each.data is not None for each in given]),
        counts=judging.arrays(),
        values=tuple(judging.values),
        unscored={name: count for name, count in _named(given).items() if name not in fields},
    )


@dataclass
class _Judge:
    """Collects the counts of one document after the other."""

    fields: tuple[str, ...]
    scope: Scope
    values: list[Judged] = field(default_factory=list)
    counts: dict[str, list[Counts]] = field(default_factory=dict)
    places: bool = False

    def add(self, gold: Answer, given: Answer) -> None:
        for way, key in VALUES.items():
            verdicts = [each for each in judge(given.data, gold.data, key) if each.field in self.fields]
            self._count(way, map(_of_verdict, verdicts))
            if way == "normalized":
                self.values += self._judged(gold, given, verdicts)
        marked = gold.places is not None
        self.places = self.places or (marked and given.places is not None)
        ours, theirs = (side.places or frozenset() if marked else frozenset() for side in (given, gold))
        self._count("strict", self._strict(ours, theirs))
        self._count("partial", self._partial(ours, theirs))

    def arrays(self) -> dict[str, Counts]:
        """The counts of all documents; of places only where both sides name some."""
        ways = [*VALUES, *(PLACES if self.places else ())]
        return {way: np.array(self.counts[way]) for way in ways}

    def _count(self, way: str, parts: Iterable[tuple[str, int, int, int]]) -> None:
        table = np.zeros((len(self.fields), 3), np.int64)
        for name, *numbers in parts:
            if name in self.fields:
                table[self.fields.index(name)] += numbers
        self.counts.setdefault(way, []).append(table)

    def _strict(self, ours: frozenset[Place], theirs: frozenset[Place]) -> Iterator[tuple[str, int, int, int]]:
        for place in ours | theirs:
            yield place[0], place in theirs, place in ours, place in ours and place in theirs

    def _partial(self, ours: frozenset[Place], theirs: frozenset[Place]) -> Iterator[tuple[str, int, int, int]]:
        for name in self.fields:
            mine, yours = ([place for place in side if place[0] == name] for side in (ours, theirs))
            yield name, len(yours), len(mine), overlapping(mine, yours)

    def _judged(self, gold: Answer, given: Answer, verdicts: Sequence[Verdict]) -> Iterator[Judged]:
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


def _fields(gold: Sequence[Answer], answers: Iterable[Answer], scope: Scope) -> tuple[str, ...]:
    """The fields that count, in the order of the gold. Where the gold has a null, what is found below counts, too."""
    named, nulls = _named(gold), _named(gold, null=True)
    known = dict.fromkeys(name for each in (*gold, *answers) for name, _, _ in scalars(each.data or {}) if name)
    if scope.fields is None:
        wanted = [name for name in known if name in named or any(_is_within(name, other) for other in nulls)]
    else:
        wanted = [name for name in known if _top(name) in scope.fields]
        wanted += [name for name in scope.fields if name not in map(_top, wanted)]
    return tuple(name for name in wanted if name in named or not any(_is_below(other, name) for other in wanted))


def _named(answers: Iterable[Answer], null: bool = False) -> Counter[str]:
    """How many values the answers have of each field; or how many nulls."""
    return Counter(name for each in answers for name, _, value in scalars(each.data or {}) if (value is None) == null)


def _top(name: str) -> str:
    return name.partition("/")[0]


def _is_below(name: str, other: str) -> bool:
    return name.startswith(f"{other}/")


def _is_within(name: str, other: str) -> bool:
    return name == other or _is_below(name, other)


def _nothing_in_common(gold: Sequence[Answer], found: Mapping[str, Answer]) -> str:
    if not gold:
        return "The gold holds no documents."
    known = f"the results have {next(iter(found))!r}" if found else "the results have no rows"
    return f"No document of the gold stands in the results: the gold has {gold[0].id!r}, {known}. Ids must be the same."
