"""Who takes part in the next step: admission by memory, prompts in parts by a budget of tokens, answers always.

A lane is sized for the prompt and a usual answer and exchanged for a larger one when it fills. Where memory does not
allow that, the sequence that came last gives its lane up and waits to be read again. A finished sequence keeps its
lane until the next admission, so that a retry or a further pass finds the tokens that its prompt shares with the one
before; it goes to the front of the queue for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extractor.engine.batch import SHORT, Run
from extractor.engine.kv_cache import Cache, Prefix
from extractor.engine.sequence import Generation

USUAL_ANSWER = 48
"""Tokens of an answer that a lane has room for at first."""

SHARED = 32
"""Prompts that begin with so many equal tokens share them."""

_NEIGHBOURS = 8
_PREFIXES = 4

MakePrefix = Callable[[tuple[int, ...]], Prefix | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sequences at a time, tokens of a step, and rows of a step up to which guessing is worth a row."""

    sequences: int
    tokens: int
    guessing: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A sequence's part of a step: its run (what is pending, then the draft) and the parts of the draft."""

    generation: Generation
    run: Run
    draft: Sequence[Sequence[int]] = ()


class Scheduler:
    """Sequences that wait, those that run, and the lanes of those just finished."""

    def __init__(self, cache: Cache, limits: Limits, make_prefix: MakePrefix) -> None:
        self.cache = cache
        self.limits = limits
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []
        self._left: list[Generation] = []
        self._prefixes: list[Prefix] = []
        self._make_prefix = make_prefix

    def queue(self, generation: Generation) -> None:
        """Put a sequence behind those that wait, or before them if it goes on from one that has just finished."""
        if self._goes_on(generation):
            self.waiting.appendleft(generation)
        else:
            self.waiting.append(generation)

    def admit(self) -> None:
        """Let waiting sequences in, in their order, while there is room and the next step has room for their prompts.

        Those that came in early would hold lanes that others can use meanwhile. While the first that waits is not
        ready, the lanes stay that it may go on in.
        """
        unread = sum(len(each.pending) for each in self.running)
        while self.waiting and len(self.running) < self.limits.sequences:
            generation = self.waiting[0]
            if unread >= self.limits.tokens and not self._goes_on(generation):
                break
            if not generation.is_ready(wait=not self.running):
                return
            if not self._place(generation):
                break
            self.running.append(self.waiting.popleft())
            unread += len(generation.pending)
        self._forget_left()

    def make_room(self) -> list[Generation]:
        """Exchange lanes that the next step may fill, at the cost of those that came last.

        Returns sequences that do not fit into the cache, even alone: they have ended.
        """
        failed = []
        for generation in list(self.running):
            while generation in self.running and not self._widen(generation):
                if self._left:
                    self._forget_left()
                elif len(self.running) == 1:
                    failed.append(self._fail(self.running.pop()))
                else:
                    self._evict(self.running.pop())
        if not self.running and self.waiting:  # nothing left to wait for but the prefixes
            self._forget_prefixes()
            self.admit()
            if not self.running:
                failed.append(self._fail(self.waiting.popleft()))
        return failed

    def plan(self) -> list[Turn]:
        """The next step: the pending tokens of all that are answering, then parts of prompts up to the budget."""
        crowd = min(self.limits.sequences, len(self.running) + len(self.waiting))
        most = self.limits.guessing // max(1, crowd) - 1
        turns = [_answering(each, most) for each in self.running if len(each.pending) <= SHORT]
        room = self.limits.tokens - sum(len(turn.run.ids) for turn in turns)
        for generation in self.running:
            if len(generation.pending) > SHORT and (room > SHORT or not turns):
                part = generation.pending[: max(room, SHORT + 1)]
                turns.append(Turn(generation, _run(generation, part, int(len(part) == len(generation.pending)))))
                room -= len(part)
        return turns

    def finish(self, generation: Generation) -> None:
        """The sequence is through; its lane stays until the next admission."""
        self.running.remove(generation)
        self._left.append(generation)

    def preempt_all(self) -> None:
        """Give up all lanes and prefixes: what was running waits again, first come first."""
        while self.running:
            self._evict(self.running.pop())
        self._forget_left()
        self._forget_prefixes()

    def fail_first(self) -> Generation:
        """End the first sequence that waits: it does not fit."""
        return self._fail(self.waiting.popleft())

    def _goes_on(self, generation: Generation) -> bool:
        """Whether it goes on from a sequence that has just finished."""
        shared = (_shared(each.ids[: each.stored], generation.ids) - each.offset for each in self._left)
        return any(tokens >= SHARED for tokens in shared)

    def _place(self, generation: Generation) -> bool:
        """Find the sequence a lane: that of a finished one whose beginning it shares, or a new one."""
        generation.prefix = self._prefix_for(generation)
        generation.stored = generation.offset
        self._take_over(generation)
        if generation.lane is None:
            expected = len(generation.ids) - generation.offset + min(USUAL_ANSWER, generation.request.max_tokens)
            generation.lane = self.cache.allocate(expected + SHORT)
        return generation.lane is not None

    def _take_over(self, generation: Generation) -> None:
        """Go on in the lane of a finished sequence as far as the two are equal."""
        candidates = [each for each in self._left if each.prefix is generation.prefix]
        shared = {id(each): _shared(each.ids[: each.stored], generation.ids) for each in candidates}
        best = max(candidates, key=lambda each: shared[id(each)], default=None)
        if best is not None and shared[id(best)] - generation.offset >= SHARED:
            generation.lane, best.lane = best.lane, None
            generation.stored = shared[id(best)]
            self._left.remove(best)

    def _prefix_for(self, generation: Generation) -> Prefix | None:
        """The longest known prefix of the sequence; a new one where it and those behind it share clearly more."""
        ids = generation.ids
        fitting = [
            each for each in self._prefixes if len(each.ids) < len(ids) and _shared(each.ids, ids) == len(each.ids)
        ]
        best = max(fitting, key=lambda each: len(each.ids), default=None)
        behind = [self.waiting[place] for place in range(1, min(_NEIGHBOURS, len(self.waiting)))]
        common = [length for each in behind if (length := _shared(ids, each.ids)) >= SHARED]
        if common and min(common) >= (len(best.ids) if best else 0) + SHARED:
            best = self._keep(tuple(ids[: min(common)])) or best
        return best

    def _keep(self, ids: tuple[int, ...]) -> Prefix | None:
        prefix = self._make_prefix(ids)
        if prefix is not None:
            self._prefixes.append(prefix)
            used = [each.prefix for each in (*self.running, *self._left)]
            idle = [each for each in self._prefixes[:-_PREFIXES] if each not in used]
            for each in idle:
                self._prefixes.remove(each)
                self.cache.drop_prefix(each)
        return prefix

    def _widen(self, generation: Generation) -> bool:
        """Whether the sequence's lane has room for all that is known of it and the next step."""
        lane, tokens = generation.lane, len(generation.ids) - generation.offset + SHORT
        if lane is None or lane.pool.capacity >= tokens:
            return lane is not None
        larger = self.cache.move(lane, tokens, generation.stored - generation.offset)
        generation.lane = larger or lane
        return larger is not None

    def _evict(self, generation: Generation) -> None:
        self._release(generation)
        generation.stored = 0
        self.waiting.appendleft(generation)

    def _fail(self, generation: Generation) -> Generation:
        self._release(generation)
        generation.answer.finish = "memory"
        return generation

    def _release(self, generation: Generation) -> None:
        if generation.lane is not None:
            self.cache.free(generation.lane)
            generation.lane = None

    def _forget_prefixes(self) -> None:
        while self._prefixes:
            self.cache.drop_prefix(self._prefixes.pop())

    def _forget_left(self) -> None:
        for generation in self._left:
            self._release(generation)
        self._left.clear()


def _answering(generation: Generation, most: int) -> Turn:
    """What is pending and a draft behind it; its parts are cut to what a short run and the answer hold: behind the
    last token of an answer the context may end."""
    room = min(SHORT - len(generation.pending), generation.left)
    draft: list[list[int]] = []
    for part in generation.draft(min(most, room)):
        if sum(map(len, draft)) + len(part) > room:
            break
        draft.append(part)
    drafted = [token for part in draft for token in part]
    return Turn(generation, _run(generation, [*generation.pending, *drafted], 1 + len(drafted)), draft)


def _run(generation: Generation, ids: Sequence[int], wanted: int) -> Run:
    assert generation.lane is not None
    return Run(ids, generation.stored - generation.offset, generation.lane, generation.prefix, wanted)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike, short of the whole of `other`."""
    most = min(len(one), len(other) - 1)
    return next((place for place in range(most) if one[place] != other[place]), most)
