"""Continuous batching: which sequences take part in the next step, and with how many tokens.

Sequences wait, then run until they finish. Each step decodes every sequence that is decoding (never delayed, so that
answers end soon) and fills up with chunks of prompts to `max_num_batched_tokens` (chunked prefill). The very first
answer does not wait for the prompts after it: until it ends, a step reads no more of them than hardly lengthens it.

Invariants, which hold between any two calls:

- A running sequence has a slot, a waiting one has neither slot nor prefix. `running` is in the order of admission.
- The first `num_cached` ids of a sequence are in the cache (`Sequence` says where). A waiting sequence has computed
  nothing that it may still use: admission sets `num_cached` to what prefix cache and slot reuse give it.
- A slot is used by one sequence. It is sized for the prompt and a usual answer. When it may fill up in the next step,
  the sequence is moved to a larger one. Where the cache has no room for that, the sequence admitted last is preempted,
  even if it is the only one: the cache may have room for the larger slot, but not for both. It loses its slot and
  waits, first in the queue, to be prefilled again, answer and all. What it has generated stays, and so does the state
  of its constraint and of its random generator.
- A sequence ends with `memory` only if it does not fit into the cache alone, without a prefix and without more room
  than its next step needs.
- A finished sequence keeps its slot until the next admission that does not have to wait. A prompt that begins like it,
  a retry or a further pass, then continues in that slot after the tokens that the two share (slot reuse); it goes to
  the front of the queue for that. What the old sequence left after them is overwritten before it is read.
- A prefix is dropped only when no running sequence, and no finished one that still has its slot, uses it.

Knows tokens and slots; does not know the model, nor how tokens are sampled.
"""

from __future__ import annotations

from collections import abc, deque
from dataclasses import dataclass
from itertools import chain, islice

from extractor.engine.batch import MAX_DECODE_TOKENS, Segment
from extractor.engine.kv_cache import KVCache, Prefix
from extractor.engine.prefix_cache import MIN_SHARED_TOKENS, ComputePrefix, PrefixCache, common_length
from extractor.engine.sequence import Sequence
from extractor.engine.speculation import Draft

USUAL_ANSWER_TOKENS = 48
"""Tokens of an answer that a slot has room for at first, where the cache allows it."""

_FIRST_STEPS = USUAL_ANSWER_TOKENS
"""Steps for which the first answer goes before the prompts of others; a longer one does not keep them waiting."""

_LOOKAHEAD = 8
"""Waiting sequences that are compared with the next one to find a prefix that they all share."""


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Limits of a step."""

    max_num_seqs: int  # sequences that run at a time
    max_num_batched_tokens: int  # tokens of a step; decoding alone may exceed it
    max_speculative_rows: int  # rows of a step up to which a draft token is worth its row; 0: no speculation
    max_tokens_beside_first: int = 0  # of other prompts, in a step of the very first answer


@dataclass(frozen=True, slots=True)
class ScheduledSequence:
    """A sequence's part in a step."""

    sequence: Sequence
    segment: Segment  # ids: pending tokens (or the next chunk of them), then the draft's
    draft: Draft = ()

    @property
    def num_draft_tokens(self) -> int:
        """Tokens of the draft, with those that the grammar forces in it."""
        return sum(map(len, self.draft))


class Scheduler:
    """The sequences that wait, those that run, and those that have ended but are not collected yet."""

    def __init__(self, kv_cache: KVCache, config: SchedulerConfig, compute_prefix: ComputePrefix) -> None:
        self.kv_cache = kv_cache
        self.config = config
        self.waiting: deque[Sequence] = deque()  # without slots; preempted ones first, then in the order of arrival
        self.running: list[Sequence] = []  # with slots, in the order of admission
        self._ended: list[Sequence] = []  # finished or failed, for the next `collect_ended`
        self._reusable: list[Sequence] = []  # finished, and still with a slot
        self._prefix_cache = PrefixCache(kv_cache, compute_prefix)
        self._first_steps = _FIRST_STEPS  # those that are left

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence: last, or first if it can reuse the slot of one that has just finished."""
        if self._can_reuse_slot(sequence):
            self.waiting.appendleft(sequence)
        else:
            self.waiting.append(sequence)

    def admit(self) -> None:
        """Admit waiting sequences in their order, while there is memory and the next step has room for their prompts.

        Sequences that are admitted early would hold slots that others can use meanwhile. While the constraint of the
        first one is still being made, finished sequences keep their slots, since it may reuse one.
        """
        # Tokens that the next steps have to read anyway. A sequence that reuses a slot adds few, and has to be admitted
        # now: the slot is freed below.
        pending = sum(len(each.pending) for each in self.running)
        while self.waiting and len(self.running) < self.config.max_num_seqs:
            sequence = self.waiting[0]
            if pending >= self.config.max_num_batched_tokens and not self._can_reuse_slot(sequence):
                break
            # With nothing else to run there is nothing better to do than to wait for the constraint.
            if not sequence.is_ready(wait=not self.running):
                return
            if sequence.output.finish:  # forced tokens are all of its answer
                self._ended.append(self.waiting.popleft())
                continue
            if not self._allocate(sequence):
                break  # not the next one instead: that would let a long prompt starve
            self.running.append(self.waiting.popleft())
            pending += len(sequence.pending)
        self._free_reusable()

    def make_room(self) -> None:
        """Give every running sequence a slot that holds the next step, at the cost of those admitted last.

        A sequence that does not fit into the cache, even alone, ends with `memory`.
        """
        # In the order of admission, and preempting from the end: the first one always gets on.
        for sequence in list(self.running):
            while sequence in self.running and not self._ensure_capacity(sequence):
                if self._reusable:
                    self._free_reusable()
                else:
                    self._preempt(self.running.pop())
        if not self.running and self.waiting:  # only the prefixes are left to be given up
            self._prefix_cache.clear()
            self.admit()
            if not self.running and self.waiting:
                self._admit_alone()

    def schedule(self) -> list[ScheduledSequence]:
        """Return the next step: decoding for all that are decoding, then prefill chunks within the budget of tokens."""
        decoding = [each for each in self.running if len(each.pending) <= MAX_DECODE_TOKENS]
        first = self._first_steps > 0
        crowd = len(decoding) if first else min(self.config.max_num_seqs, len(self.running) + len(self.waiting))
        # A draft token is cheap while reading the weights, not computing, takes the step's time. The rows up to there
        # are for all sequences alike, those that wait included: one of them takes the place of each that ends.
        max_draft = self.config.max_speculative_rows // max(1, crowd) - 1
        scheduled = [_decode(each, max_draft) for each in decoding]
        # Prompts in the order of admission: the first is read completely before the next gets the rest of the budget.
        room = self.config.max_num_batched_tokens - sum(len(each.segment.ids) for each in scheduled)
        if first and self.running:
            self._first_steps -= bool(scheduled)
            room = min(room, self.config.max_tokens_beside_first if scheduled else len(self.running[0].pending))
        for sequence in self.running:
            # A chunk is never so short that it would be a decode segment, and a step is never empty.
            if len(sequence.pending) > MAX_DECODE_TOKENS and (room > MAX_DECODE_TOKENS or not scheduled):
                scheduled.append(_prefill(sequence, max(room, MAX_DECODE_TOKENS + 1)))
                room -= len(scheduled[-1].segment.ids)
        return scheduled

    def finish(self, sequence: Sequence) -> None:
        """End a running sequence. Its slot can be reused until the next admission, unless it holds NaN or infinity."""
        self.running.remove(sequence)
        self._ended.append(sequence)
        self._first_steps = 0
        if sequence.output.finish != "numerics":
            self._reusable.append(sequence)
            return
        if sequence.slot is not None:
            sequence.slot.clear()
        self._release(sequence)

    def fail_first(self) -> None:
        """End the first waiting sequence with `memory`."""
        self.waiting[0].output.finish = "memory"
        self._ended.append(self.waiting.popleft())

    def collect_ended(self) -> list[Sequence]:
        """Return the sequences that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def preempt_all(self) -> None:
        """Give up all slots and prefixes; what was running waits again, in its order, before all others."""
        while self.running:
            self._preempt(self.running.pop())
        self._free_reusable()
        self._prefix_cache.clear()

    def _allocate(self, sequence: Sequence) -> bool:
        """Give a sequence a prefix, if it has one, and a slot: a finished one's that it can reuse, or a new one."""
        # The prefix first: a slot can be reused only after the same prefix, since it holds what comes after one.
        prefix = self._find_prefix(sequence)
        return self._reuse_slot(sequence, prefix) or self._new_slot(sequence, prefix, USUAL_ANSWER_TOKENS)

    def _admit_alone(self) -> None:
        """Admit the first waiting sequence in an empty cache, with no more room than the next step needs, or end it."""
        if self._new_slot(self.waiting[0], None, 0):
            self.running.append(self.waiting.popleft())
        else:
            self.fail_first()

    def _new_slot(self, sequence: Sequence, prefix: Prefix | None, max_answer: int) -> bool:
        cached = _length(prefix)
        slot = self.kv_cache.allocate(_slot_tokens(sequence, cached, max_answer))
        if slot is not None:
            sequence.attach(slot, prefix, cached)
        return slot is not None

    def _can_reuse_slot(self, sequence: Sequence) -> bool:
        shared = (common_length(each.cached, sequence.ids) - each.prefix_length for each in self._reusable)
        return any(tokens >= MIN_SHARED_TOKENS for tokens in shared)

    def _reuse_slot(self, sequence: Sequence, prefix: Prefix | None) -> bool:
        """Take over the slot of the finished sequence that shares most tokens after the same prefix, if any does."""
        candidates = [each for each in self._reusable if each.prefix is prefix]
        # `cached` is prompt and answer, as far as they were computed.
        shared = {each.key: common_length(each.cached, sequence.ids) for each in candidates}
        best = max(candidates, key=lambda each: shared[each.key], default=None)
        if best is None or best.slot is None or shared[best.key] - _length(prefix) < MIN_SHARED_TOKENS:
            return False
        sequence.attach(best.slot, prefix, shared[best.key])  # it holds more, of `best`: pending tokens overwrite that
        best.detach()
        self._reusable.remove(best)
        return True

    def _find_prefix(self, sequence: Sequence) -> Prefix | None:
        """Return the longest cached prefix, or a new one where this and the sequences after it share clearly more."""
        best = self._prefix_cache.find(sequence.ids)
        # As long as what all of them share that share anything: one prefix for many, not one for each pair.
        followers = islice(self.waiting, 1, _LOOKAHEAD)
        shared = [
            tokens for each in followers if (tokens := common_length(sequence.ids, each.ids)) >= MIN_SHARED_TOKENS
        ]
        tokens = min(shared, default=0)
        if tokens < _length(best) + MIN_SHARED_TOKENS:
            return best
        # A slot's capacity is a power of two: a sequence may fit without a prefix, but not with it.
        if not self.kv_cache.could_hold(tokens, _slot_tokens(sequence, tokens, USUAL_ANSWER_TOKENS)):
            return best
        in_use = [each.prefix for each in chain(self.running, self._reusable)]
        ids, max_chunk = tuple(sequence.ids[:tokens]), self.config.max_num_batched_tokens
        return self._prefix_cache.add(ids, max_chunk, in_use) or best

    def _ensure_capacity(self, sequence: Sequence) -> bool:
        """Return whether the slot has room for all known tokens and a draft; move the sequence if it has not."""
        slot, tokens = sequence.slot, sequence.num_own + MAX_DECODE_TOKENS
        if slot is None or slot.pool.capacity >= tokens:
            return slot is not None
        larger = self.kv_cache.move(slot, tokens, sequence.num_own_cached)
        sequence.slot = larger or slot
        return larger is not None

    def _preempt(self, sequence: Sequence) -> None:
        self._release(sequence)
        self.waiting.appendleft(sequence)

    def _release(self, sequence: Sequence) -> None:
        # Its prefix is looked up again at admission, so the prefix counts as unused from here on.
        if (slot := sequence.detach()) is not None:
            self.kv_cache.free(slot)

    def _free_reusable(self) -> None:
        while self._reusable:
            self._release(self._reusable.pop())


def _length(prefix: Prefix | None) -> int:
    return len(prefix.ids) if prefix else 0


def _slot_tokens(sequence: Sequence, prefix_tokens: int, max_answer: int) -> int:
    """Return how many tokens a new slot has room for: what is known after the prefix, and so much of an answer."""
    # And a decode segment more: drafts are written before it is known that they are right.
    known = len(sequence.ids) - prefix_tokens
    return known + min(max_answer, sequence.tokens_left) + MAX_DECODE_TOKENS


def _decode(sequence: Sequence, max_draft: int) -> ScheduledSequence:
    """Return the pending tokens with a draft after them.

    Parts of the draft are kept while they fit into a decode segment and into what the answer may still take: beyond
    its last token there may be no position left in the context.
    """
    room = min(MAX_DECODE_TOKENS - len(sequence.pending), sequence.tokens_left)
    draft: list[abc.Sequence[int]] = []
    for part in sequence.draft(min(max_draft, room)):
        room -= len(part)
        if room < 0:
            break
        draft.append(part)
    drafted = [*chain.from_iterable(draft)]
    return ScheduledSequence(sequence, _segment(sequence, [*sequence.pending, *drafted], 1 + len(drafted)), draft)


def _prefill(sequence: Sequence, max_tokens: int) -> ScheduledSequence:
    """Return the next chunk of what is pending. Only the last chunk has a hidden state to sample from."""
    chunk = sequence.pending[:max_tokens]
    return ScheduledSequence(sequence, _segment(sequence, chunk, int(len(chunk) == len(sequence.pending))))


def _segment(sequence: Sequence, ids: list[int], num_logits: int) -> Segment:
    assert sequence.slot is not None
    return Segment(ids, sequence.num_own_cached, sequence.slot, sequence.prefix, num_logits)
