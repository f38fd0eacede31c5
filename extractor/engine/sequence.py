"""One prompt and its answer on the way through the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import torch

from extractor.data import Sampling
from extractor.engine.constraint import Constraint
from extractor.engine.kv_cache import Lane, Prefix
from extractor.engine.speculation import Copying

Constrain = Callable[[], Constraint | None]


@dataclass(frozen=True, slots=True)
class Request:
    """Prompt ids, the most tokens to write, how to choose them and what may be chosen.

    `constrain` makes the constraint; it is called in a thread of the engine, beside the forward passes.
    """

    ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    constrain: Constrain | None = None


@dataclass(slots=True)
class Answer:
    """The ids of an answer without the token that ended it, and the log-probability of each.

    Probabilities are the model's at temperature 1, renormalised over what the constraint allowed (so 0.0, certainty,
    for a token that had to come). `finish`: `stop`, `length` (no more tokens were allowed) or `memory` (the sequence
    does not fit into the cache, even alone).
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Literal["stop", "length", "memory"] | None = None


class Generation:
    """A request under way. `ids` are prompt and answer; the first `stored` of them are in the cache, `prefix` of
    these in a shared prefix and the rest in `lane`."""

    def __init__(self, key: int, request: Request, constraint: Future[Constraint | None] | None) -> None:
        self.key = key
        self.request = request
        self.answer = Answer()
        self.ids = list(request.ids)
        self.stored = 0
        self.lane: Lane | None = None
        self.prefix: Prefix | None = None
        self.constraint: Constraint | None = None
        self.generator = torch.Generator().manual_seed(request.sampling.seed)
        self._building = constraint
        self._copying: Copying | None = None

    @property
    def pending(self) -> Sequence[int]:
        """What is known but not in the cache."""
        return self.ids[self.stored :]

    @property
    def offset(self) -> int:
        return len(self.prefix.ids) if self.prefix else 0

    @property
    def left(self) -> int:
        """Tokens that the answer may still take."""
        return self.request.max_tokens - len(self.answer.ids)

    @property
    def sampled(self) -> bool:
        return self.request.sampling.temperature > 0

    def is_ready(self, wait: bool) -> bool:
        """Whether the constraint is made; then the tokens that it forces at once stand in the answer."""
        if self._building is not None and (wait or self._building.done()):
            self.constraint, self._building = self._building.result(), None
            self._force()
        return self._building is None

    def draft(self, most: int) -> list[list[int]]:
        """Guessed continuations of at most about `most` tokens, in parts that each need one choice."""
        if self.sampled or most < 1:
            return []
        if self._copying is None:
            self._copying = Copying(self.request.ids)
            for token in self.answer.ids:
                self._copying.take(token)
        if self.constraint is not None:
            return self.constraint.draft(self._copying.guess, most)
        drafted: list[int] = []
        guess = self._copying.guess(drafted)
        while len(drafted) < most and guess is not None:
            drafted.append(guess)
            guess = self._copying.guess(drafted)
        return [[token] for token in drafted]

    def take(self, token: int, logprob: float, stop_ids: Collection[int]) -> None:
        """The model chose `token`: it becomes part of the answer with what it forces, or ends it."""
        constraint = self.constraint
        if token in stop_ids or (constraint is not None and not constraint.advance(token)):
            self.answer.finish = "stop"
            return
        self._append(token, logprob)
        self._force()

    def _force(self) -> None:
        constraint, answer = self.constraint, self.answer
        for token in constraint.forced() if constraint is not None else ():
            self._append(token, 0.0)
        most = self.request.max_tokens
        if constraint is not None and constraint.done and len(answer.ids) <= most:
            answer.finish = "stop"
        elif len(answer.ids) >= most:
            answer.finish = "length"
            del answer.ids[most:], answer.logprobs[most:]

    def _append(self, token: int, logprob: float) -> None:
        self.ids.append(token)
        self.answer.ids.append(token)
        self.answer.logprobs.append(logprob)
        if self._copying is not None:
            self._copying.take(token)
