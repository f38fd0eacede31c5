"""Continuous batching: sequences join and leave the batch at every step. One step:

    waiting --admit--> running         a slot in the KV cache each, prefix cache and slot reuse
                 |
             make_room                 larger slots where they may fill up; preempt the last where memory ends
                 |
              schedule                 decode all (pending token + draft), then prefill chunks, up to a budget
                 |
               Batch                   all segments side by side, without padding
              /     \\
       forward       masks             the model, and beside it in a thread the grammar's token masks
              \\     /
              sample                   one token for each place where the constraint leaves a choice
                 |
           accept drafts               up to the first token that is not the drafted one, which is kept instead
                 |
              finish --> outputs       stop token, end of the grammar, or no tokens left

Knows prompts as token ids and what may follow them; does not know documents, templates or records.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from extractor.engine.batch import Batch, Segment
from extractor.engine.constraint import TokenBitmask
from extractor.engine.cuda_graphs import CudaGraphs, NewCapture, capture_for
from extractor.engine.kv_cache import KVCache, Prefix
from extractor.engine.model_runner import ModelRunner
from extractor.engine.platforms import is_out_of_memory
from extractor.engine.sampler import LogitsRow, SampledToken, sample
from extractor.engine.scheduler import ScheduledSequence, Scheduler, SchedulerConfig
from extractor.engine.sequence import Output, Request, Sequence

log = logging.getLogger(__name__)

__all__ = ["Engine", "Output", "Request", "SchedulerConfig", "Statistics"]

_MIN_BATCHED_TOKENS = 64
"""A step is not made smaller than this when memory runs out."""


@dataclass(slots=True)
class Statistics:
    """The throughput of an engine, in steps and tokens.

    Forward passes read `prefill_tokens` in long segments and `decode_tokens` in short ones, drafts included.
    Answers have `generated_tokens`, of which `sampled_tokens` were sampled and the others forced by the grammar. Of
    `draft_tokens`, not counting those that the grammar forces after one, `accepted_tokens` were what was sampled.
    """

    steps: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    sampled_tokens: int = 0
    generated_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0

    def count_step(self, segments: Iterable[Segment]) -> None:
        """Count a forward pass over these segments."""
        self.steps += 1
        for segment in segments:
            if segment.is_prefill:
                self.prefill_tokens += len(segment.ids)
            else:
                self.decode_tokens += len(segment.ids)

    def __str__(self) -> str:
        steps, drafts = max(1, self.steps), max(1, self.draft_tokens)
        return (
            f"{self.steps} steps; {self.prefill_tokens} prefill and {self.decode_tokens} decode tokens, "
            f"{(self.prefill_tokens + self.decode_tokens) / steps:.1f} a step; "
            f"{self.generated_tokens} tokens generated, {self.sampled_tokens} of them sampled, "
            f"{self.generated_tokens / steps:.1f} a step; "
            f"{self.draft_tokens} draft tokens, {self.accepted_tokens / drafts:.0%} accepted"
        )


class Engine:
    """A queue of requests in front of a model runner. Not safe to call from several threads.

    Greedy answers do not depend on what runs beside them (but for the rounding of the device); sampled ones depend on
    their seed.

    `new_capture` captures decode steps; by default as CUDA graphs, where there are any.
    """

    def __init__(
        self,
        runner: ModelRunner,
        stop_ids: Collection[int],
        config: SchedulerConfig,
        cache_bytes: int,
        new_capture: NewCapture | None = None,
    ) -> None:
        self.runner = runner
        new_capture = new_capture or capture_for(runner.kv_shape)
        self._graphs = CudaGraphs(runner.forward_static, runner.kv_shape, new_capture) if new_capture else None
        self.statistics = Statistics()
        self._stop_ids = frozenset(stop_ids)
        kv_cache = KVCache(runner.kv_shape, cache_bytes)
        # Nothing below holds the engine: else model and cache would stay in memory until garbage is collected.
        self._scheduler = Scheduler(kv_cache, config, partial(_compute_prefix, runner, kv_cache, self.statistics))
        # Two threads, so that masks, for which a step waits, are not queued behind constraints, for which none does.
        self._mask_thread = ThreadPoolExecutor(1, "masks")
        self._constraint_thread = ThreadPoolExecutor(1, "constraints")
        self._added = 0  # the last key

    def add(self, request: Request) -> int:
        """Queue a request and return the key that its output will have."""
        # A constraint takes milliseconds: it is made while the request waits. The scheduler asks for it at admission.
        self._added += 1
        constraint = self._constraint_thread.submit(request.constrain) if request.constrain else None
        self._scheduler.add(Sequence(self._added, request, constraint))
        return self._added

    @property
    def busy(self) -> bool:
        """Whether requests wait or run."""
        return bool(self._scheduler.waiting or self._scheduler.running)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the KV cache that are allocated now."""
        return self._scheduler.kv_cache.allocated_bytes

    def close(self) -> None:
        """End the threads and drop captured graphs. What is in flight is dropped as well."""
        for thread in (self._mask_thread, self._constraint_thread):
            thread.shutdown(cancel_futures=True)
        if self._graphs:
            self._graphs.clear()

    def step(self) -> list[tuple[int, Output]]:
        """Run one forward pass for everyone and return the outputs that are complete, by key.

        Out of memory halves the batch and continues; a sequence that does not fit even alone ends with `memory`.
        """
        scheduler = self._scheduler
        try:
            scheduler.admit()
            scheduler.make_room()
            if scheduled := scheduler.schedule():
                self._run(scheduled)
        # Out of memory loses no token: answers change only in `_accept`, after everything that allocates. So everyone
        # can be preempted and the step tried again.
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._shrink_batch()
        return [(sequence.key, sequence.output) for sequence in scheduler.collect_ended()]

    @torch.inference_mode()
    def _run(self, scheduled: list[ScheduledSequence]) -> None:
        # Masks may be computed beside the model: they depend on the drafts, not on what it says of them. They are done
        # after this step in any case, even if memory ran out: the next step drafts from the same constraints.
        masks = self._mask_thread.submit(_compute_masks, scheduled)
        try:
            batch = Batch([each.segment for each in scheduled], self.runner.kv_shape)
            hidden = self._forward(batch)
        finally:
            wait([masks])
        rows = _logits_rows(scheduled, batch, masks.result())
        # One call for all rows of all sequences, and one transfer to the host; `rows` says whose they are.
        sampled = iter(sample(self.runner, hidden, [row for group in rows for row in group]))
        self.statistics.count_step(batch.segments)
        for each, group in zip(scheduled, rows, strict=True):
            self._accept(each, [next(sampled) for _ in group])
            if each.sequence.output.finish:
                self._scheduler.finish(each.sequence)

    def _forward(self, batch: Batch) -> Tensor:
        """Return the hidden states to sample from: (rows of `batch.logits_rows`, hidden)."""
        hidden = self._graphs.forward(batch) if self._graphs and not self.runner.has_virtual(batch) else None
        return self.runner.forward(batch) if hidden is None else hidden

    def _accept(self, scheduled: ScheduledSequence, sampled: list[SampledToken]) -> None:
        """Append sampled tokens as far as they are the drafted ones, and the first that is not.

        `sampled` has one token after what was pending and one after each part of the draft; none after a prefill chunk
        that is not the last. A later one counts only if all drafted tokens before it were right: it was computed from
        them, and so are the keys and values now in the cache.
        """
        sequence, draft, statistics = scheduled.sequence, scheduled.draft, self.statistics
        # The forward pass has written keys and values for pending and drafted tokens. The pending ones count at once,
        # the drafted ones as they are accepted; the rest stays in the slot, and later tokens overwrite it.
        sequence.num_cached += len(scheduled.segment.ids) - scheduled.num_draft_tokens
        generated = len(sequence.output.ids)
        statistics.draft_tokens += len(draft)
        for (token, logprob), part in zip(sampled, (*draft, ()), strict=bool(sampled)):
            sequence.append(token, logprob, self._stop_ids)
            statistics.sampled_tokens += 1
            # The token sampled in the place of a wrong draft is right itself, and pending from here on.
            if sequence.output.finish or not part or token != part[0]:
                break
            sequence.num_cached += len(part)
            statistics.accepted_tokens += 1
        statistics.generated_tokens += len(sequence.output.ids) - generated

    def _shrink_batch(self) -> None:
        """Recover from out of memory: preempt everyone, and allow half as many sequences and tokens from now on."""
        scheduler, config = self._scheduler, self._scheduler.config
        crowd = len(scheduler.running)  # what actually ran, which may be far below the limit
        scheduler.preempt_all()
        if self._graphs:
            self._graphs.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # fragmentation may have been the reason
        if crowd <= 1 and config.max_num_batched_tokens <= _MIN_BATCHED_TOKENS:
            if scheduler.waiting:
                scheduler.fail_first()
            return
        seqs, tokens = max(1, crowd // 2), max(_MIN_BATCHED_TOKENS, config.max_num_batched_tokens // 2)
        scheduler.config = replace(config, max_num_seqs=seqs, max_num_batched_tokens=tokens)
        log.warning("out of memory; continuing with %d sequences at a time and %d tokens a step", seqs, tokens)


@torch.inference_mode()
def _compute_prefix(
    runner: ModelRunner, kv_cache: KVCache, statistics: Statistics, ids: tuple[int, ...], max_chunk: int
) -> Prefix | None:
    """Prefill the tokens that several prompts share; return None where there is no room for them."""
    # For a moment it takes a slot of up to twice its length and the copy.
    if kv_cache.allocated_bytes + 3 * len(ids) * kv_cache.shape.token_bytes > kv_cache.budget:
        return None
    slot = kv_cache.allocate(len(ids))
    if slot is None:
        return None
    try:
        for start in range(0, len(ids), max_chunk):
            segment = Segment(ids[start : start + max_chunk], start, slot, None, 0)  # 0: nothing is sampled from it
            runner.forward(Batch([segment], runner.kv_shape))
            statistics.count_step([segment])
        return kv_cache.store_prefix(ids, slot)
    finally:
        kv_cache.free(slot)


def _compute_masks(scheduled: list[ScheduledSequence]) -> list[TokenBitmask | None]:
    """Return for each sequence the tokens allowed at each place where one is sampled: (1 + parts of the draft, words).

    Runs in a thread beside the forward pass.
    """
    return [
        each.sequence.constraint.masks(each.draft) if each.sequence.constraint and each.segment.num_logits else None
        for each in scheduled
    ]


def _logits_rows(
    scheduled: list[ScheduledSequence], batch: Batch, masks: list[TokenBitmask | None]
) -> list[list[LogitsRow]]:
    """Return for each sequence the rows of the hidden states to sample from.

    They are the row of the last pending token and that of the last token of each part of the draft. What the grammar
    forces within a part is not sampled.
    """
    # The hidden states are those of the batch's `logits_rows`: in its order, `num_logits` of each segment.
    offsets = accumulate((segment.num_logits for segment in batch.segments), initial=0)
    first = {id(segment): offset for segment, offset in zip(batch.segments, offsets, strict=False)}
    groups = []
    for each, bitmask in zip(scheduled, masks, strict=True):
        # The first of them is the last pending token; a draft's tokens follow, one row each.
        ends = accumulate(map(len, each.draft), initial=first[id(each.segment)])
        rows = [LogitsRow(end, each.sequence, None if bitmask is None else bitmask[n]) for n, end in enumerate(ends)]
        groups.append(rows if each.segment.num_logits else [])
    return groups
