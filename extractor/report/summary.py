"""What a run came to, record by record: counts, reasons, fields, confidence, lengths, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from extractor.data import Json, Record, RunInfo
from extractor.report.entries import placeless
from extractor.task.json_pointer import escape_pointer, scalars
from extractor.task.task import Task

CONFIDENCE_BINS = 10
LENGTHS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Characters: upper borders of the bins of the histogram of lengths; the last bin is open."""


@dataclass
class FieldTally:
    """One field over all documents."""

    documents: int = 0
    values: int = 0
    placeless: int = 0
    conflicts: int = 0
    sure: float = 0.0
    with_confidence: int = 0

    def as_json(self, name: str) -> dict[str, Json]:
        mean = self.sure / self.with_confidence if self.with_confidence else None
        return {
            "name": name,
            "documents": self.documents,
            "values": self.values,
            "placeless": self.placeless,
            "conflicts": self.conflicts,
            "sure": None if mean is None else round(mean, 4),
        }


@dataclass
class Summary:
    """Adds up records. `task` gives the order of the fields and says which values must have a place."""

    task: Task | None = None
    status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    runs: Counter[RunInfo] = field(default_factory=Counter)
    fields: dict[str, FieldTally] = field(default_factory=dict)
    confidence: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    lengths: list[int] = field(default_factory=lambda: [0] * (len(LENGTHS) + 1))
    seconds: list[float] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for entity in self.task.fields if self.task else ():
            self.fields[escape_pointer(entity.name)] = FieldTally()

    def add(self, record: Record) -> Record:
        """Count a record, and hand it on."""
        self.status[record.status] += 1
        self.runs[record.run] += 1
        if record.status == "failed" and record.errors:
            self.reasons[record.errors[-1].problem.code] += 1
        self.odd["retried"] += any(failure.attempt for failure in record.errors)
        self.odd["conflicts"] += bool(record.conflicts)
        if record.source.chars is not None:
            self.lengths[sum(record.source.chars >= border for border in LENGTHS)] += 1
        self.tokens.update(read=record.usage.prompt_tokens, written=record.usage.completion_tokens)
        if record.usage.seconds:
            self.seconds.append(record.usage.seconds)
        self._add_values(record)
        return record

    def _add_values(self, record: Record) -> None:
        odd = placeless(record, self.task)
        self.odd["placeless"] += bool(odd)
        seen = set()
        for name, pointer, value in scalars(record.data or {}):
            if not name:
                continue
            tally = self.fields.setdefault(name, FieldTally())
            if value is None:
                continue
            tally.values += 1
            tally.documents += name not in seen
            seen.add(name)
            tally.placeless += pointer in odd
            tally.conflicts += pointer in record.conflicts
            self._add_confidence(tally, record.confidence.get(pointer))

    def _add_confidence(self, tally: FieldTally, sure: float | None) -> None:
        if sure is not None:
            tally.sure += sure
            tally.with_confidence += 1
            self.confidence[min(int(sure * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1

    def names(self) -> list[str]:
        """The fields that have values of their own: not an object, of which the members are fields."""
        return [name for name in self.fields if not any(other.startswith(f"{name}/") for other in self.fields)]

    def as_json(self, documents_per_second: float | None = None) -> dict[str, Json]:
        return {
            "documents": self.status.total(),
            "ok": self.status["ok"],
            "failed": self.status["failed"],
            **{name: self.odd[name] for name in ("placeless", "conflicts", "retried")},
            "reasons": self.reasons.most_common(),
            "runs": [asdict(run) for run, _ in self.runs.most_common()],
            "fields": [self.fields[name].as_json(name) for name in self.names()],
            "confidence": self.confidence,
            "lengths": [[_span(number), count] for number, count in enumerate(_trimmed(self.lengths))],
            "tokens": {"read": self.tokens["read"], "written": self.tokens["written"]},
            "seconds": _middle(self.seconds),
            "per_second": documents_per_second,
        }


def _trimmed(counts: Sequence[int]) -> Sequence[int]:
    """Without the empty bins at the end."""
    return counts[: max((number + 1 for number, count in enumerate(counts) if count), default=0)]


def _span(number: int) -> str:
    low = LENGTHS[number - 1] if number else 0
    return f"{low:,}–{LENGTHS[number]:,}" if number < len(LENGTHS) else f"{low:,} and more"


def _middle(seconds: Sequence[float]) -> dict[str, float] | None:
    """Median and 95th percentile of the time from asking to answer."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {"median": round(ordered[len(ordered) // 2], 3), "most": round(ordered[int(len(ordered) * 0.95)], 3)}
