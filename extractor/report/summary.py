"""What a run came to, record by record: counts, problem codes, fields, confidence, lengths, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from extractor.data import STATUSES, Json, Record, RunInfo, Status
from extractor.errors import Code
from extractor.report.entries import ungrounded
from extractor.task.json_pointer import escape_pointer, scalars
from extractor.task.task import Task

CONFIDENCE_BINS = 10
LENGTHS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Characters: upper bounds of the bins of the histogram of lengths; the last bin is open."""


@dataclass
class FieldStats:
    """One field over all documents."""

    documents: int = 0
    values: int = 0
    ungrounded: int = 0
    conflicts: int = 0
    confidence: float = 0.0
    with_confidence: int = 0

    def as_json(self, name: str) -> dict[str, Json]:
        """Return the counts of the field, and its mean confidence."""
        mean = self.confidence / self.with_confidence if self.with_confidence else None
        return {
            "name": name,
            "documents": self.documents,
            "values": self.values,
            "ungrounded": self.ungrounded,
            "conflicts": self.conflicts,
            "confidence": None if mean is None else round(mean, 4),
        }


@dataclass
class Summary:
    """The sums over records. `task` gives the order of the fields and says which values must occur in the text."""

    task: Task | None = None
    status: Counter[Status] = field(default_factory=Counter)
    codes: Counter[Code] = field(default_factory=Counter)
    runs: Counter[RunInfo] = field(default_factory=Counter)
    fields: dict[str, FieldStats] = field(default_factory=dict)
    confidence: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    lengths: list[int] = field(default_factory=lambda: [0] * (len(LENGTHS) + 1))
    seconds: list[float] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for entity in self.task.fields if self.task else ():
            self.fields[escape_pointer(entity.name)] = FieldStats()

    def add(self, record: Record) -> Record:
        """Count a record, and return it."""
        self.status[record.status] += 1
        self.runs[record.run] += 1
        if record.code is not None:
            self.codes[record.code] += 1
        self.odd["retried"] += any(error.attempt for error in record.errors)
        self.odd["conflicts"] += bool(record.conflicts)
        if record.source.chars is not None:
            self.lengths[sum(record.source.chars >= border for border in LENGTHS)] += 1
        self.tokens.update(read=record.usage.prompt_tokens, written=record.usage.completion_tokens)
        if record.usage.seconds:
            self.seconds.append(record.usage.seconds)
        self._add_values(record)
        return record

    def _add_values(self, record: Record) -> None:
        odd = ungrounded(record, self.task)
        self.odd["ungrounded"] += bool(odd)
        seen = set()
        for name, pointer, value in scalars(record.data or {}):
            if not name:
                continue
            stats = self.fields.setdefault(name, FieldStats())
            if value is None:
                continue
            stats.values += 1
            stats.documents += name not in seen
            seen.add(name)
            stats.ungrounded += pointer in odd
            stats.conflicts += pointer in record.conflicts
            self._add_confidence(stats, record.confidence.get(pointer))

    def _add_confidence(self, stats: FieldStats, confidence: float | None) -> None:
        if confidence is not None:
            stats.confidence += confidence
            stats.with_confidence += 1
            self.confidence[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1

    def names(self) -> list[str]:
        """Return the fields that have values of their own: not an object, whose members are fields."""
        return [name for name in self.fields if not any(other.startswith(f"{name}/") for other in self.fields)]

    def as_json(self, documents_per_second: float | None = None) -> dict[str, Json]:
        """Return the page's data about the run."""
        return {
            "documents": self.status.total(),
            **{status: self.status[status] for status in STATUSES},
            **{name: self.odd[name] for name in ("ungrounded", "conflicts", "retried")},
            "codes": self.codes.most_common(),
            "runs": [asdict(run) for run, _ in self.runs.most_common()],
            "fields": [self.fields[name].as_json(name) for name in self.names()],
            "confidence": self.confidence,
            "lengths": [[_label(number), count] for number, count in enumerate(_trimmed(self.lengths))],
            "tokens": {"read": self.tokens["read"], "written": self.tokens["written"]},
            "latency": _latency(self.seconds),
            "throughput": documents_per_second,
        }


def _trimmed(counts: Sequence[int]) -> Sequence[int]:
    """Return the bins without the empty ones at the end."""
    return counts[: max((number + 1 for number, count in enumerate(counts) if count), default=0)]


def _label(number: int) -> str:
    low = LENGTHS[number - 1] if number else 0
    return f"{low:,}–{LENGTHS[number]:,}" if number < len(LENGTHS) else f"{low:,} and more"


def _latency(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return the median and the 95th percentile of the seconds from submission to answer."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {"median": round(ordered[len(ordered) // 2], 3), "p95": round(ordered[int(len(ordered) * 0.95)], 3)}
