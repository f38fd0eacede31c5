"""The records that flow through the pipeline, in the order in which they come to be.

    Document -> Chunk -> Prompt -> Completion -> Extraction | Rejection -> Record

Each is frozen and holds its predecessor, so where something came from is never looked up again. All offsets are
Python character offsets (code points) into `Document.text`. This module knows no stage and imports none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from extractor.errors import Code, Problem

if TYPE_CHECKING:
    from extractor.task.task import Task

Json = Any
"""A value that `json.loads` can return."""

Span = tuple[int, int]
"""Half-open character range in a document's text."""

Ground = Literal["verbatim", "normalized", "none"]
"""How a value must occur in the text."""

Ungrounded = Literal["retry", "null", "keep"]
"""What to do with a value that does not occur in the text: ask again, withhold it, or keep it with a flag."""

Normalization = Literal["date", "number", "money", "phone"]
"""What the notation of a value is brought into, beside the value: ISO 8601, a plain number, yuan, E.164."""

GROUNDS: tuple[Ground, ...] = get_args(Ground)
UNGROUNDED: tuple[Ungrounded, ...] = get_args(Ungrounded)
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)

FLAGS = ("ungrounded", "example")
"""Marks in `grounded` of values without a place: `ungrounded`, kept all the same; `example`, in an example as well."""

RECORD_VERSION = 2
"""Version of the envelope that `Record` describes."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document's text came from: the file, the SHA-256 (hex) of its bytes, its encoding and length.

    `notes` says what of the file the text leaves out or has in doubt, a line each: `left out: 2 hidden rows`.
    """

    path: str
    sha256: str
    encoding: str | None = None
    chars: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """Characters `start` to `end` of a document's text, and their location in the file: `{"page": 3}`."""

    start: int
    end: int
    location: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Document:
    """One text to extract from.

    `id` is stable: the same input gives the same ids. `segments`, in order of `start`, locate the text in a file that
    is not plain text.
    """

    id: str
    text: str
    source: Source
    segments: tuple[Segment, ...] = ()

    def location(self, offset: int) -> Mapping[str, Json]:
        """Return where in the file the character at `offset` is; empty where the format does not say."""
        after = bisect_right(self.segments, offset, key=lambda segment: segment.start)
        return self.segments[after - 1].location if after else {}


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document without a text, and why. It becomes a `failed` record: never a skip, never the end of a run."""

    id: str
    source: Source
    problem: Problem


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part `index` of a document: `document.text[start:end]`."""

    document: Document
    index: int
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.document.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `tools` go under the content of a system turn."""

    role: Literal["system", "user", "assistant", "observation"]
    content: str
    metadata: str = ""
    tools: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: greedily at temperature 0, else by sampling with a recorded seed."""

    temperature: float = 0.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a backend is asked to complete. It carries task and chunk, so that a backend that can constrain knows
    the schema and the source text; `rejected` holds the earlier attempts, oldest first. `found` are the extractions of
    earlier passes over the chunk, `known` the data that they come to."""

    chunk: Chunk
    task: Task
    messages: tuple[Message, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    rejected: tuple[Rejection, ...] = ()
    constrain: bool = True
    found: tuple[Extraction, ...] = ()
    known: Mapping[str, Json] | None = None

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return len(self.rejected) + 1

    @property
    def pass_number(self) -> int:
        """1 for the first pass over the chunk."""
        return len(self.found) + 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, and the seconds from submission to completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """A backend's answer.

    `finish`: `stop` (the model ended it), `length` (cut off at `max_tokens`), `overflow` (the prompt alone exceeds the
    context; no text), `numerics` (the model computed NaN or infinity, no text), `error` (the backend gave up on this
    prompt) or `internal` (a bug over this prompt); `detail` says why. `tokens` are the pieces of
    `text` with the log-probability of each, at temperature 1 and renormalised over what was allowed there (empty where
    a backend gives none). `decoding` names what constrained the answer, where a backend has several ways.
    """

    prompt: Prompt
    text: str
    finish: Literal["stop", "length", "overflow", "numerics", "error", "internal"] = "stop"
    usage: Usage = Usage()
    tokens: tuple[tuple[str, float], ...] = ()
    detail: str = ""
    decoding: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A value that was taken out of the data: its field (`条目/名称`, without list indices), why, and where it was."""

    field: str
    value: Json
    code: Code
    confidence: float | None = None
    spans: tuple[Span, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the entry of `provenance.withheld`."""
        entry = {"field": self.field, "value": self.value, "code": self.code, "confidence": self.confidence}
        return {**entry, "spans": [list(span) for span in self.spans]}


@dataclass(frozen=True, slots=True)
class Extraction:
    """A parsed answer that the schema accepts; after grounding also where its values occur.

    `data` has every property of the schema, `null` where the chunk has none. `spans`, `grounded` and `confidence`
    are keyed by JSON Pointer into `data`. `spans` lists the chosen range of each value, in document offsets;
    `grounded` says how it was chosen (`only`, `order`, `first`, `normalized`, ...) or what is odd about a value
    without a place (`ungrounded`, `example`). `parsed` names the steps of parsing the answer (`strict` when nothing had
    to be repaired). `withheld` are values that the answer had and `data` no longer has.
    """

    completion: Completion
    data: Mapping[str, Json]
    parsed: str = "strict"
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    grounded: Mapping[str, str] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    withheld: tuple[Withheld, ...] = ()

    @property
    def chunk(self) -> Chunk:
        return self.completion.prompt.chunk


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that is not good as it is, and why: one problem or several.

    Their messages name the field and never contain document text or values. `salvage` is what of the answer holds all
    the same: it counts where no better answer comes.
    """

    completion: Completion
    problems: tuple[Problem, ...]
    salvage: Extraction | None = None

    @classmethod
    def of(cls, completion: Completion, code: Code, *messages: str, salvage: Extraction | None = None) -> Rejection:
        """Return the rejection with one problem of a code for each message."""
        return cls(completion, tuple(Problem(code, message) for message in messages), salvage)

    @property
    def code(self) -> Code:
        return self.problems[0].code

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(problem.message for problem in self.problems)

    @property
    def chunk(self) -> Chunk:
        return self.completion.prompt.chunk


Outcome = Extraction | Rejection


def carry_on(outcome: Outcome, step: Callable[[Extraction], Outcome]) -> Outcome:
    """Take a step with an extraction, or with what a rejection would leave of one; its problems add up."""
    if isinstance(outcome, Extraction):
        return step(outcome)
    if outcome.salvage is None:
        return outcome
    further = step(outcome.salvage)
    if isinstance(further, Extraction):
        return replace(outcome, salvage=further)
    return replace(further, problems=(*outcome.problems, *further.problems))


@dataclass(frozen=True, slots=True)
class RecordError:
    """One entry of a record's `errors`: a problem, and in which attempt at which chunk it came up."""

    problem: Problem
    chunk: int | None = None
    attempt: int | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the entry with one level of keys: code, message, chunk, attempt; absent where there is none."""
        entry = {**asdict(self.problem), "chunk": self.chunk, "attempt": self.attempt}
        return {key: value for key, value in entry.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that another part of the document gave for a field that has one, and where it occurs."""

    value: Json
    span: Span | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the entry of a record's `conflicts`."""
        return {"value": self.value, "span": None if self.span is None else list(self.span)}


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """An answer that was sampled, not decoded greedily: which, at what temperature, with what seed."""

    chunk: int
    attempt: int
    pass_number: int
    sampling: Sampling

    def as_json(self) -> dict[str, Json]:
        """Return the entry of `provenance.sampled`; `pass` is left out for the first."""
        which = {"chunk": self.chunk, "attempt": self.attempt}
        later = {"pass": self.pass_number} if self.pass_number > 1 else {}
        return {**which, **later, **asdict(self.sampling)}


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the values of a record were parsed and grounded, and which answers were sampled.

    `parsed`: how answers were parsed; `grounded`: how the place of each value was chosen, by pointer; `withheld`:
    values taken out; `decoding`: what constrained the answers, where a backend has several ways; `unconstrained`:
    fields that the grammar could not express; `sampled`: answers that were not decoded greedily; `found_in_pass`: the
    pass that found a value, by pointer, where it was not the first. `chunks`, `groups` and `passes` count the parts,
    groups of fields and passes in which the document was asked about.
    """

    parsed: tuple[str, ...] = ()
    grounded: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[Withheld, ...] = ()
    decoding: tuple[str, ...] = ()
    unconstrained: tuple[str, ...] = ()
    sampled: tuple[SampledAnswer, ...] = ()
    found_in_pass: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 1
    groups: int = 1
    passes: int = 1

    def as_json(self) -> dict[str, Json]:
        """Return what a row says: empty entries are left out, except how a document with an answer was parsed."""
        parsed = {"parsed": list(self.parsed), "grounded": dict(self.grounded)} if self.parsed else {}
        optional = {
            "withheld": [each.as_json() for each in self.withheld],
            "decoding": list(self.decoding),
            "unconstrained": list(self.unconstrained),
            "sampled": [each.as_json() for each in self.sampled],
            "found_in_pass": dict(self.found_in_pass),
        }
        counts = {"chunks": self.chunks, "groups": self.groups, "passes": self.passes}
        several = {name: count for name, count in counts.items() if count > 1}
        return {**parsed, **{name: value for name, value in optional.items() if value}, **several}


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a record says about the run that made it.

    The fingerprint covers everything that can change a result. The hashes tell versions of a schema and of a prompt
    template apart that go by one name. `record` is the version of the envelope.
    """

    fingerprint: str
    model: str
    schema: str
    prompt: str
    schema_hash: str = ""
    prompt_hash: str = ""
    record: int = RECORD_VERSION


Status = Literal["ok", "partial", "failed"]
"""`partial`: the answer was read, and a value that the schema requires is missing, ungrounded or withheld."""

STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of output, in one envelope for success and failure alike (`extractor schemas show record`).

    `normalized` has values in one notation, where the schema asks for it (`x-normalize`) and the text leaves no doubt.
    `locations` says for each range of `spans` in which page, cell or part of the file it begins, as far as the format
    tells.
    """

    id: str
    status: Status
    source: Source
    run: RunInfo
    data: Mapping[str, Json] | None = None
    normalized: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    locations: Mapping[str, tuple[Mapping[str, Json], ...]] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[RecordError, ...] = ()
    conflicts: Mapping[str, tuple[Conflict, ...]] = field(default_factory=dict)
    provenance: Provenance = Provenance()
    attempts: int = 0
    usage: Usage = Usage()

    @classmethod
    def failed(cls, document: FailedDocument, run: RunInfo) -> Record:
        """Return the record of a document of which nothing but its failure is known."""
        return cls(document.id, "failed", document.source, run, errors=(RecordError(document.problem),))

    @property
    def code(self) -> Code | None:
        """Why the document is not `ok`: the code of its last, final error."""
        return self.errors[-1].problem.code if self.status != "ok" and self.errors else None


class Backend(Protocol):
    """The seam to a model: a queue of prompts that may finish out of order. Entering loads, leaving frees.

    `context` is the longest prompt plus answer in tokens; `identity` names the model, its revision and everything
    else of the backend that can change an answer (it goes into the fingerprint); `name` is for people.
    """

    name: str

    @property
    def context(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def submit(self, prompt: Prompt) -> None:
        """Queue a prompt and return at once."""
        ...

    def collect(self) -> list[Completion]:
        """Work until at least one prompt in flight is done and return what is; empty when nothing is in flight."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the text takes in a prompt."""
        ...

    def __enter__(self) -> Backend: ...

    def __exit__(self, *exc: object) -> None: ...
