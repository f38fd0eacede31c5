"""One prompt and its answer on the way through the engine."""

from __future__ import annotations

import math
from collections import abc
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import torch

from extractor.data import Sampling
from extractor.engine.constraint import Constraint
from extractor.engine.kv_cache import Prefix, Slot
from extractor.engine.speculation import Draft, PromptLookup

Constrain = abc.Callable[[], Constraint | None]


@dataclass(frozen=True, slots=True)
class Request:
    """Prompt ids, the most tokens to generate, how to sample them and what may be sampled.

    `constrain` makes the constraint; it is called in a thread of the engine, beside the forward passes.
    """

    ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    constrain: Constrain | None = None


@dataclass(slots=True)
class Output:
    """The ids of an answer without the token that ended it, and the log-probability of each.

    Probabilities are the model's at temperature 1, renormalised over what the constraint allowed (so the log is 0.0,
    certainty, for a forced token). `finish`: `stop`, `length` (no more tokens were allowed), `memory` (the sequence
    does not fit into the KV cache, even alone), `numerics` (the model computed NaN or infinity) or `internal` (making
    its constraint raised `error`).
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Literal["stop", "length", "memory", "numerics", "internal"] | None = None
    error: BaseException | None = None


class Sequence:
    """A request in progress.

    `ids` are prompt and answer. Their keys and values, where computed, lie in two places:

        ids     [ 0 ......... prefix_length ......... num_cached ......... len(ids) ]
                  in `prefix`, shared   in `slot`, own         pending: not computed yet

    A pending token is one that the next forward pass reads: all of a new prompt; of a sequence that is decoding the
    token sampled last, with those that the grammar forced after it. At least one token is always pending, since the
    next one is sampled from the hidden state of the last.

    `slot`, `prefix` and `num_cached` change together, in `attach` and `detach`; besides, each step adds to `num_cached`
    what it computed.
    """

    def __init__(self, key: int, request: Request, constraint: Future[Constraint | None] | None) -> None:
        self.key = key  # the engine's, unique
        self.request = request
        self.output = Output()
        self.ids = list(request.ids)  # grows with `output.ids`; never shrinks
        self.num_cached = 0  # see above; prompt ids included
        self.slot: Slot | None = None  # while it runs, then until another reuses it or it is freed
        self.prefix: Prefix | None = None
        self.constraint: Constraint | None = None
        self.generator = torch.Generator().manual_seed(request.sampling.seed)
        self._constraint_future = constraint  # None as soon as `constraint` is known
        self._lookup: PromptLookup | None = None  # made when first needed: it indexes the whole prompt

    @property
    def pending(self) -> list[int]:
        """The tokens whose keys and values are not in the cache."""
        return self.ids[self.num_cached :]

    @property
    def cached(self) -> list[int]:
        """The tokens whose keys and values are in the cache."""
        return self.ids[: self.num_cached]

    @property
    def prefix_length(self) -> int:
        return len(self.prefix.ids) if self.prefix else 0

    @property
    def num_own(self) -> int:
        """The tokens that belong into the slot: all but the prefix."""
        return len(self.ids) - self.prefix_length

    @property
    def num_own_cached(self) -> int:
        """The tokens that are in the slot, and so the position in it of the first pending one."""
        return self.num_cached - self.prefix_length

    @property
    def tokens_left(self) -> int:
        """Tokens that the answer may still take."""
        return self.request.max_tokens - len(self.output.ids)

    @property
    def is_sampled(self) -> bool:
        """Whether tokens are drawn at random; else decoding is greedy."""
        return self.request.sampling.temperature > 0

    def attach(self, slot: Slot, prefix: Prefix | None, num_cached: int) -> None:
        """Use a slot, and a prefix before it; together they hold the first `num_cached` ids."""
        self.slot, self.prefix, self.num_cached = slot, prefix, num_cached

    def detach(self) -> Slot | None:
        """Use slot and prefix no longer: nothing is cached then. Return the slot, which is the caller's to free."""
        slot, self.slot, self.prefix, self.num_cached = self.slot, None, None, 0
        return slot

    def is_ready(self, wait: bool) -> bool:
        """Return whether the constraint is made; if so, the answer has the tokens that it forces at once.

        They may be all of it: `output.finish` is set then, and nothing must be computed.
        """
        if self._constraint_future is not None and (wait or self._constraint_future.done()):
            made, self._constraint_future = self._constraint_future, None
            self.output.error = made.exception()  # a bug over this request costs it alone
            if self.output.error is not None:
                self.output.finish = "internal"
                return True
            self.constraint = made.result()
            self._append_forced()  # usually the first bytes of the JSON: prefilled together with the prompt
        return self._constraint_future is None

    def draft(self, max_tokens: int) -> Draft:
        """Return a draft of about `max_tokens` at most. Only greedy answers have one."""
        # To keep the distribution of a sampled answer, accepting its drafts would need rejection sampling.
        if self.is_sampled or max_tokens < 1:
            return []
        if self._lookup is None:
            self._lookup = PromptLookup(self.request.ids)
            for token in self.output.ids:
                self._lookup.append(token)
        if self.constraint is not None:
            return self.constraint.draft(self._lookup.propose, max_tokens)
        tokens: list[int] = []
        while len(tokens) < max_tokens and (proposed := self._lookup.propose(tokens)) is not None:
            tokens.append(proposed)
        return [[token] for token in tokens]

    def append(self, token: int, logprob: float, stop_ids: abc.Collection[int]) -> None:
        """Append a sampled token and those that it forces, or end the answer."""
        if not math.isfinite(logprob):  # of logits that are not finite none is the largest: the token means nothing
            self.output.finish = "numerics"
            return
        constraint = self.constraint
        # Masks allow what the grammar takes and the end of the answer; so what it does not take is the end.
        if token in stop_ids or (constraint is not None and not constraint.advance(token)):
            self.output.finish = "stop"
            return
        self._append(token, logprob)
        self._append_forced()

    def _append_forced(self) -> None:
        constraint, output = self.constraint, self.output
        for token in constraint.jump_forward() if constraint is not None else ():
            self._append(token, 0.0)
        # An answer that is complete with its last allowed token is not cut off.
        max_tokens = self.request.max_tokens
        if constraint is not None and constraint.done and len(output.ids) <= max_tokens:
            output.finish = "stop"
        elif len(output.ids) >= max_tokens:
            output.finish = "length"
            del output.ids[max_tokens:], output.logprobs[max_tokens:]  # `ids` keeps them: nothing reads it any more

    def _append(self, token: int, logprob: float) -> None:
        self.ids.append(token)
        self.output.ids.append(token)
        self.output.logprobs.append(logprob)
        if self._lookup is not None:
            self._lookup.append(token)
