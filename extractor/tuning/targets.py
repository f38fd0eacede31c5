"""Questions become token ids, with what each token of the answer counts in the loss.

The answer is written as the engine would: forced tokens as the constraint gives them, and at each place that it leaves
open the token that the right answer has there. Only these places are decisions. Each knows which tokens were allowed,
so that a model learns to choose among those and no others: where a value is copied, among the pieces of the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from extractor.annotation_formats import Notes
from extractor.chatglm3.chat_tokenizer import ChatTokenizer
from extractor.data import Json
from extractor.engine.constraint import Constraint, Vocabulary
from extractor.text.places import TextIndex
from extractor.tuning.questions import Question

FORCED = 0.0
PRESENT, STRUCTURE, REST = 3.0, 1.5, 1.0
"""What decisions count: that a field has a value, where lists and strings end, and any other token."""
FIRST = (3.0, 2.0)
"""The first tokens of a string: where a value begins is what there is to learn."""
LEAST_ABSENT = 0.3
"""A null counts at least this share of a value, however many fields are empty."""
MOST_ALLOWED = 4096
"""Where the constraint allows more tokens than this, all are taken to be allowed."""

Allowed = npt.NDArray[np.int32]
Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A prompt with its answer, as ids; `start` is where the answer begins.

    `weights` says of each token of the answer what it counts as a decision (0: none), `allowed` which tokens the
    constraint allowed there, by place in the answer; a decision without an entry is among all tokens. The first
    `shared` ids are those of all targets that ask the same.
    """

    ids: npt.NDArray[np.int64]
    start: int
    weights: npt.NDArray[np.float32]
    allowed: Mapping[int, Allowed]
    shared: int = 0

    @property
    def instructions(self) -> bytes:
        """What it shares, to be compared."""
        return self.ids[: self.shared].tobytes()


@dataclass
class Writer:
    """Writes the targets of a model. `present` says how often each field has a value, for the weight of its nulls."""

    tokenizer: ChatTokenizer
    vocabulary: Vocabulary
    size: int
    context: int
    present: Mapping[str, float]
    notes: Notes

    def __post_init__(self) -> None:
        self._tokens = self.tokenizer.constraint_vocabulary(self.size)

    def targets(self, asked: Iterable[Question]) -> list[Target]:
        """Return the targets of questions; what cannot be written is noted."""
        found: dict[tuple[str, ...], list[Target]] = {}
        for question in asked:
            target = self._target(question)
            if len(target.ids) > self.context:
                self.notes.add("answers that do not fit into the context, left out")
            else:
                found.setdefault(tuple(question.answer), []).append(target)
        return [target for group in found.values() for target in _sharing(group)]

    def _target(self, question: Question) -> Target:
        prompt = self.tokenizer.answer_prompt(question.prompt.messages)
        chunk = question.prompt.chunk
        attempt = _Attempt(self, self.vocabulary.constrain(question.prompt.task, chunk.text), question.answer)
        steps = attempt.steps(question.answer)
        unknown: frozenset[str] = frozenset()
        if steps is None:
            index = TextIndex(chunk.text)
            answer = {name: attempt.writable(name, value, index) for name, value in question.answer.items()}
            unknown = frozenset(n for n, value in answer.items() if value is None and question.answer[n] is not None)
            changed = sum(value != question.answer[name] for name, value in answer.items())
            self.notes.add("fields with a value that a run could not answer so, changed or left out", changed)
            steps = attempt.steps(answer) or []
        ids = np.array([*prompt, *(step.token for step in steps), self.tokenizer.eos_id], dtype=np.int64)
        weights = [0.0 if step.field in unknown else step.weight for step in steps]
        allowed = {at: step.allowed for at, step in enumerate(steps) if step.allowed is not None}
        return Target(ids, len(prompt), np.array([*weights, FORCED], dtype=np.float32), allowed)

    def path(self, answer: Mapping[str, Json]) -> _Path:
        """Return the way through an answer."""
        return _Path(self._tokens.tokens, self._tokens, _Layout.of(answer, self.present))


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Writes answers to one prompt under its constraint, which is made once."""

    writer: Writer
    constraint: Constraint | None
    names: Iterable[str]

    def steps(self, answer: Mapping[str, Json]) -> list[Step] | None:
        """Return the steps of an answer; None where the constraint does not allow it."""
        path = self.writer.path(answer)
        return path.freely() if self.constraint is None else path.under(self.constraint.copy())

    def writable(self, name: str, value: Json, index: TextIndex) -> Json:
        """Return what of a field's value the constraint allows: as the text has it, without items that it lacks."""
        if self._allows(name, value):
            return value
        if not isinstance(value, list):
            part = _as_written(value, index)
            return part if self._allows(name, part) else None
        parts = (_as_written(each, index) for each in value)
        kept = [part for part in parts if part is not None and self._allows(name, [part])]
        once = list({_dump(part): part for part in kept}.values())
        return next((each for each in (kept, once) if each and self._allows(name, each)), None)

    def _allows(self, name: str, value: Json) -> bool:
        return self.steps({**dict.fromkeys(self.names), name: value}) is not None


def _sharing(targets: Sequence[Target]) -> list[Target]:
    """Return targets with how many tokens all of them begin with, of their prompts."""
    length = min(each.start for each in targets) - 1
    for each in targets:
        different = np.flatnonzero(each.ids[:length] != targets[0].ids[:length])
        length = int(different[0]) if len(different) else length
    return [replace(each, shared=length) for each in targets]


def _as_written(value: Json, index: TextIndex) -> Json:
    """Return a string as the text has it, where it occurs there; anything else as it is."""
    if not isinstance(value, str):
        return value
    places = index.find_by_meaning(value)
    return index.text[slice(*places[0])] if places else value


@dataclass(frozen=True, slots=True)
class Step:
    """A token of an answer: what it counts, which field it belongs to, and what else was allowed."""

    token: int
    field: str = ""
    weight: float = FORCED
    allowed: Allowed | None = None


@dataclass
class _Layout:
    """The bytes of an answer, and what a decision at each of them is about."""

    content: bytes = b" {"
    fields: list[tuple[int, str]] = field(default_factory=list)
    starts: dict[int, float] = field(default_factory=dict)
    strings: dict[int, int] = field(default_factory=dict)
    """The bytes of strings that are values, by where in their string they are: 0 begins it, -1 ends it."""

    @classmethod
    def of(cls, answer: Mapping[str, Json], present: Mapping[str, float]) -> _Layout:
        """Lay out an answer as `json.dumps` writes it."""
        layout = cls()
        for number, (name, value) in enumerate(answer.items()):
            layout.content += f"{', ' if number else ''}{_dump(name)}: ".encode()
            layout.fields.append((len(layout.content), name))
            layout.starts[len(layout.content)] = PRESENT if value is not None else PRESENT * _absent(present.get(name))
            layout._add(_dump(value).encode())
        layout.content += b"}"
        return layout

    def _add(self, value: bytes) -> None:
        start, inside, escaped, begun = len(self.content), False, False, 0
        for at, byte in enumerate(value, start):
            if not inside and byte == ord('"'):
                inside, begun = True, at + 1
            elif inside and byte == ord('"') and not escaped:
                inside = False
                self.strings[at] = -1
            elif inside:
                self.strings[at] = at - begun
            escaped = inside and byte == ord("\\") and not escaped
        self.content += value

    def field_at(self, byte: int) -> str:
        """Return the field that a byte belongs to."""
        return next((name for start, name in reversed(self.fields) if start <= byte), "")


def _absent(share: float | None) -> float:
    """Return what a null of a field counts beside a value, so that many nulls do not drown few values."""
    if share is None or share >= 0.5:
        return 1.0
    return max(LEAST_ABSENT, float(np.sqrt(share / (1 - share))))


@dataclass
class _Path:
    """The way through an answer, token by token."""

    bytes_of: list[bytes]
    encode: Encode
    layout: _Layout
    at: int = 0
    plan: list[int] = field(default_factory=list)
    since: int = 0
    """Decisions since the string that is being written began."""

    def freely(self) -> list[Step]:
        """Return the steps where there is no constraint: each token is a decision among all."""
        tokens = self.encode(self.layout.content.decode())
        return [replace(self._decision(token), weight=REST) for token in tokens if self._take(token)]

    def under(self, constraint: Constraint) -> list[Step] | None:
        """Return the steps under a constraint; None where it does not allow the answer."""
        steps: list[Step] = []
        while True:
            for token in constraint.jump_forward():
                if not self._take(token):
                    return None
                steps.append(Step(token))
            if constraint.done or self.at == len(self.layout.content):
                return steps if self.at == len(self.layout.content) else None
            row = constraint.masks()[0]
            chosen = self._next()
            if chosen is None or not (int(row[chosen // 32]) >> chosen % 32) & 1:
                return None
            steps.append(self._decision(chosen, _unpacked(row)))
            if not self._take(chosen) or not constraint.advance(chosen):
                return None

    def _take(self, token: int) -> bool:
        """Move on behind a token; False where the answer has something else."""
        data = self.bytes_of[token]
        if not data or not self.layout.content.startswith(data, self.at):
            return False
        self.at += len(data)
        self.plan = self.plan[1:] if self.plan[:1] == [token] else []
        return True

    def _next(self) -> int | None:
        """Return the token that the tokenizer would go on with; None inside a character that it would not cut so."""
        if not self.plan:
            try:
                self.plan = self.encode(self.layout.content[self.at :].decode())
            except UnicodeDecodeError:
                return None
        return self.plan[0]

    def _decision(self, token: int, allowed: Allowed | None = None) -> Step:
        layout = self.layout
        place = layout.strings.get(self.at)
        self.since = 0 if place == 0 else self.since + 1
        if self.at in layout.starts:
            weight = layout.starts[self.at]
        elif place is None or place < 0:
            weight = STRUCTURE
        else:
            weight = FIRST[self.since] if self.since < len(FIRST) else REST
        return Step(token, layout.field_at(self.at), weight, allowed)


def _unpacked(row: npt.NDArray[np.uint32]) -> Allowed | None:
    """Return the tokens of a mask; None where they are too many to be worth it."""
    found = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).astype(np.int32)
    return found if len(found) <= MOST_ALLOWED else None


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
