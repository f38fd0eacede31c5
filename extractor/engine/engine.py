"""Batch generation: sequences join and leave at every step; `Engine.step` is the whole of it on one screen.

Knows prompts as token ids and what may follow them; does not know documents, templates or records.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from weakref import ref

import torch
from torch import Tensor

from extractor.engine.batch import Pack, Run
from extractor.engine.constraint import Bits
from extractor.engine.cuda_graphs import Graphs, Recorder, recorder_for
from extractor.engine.kv_cache import Cache, Prefix
from extractor.engine.model_runner import Runner
from extractor.engine.platform import out_of_memory
from extractor.engine.sampler import Choice, Row, choose
from extractor.engine.scheduler import Limits, Scheduler, Turn
from extractor.engine.sequence import Answer, Generation, Request

log = logging.getLogger(__name__)

__all__ = ["Answer", "Engine", "Limits", "Request", "Statistics"]


@dataclass(slots=True)
class Statistics:
    """What the engine did: forward passes, tokens read by them, tokens of answers, guesses and those that held."""

    steps: int = 0
    tokens: int = 0
    chosen: int = 0
    written: int = 0
    guessed: int = 0
    held: int = 0

    def __str__(self) -> str:
        held = f"{self.held / self.guessed:.0%} of {self.guessed} guesses held" if self.guessed else "nothing guessed"
        steps = max(1, self.steps)
        return (
            f"{self.steps} steps, {self.tokens / steps:.1f} tokens a step; answers: {self.written} tokens, "
            f"{self.chosen} chosen, {self.written / steps:.1f} a step; {held}"
        )


class Engine:
    """A queue of requests in front of a runner. Greedy answers do not depend on what runs beside them (but for the
    rounding of the device); sampled ones depend on their seed. Not safe to call from several threads.

    `recorder` captures steps of answers; by default CUDA graphs, where there are any.
    """

    def __init__(
        self,
        runner: Runner,
        stop_ids: Collection[int],
        limits: Limits,
        cache_bytes: int,
        recorder: Recorder | None = None,
    ) -> None:
        self.runner = runner
        recorder = recorder or recorder_for(runner.shape)
        self._graphs = Graphs(runner.forward_static, runner.shape, recorder) if recorder else None
        self.statistics = Statistics()
        self._stop_ids = frozenset(stop_ids)
        # The scheduler does not keep the engine: else the model would stay until garbage is collected.
        make_prefix = partial(_make_prefix_by, ref(self))
        self._scheduler = Scheduler(Cache(runner.shape, cache_bytes), limits, make_prefix)
        self._masks = ThreadPoolExecutor(1, "masks")
        self._constraints = ThreadPoolExecutor(1, "constraints")
        self._added = 0

    def add(self, request: Request) -> int:
        """Queue a request; its key comes back with its answer."""
        self._added += 1
        building = self._constraints.submit(request.constrain) if request.constrain else None
        self._scheduler.queue(Generation(self._added, request, building))
        return self._added

    @property
    def busy(self) -> bool:
        return bool(self._scheduler.waiting or self._scheduler.running)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the key-value cache that are allocated now."""
        return self._scheduler.cache.bytes

    def close(self) -> None:
        """End the threads and give up what was captured. What is in flight is dropped."""
        for pool in (self._masks, self._constraints):
            pool.shutdown(cancel_futures=True)
        if self._graphs:
            self._graphs.drop()

    def step(self) -> list[tuple[int, Answer]]:
        """One forward pass for everyone; returns the answers that ended, by key.

        Out of memory halves the batch and goes on; a sequence that does not fit even alone ends with `memory`.
        """
        try:
            self._scheduler.admit()
            ended = self._scheduler.make_room()
            ended += self._advance(self._scheduler.plan())
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            ended = self._shrink()
        return [(generation.key, generation.answer) for generation in ended]

    @torch.inference_mode()
    def _advance(self, turns: Sequence[Turn]) -> list[Generation]:
        if not turns:
            return []
        masks = self._masks.submit(_masks, turns)
        pack = Pack([turn.run for turn in turns], self.runner.shape)
        hidden = self._forward(pack)
        rows = _choice_rows(turns, pack, masks.result())
        choices = choose(self.runner, hidden, [row for group in rows for row in group])
        self._count(turns)
        remaining = iter(choices)
        for turn, group in zip(turns, rows, strict=True):
            self._take(turn, [next(remaining) for _ in group])
        ended = [turn.generation for turn in turns if turn.generation.answer.finish]
        for generation in ended:
            self._scheduler.finish(generation)
        return ended

    def _forward(self, pack: Pack) -> Tensor:
        hidden = self._graphs.forward(pack) if self._graphs else None
        return self.runner.forward(pack) if hidden is None else hidden

    def _take(self, turn: Turn, choices: Sequence[Choice]) -> None:
        """Take the chosen tokens as far as they are those that were drafted, and the first that is not."""
        generation = turn.generation
        drafted = sum(map(len, turn.draft))
        generation.stored += len(turn.run.ids) - drafted
        before = len(generation.answer.ids)
        for (token, logprob), part in zip(choices, (*turn.draft, ()), strict=bool(choices)):
            generation.take(token, logprob, self._stop_ids)
            self.statistics.chosen += 1
            if generation.answer.finish or not part or token != part[0]:
                break
            generation.stored += len(part)
            self.statistics.held += 1
        self.statistics.written += len(generation.answer.ids) - before

    def _count(self, turns: Sequence[Turn]) -> None:
        self.statistics.steps += 1
        self.statistics.tokens += sum(len(turn.run.ids) for turn in turns)
        self.statistics.guessed += sum(len(turn.draft) for turn in turns)

    def _shrink(self) -> list[Generation]:
        """After out of memory: everyone waits again, and half as many may run, on steps half as large."""
        scheduler = self._scheduler
        crowd = len(scheduler.running)
        scheduler.preempt_all()
        if self._graphs:
            self._graphs.drop()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        limits = scheduler.limits
        if crowd <= 1 and limits.tokens <= _SMALLEST_STEP:
            return [scheduler.fail_first()] if scheduler.waiting else []
        fewer, smaller = max(1, crowd // 2), max(_SMALLEST_STEP, limits.tokens // 2)
        scheduler.limits = replace(limits, sequences=fewer, tokens=smaller)
        log.warning("out of memory; going on with %d sequences at a time and %d tokens a step", fewer, smaller)
        return []

    @torch.inference_mode()
    def _make_prefix(self, ids: tuple[int, ...]) -> Prefix | None:
        """Read the tokens that several prompts share once, in steps of the usual size; None where there is no room."""
        cache, size = self._scheduler.cache, self._scheduler.limits.tokens
        if cache.bytes + 3 * len(ids) * cache.shape.token_bytes > cache.budget:
            return None
        lane = cache.allocate(len(ids))
        if lane is None:
            return None
        for start in range(0, len(ids), size):
            self.runner.forward(Pack([Run(ids[start : start + size], start, lane, None, 0)], self.runner.shape))
            self.statistics.tokens += len(ids[start : start + size])
            self.statistics.steps += 1
        return cache.keep_prefix(ids, lane)


_SMALLEST_STEP = 64


def _make_prefix_by(engine: ref[Engine], ids: tuple[int, ...]) -> Prefix | None:
    there = engine()
    return there._make_prefix(ids) if there is not None else None


def _masks(turns: Sequence[Turn]) -> list[Bits | None]:
    """For each turn the tokens allowed at each of its choices; runs in a thread beside the forward pass."""
    return [
        turn.generation.constraint.masks(turn.draft) if turn.generation.constraint and turn.run.wanted else None
        for turn in turns
    ]


def _choice_rows(turns: Sequence[Turn], pack: Pack, masks: Sequence[Bits | None]) -> list[list[Row]]:
    """The rows of the hidden states at which each turn chooses: behind what is pending and behind each drafted part."""
    first: dict[int, int] = {}
    place = 0
    for run in pack.runs:
        first[id(run)] = place
        place += run.wanted
    found = []
    for turn, bits in zip(turns, masks, strict=True):
        index = first[id(turn.run)]
        ends = [0]
        for part in turn.draft:
            ends.append(ends[-1] + len(part))
        wanted = ends if turn.run.wanted else []
        found.append(
            [Row(index + end, turn.generation, None if bits is None else bits[n]) for n, end in enumerate(wanted)]
        )
    return found
