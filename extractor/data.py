"""The records that flow through the pipeline, in the order in which they come to be.

    Document -> Chunk -> Prompt -> Completion -> Extraction | Rejection -> Record

Each is frozen and holds its predecessor, so where something came from is never looked up again. All offsets are
Python character offsets (code points) into `Document.text`. This module knows no stage and imports none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

if TYPE_CHECKING:
    from extractor.task.task import Task

Json = Any
"""A value that `json.loads` can return."""

Span = tuple[int, int]
"""Half-open character range in a document's text."""

Ground = Literal["verbatim", "normalized", "none"]
"""How a value must stand in the text."""

Ungrounded = Literal["retry", "null", "keep"]
"""What becomes of a value that does not stand in the text: the question is asked again, or the value is withheld, or
it is kept with a flag."""

GROUNDS: tuple[Ground, ...] = get_args(Ground)
UNGROUNDED: tuple[Ungrounded, ...] = get_args(Ungrounded)

FLAGS = ("ungrounded", "example")
"""What `grounded` says of values that are kept without a place: it should have one; it stands in an example as well."""

WithheldReason = Literal["ungrounded", "confidence"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document's text came from: the file, the SHA-256 (hex) of its bytes, its encoding and length."""

    path: str
    sha256: str
    encoding: str | None = None
    chars: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Characters `start` to `end` of a document's text, and where they stand in the file: `{"page": 3}`."""

    start: int
    end: int
    where: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Document:
    """One text to extract from. `id` is stable: the same input gives the same ids. `segments`, in order of `start`, say
    where the text stands in a file that is no plain text."""

    id: str
    text: str
    source: Source
    segments: tuple[Segment, ...] = ()

    def where(self, place: int) -> Mapping[str, Json]:
        """Where the character at `place` stands in the file; empty where the format does not say."""
        after = bisect_right(self.segments, place, key=lambda segment: segment.start)
        return self.segments[after - 1].where if after else {}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document whose text could not be had. It becomes a `failed` record: never a skip, never the end of a run.

    `reason` is a short code, `message` one line for people. Of texts and rows: `empty`, `binary`, `encoding`,
    `malformed`, `too-large`; of formats: `locked` (a password is needed), `damaged`, `no-text` (a scan),
    `mislabelled` (the suffix says something else), `unsupported`, `extra` (a package is missing), `bomb` (an archive
    beyond the limits); of reading: `io`, `timeout`, `crashed`.
    """

    id: str
    source: Source
    reason: str
    message: str


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
    """A backend's answer. `finish`: `stop` (the model ended it), `length` (cut off at `max_tokens`), `overflow` (the
    prompt alone exceeds the context; no text) or `error` (the backend gave up on this prompt; `detail` says why).

    `tokens` are the pieces of `text` with the log-probability of each, at temperature 1 and renormalised over what was
    allowed there (empty where a backend gives none). `means` names what kept the answer in shape, where a backend has
    several.
    """

    prompt: Prompt
    text: str
    finish: Literal["stop", "length", "overflow", "error"] = "stop"
    usage: Usage = Usage()
    tokens: tuple[tuple[str, float], ...] = ()
    detail: str = ""
    means: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A value that was taken out of the data: of which field (`条目/名称`, no places in lists), why, where it stood."""

    field: str
    value: Json
    reason: WithheldReason
    confidence: float | None = None
    spans: tuple[Span, ...] = ()

    def as_json(self) -> dict[str, Json]:
        entry = {"field": self.field, "value": self.value, "reason": self.reason, "confidence": self.confidence}
        return {**entry, "spans": [list(span) for span in self.spans]}


@dataclass(frozen=True, slots=True)
class Extraction:
    """A parsed answer that the schema accepts; after grounding also where its values stand.

    `data` has every property of the schema, `null` where the chunk has none. `spans`, `grounded` and `confidence`
    are keyed by JSON Pointer into `data`. `spans` lists the chosen range of each value, in document offsets;
    `grounded` says how it was chosen (`only`, `order`, `first`, `normalized`, ...) or what is odd about a value
    without a place (`ungrounded`, `example`). `rung` names the step of the parsing ladder that understood the answer
    (`strict` when nothing had to be repaired). `withheld` are values that the answer had and `data` has no more.
    """

    completion: Completion
    data: Mapping[str, Json]
    rung: str = "strict"
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    grounded: Mapping[str, str] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    withheld: tuple[Withheld, ...] = ()

    @property
    def chunk(self) -> Chunk:
        return self.completion.prompt.chunk


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that cannot be used. `reason` is a short code: `parse` (no JSON object could be read), `schema` (the
    validator's messages), `ungrounded` (a value that is not in the text), `length` (cut off), `overflow`, `error`.
    `errors` are one-line messages that name the field and never contain document text or values."""

    completion: Completion
    reason: str
    errors: tuple[str, ...] = ()

    @property
    def chunk(self) -> Chunk:
        return self.completion.prompt.chunk


Outcome = Extraction | Rejection


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of a record's `errors`: what went wrong in which attempt at which chunk."""

    reason: str
    message: str
    chunk: int | None = None
    attempt: int | None = None

    def as_json(self) -> dict[str, Json]:
        entry = {"reason": self.reason, "message": self.message, "chunk": self.chunk, "attempt": self.attempt}
        return {key: value for key, value in entry.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a record says about the run that made it. The fingerprint covers everything that can change a result.

    The hashes tell versions of a schema and of a prompt template apart that go by one name.
    """

    fingerprint: str
    model: str
    schema: str
    prompt: str
    schema_hash: str = ""
    prompt_hash: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of output, in one envelope for success and failure alike (`extractor schemas show record`). `where` says
    for each range of `spans` in which page, cell or part of the file it begins, as far as the format tells."""

    id: str
    status: Literal["ok", "failed"]
    source: Source
    run: RunInfo
    data: Mapping[str, Json] | None = None
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    where: Mapping[str, tuple[Mapping[str, Json], ...]] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[Failure, ...] = ()
    conflicts: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    how: Mapping[str, Json] = field(default_factory=dict)
    attempts: int = 0
    usage: Usage = Usage()


class Backend(Protocol):
    """The seam to a model: a queue of prompts. It may finish out of order. Entering loads, leaving frees.

    `context` is the longest prompt plus answer in tokens; `identity` names the model, its revision and everything
    else of the backend that can change an answer (it goes into the fingerprint); `name` is for people.
    """

    name: str

    @property
    def context(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def submit(self, prompt: Prompt) -> None:
        """Queue a prompt; returns at once."""
        ...

    def collect(self) -> list[Completion]:
        """Work until at least one prompt in flight is done and return what is; empty when nothing is in flight."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens the text takes in a prompt."""
        ...

    def __enter__(self) -> Backend: ...

    def __exit__(self, *exc: object) -> None: ...
