"""The prefix cache: what many prompts begin with is prefilled once and read by all of them.

Knows the prefixes that are cached; the scheduler decides which are worth it, the engine computes them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence

from extractor.engine.kv_cache import KVCache, Prefix
from extractor.engine.platforms import is_out_of_memory

log = logging.getLogger(__name__)

MIN_SHARED_TOKENS = 32
"""Fewer tokens than this are not worth sharing: each prefix costs a further attention call."""

_MAX_IDLE = 4
"""Prefixes that are kept though no one uses them."""

ComputePrefix = Callable[[tuple[int, ...], int], Prefix | None]
"""Prefills tokens into a prefix, in chunks of at most so many; None while the KV cache has no room for it."""


class PrefixCache:
    """Shared prefixes, oldest first."""

    def __init__(self, kv_cache: KVCache, compute: ComputePrefix) -> None:
        self._kv_cache = kv_cache
        self._compute = compute
        self._prefixes: list[Prefix] = []
        self._too_long = math.inf  # memory ran out while a prefix of so many tokens was computed

    def find(self, ids: Sequence[int]) -> Prefix | None:
        """Return the longest cached prefix of a prompt, if there is one."""
        # A list, not a radix tree: there are a handful of them, one per set of instructions.
        matching = [each for each in self._prefixes if common_length(each.ids, ids) == len(each.ids)]
        return max(matching, key=lambda each: len(each.ids), default=None)

    def add(self, ids: tuple[int, ...], max_chunk: int, in_use: Collection[Prefix | None]) -> Prefix | None:
        """Prefill `ids` into a new prefix, in the place of old ones not in use; return None where there is no room."""
        prefix = self._try_compute(ids, max_chunk) if len(ids) < self._too_long else None
        if prefix is not None:
            self._prefixes.append(prefix)
            # The newest ones are kept though idle: the next prompts are probably like the last.
            for idle in [each for each in self._prefixes[:-_MAX_IDLE] if each not in in_use]:
                self._prefixes.remove(idle)
                self._kv_cache.drop_prefix(idle)
        return prefix

    def clear(self) -> None:
        """Drop all prefixes. Only while no running sequence uses one."""
        while self._prefixes:
            self._kv_cache.drop_prefix(self._prefixes.pop())
        self._too_long = math.inf

    def _try_compute(self, ids: tuple[int, ...], max_chunk: int) -> Prefix | None:
        # A sequence may fit without the prefix. If it does not, its own step runs out of memory, and `clear` is called.
        try:
            return self._compute(ids, max_chunk)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("out of memory for a shared prefix of %d tokens; continuing without it", len(ids))
            self._too_long = len(ids)
            return None


def common_length(cached: Sequence[int], ids: Sequence[int]) -> int:
    """Return how many tokens of `ids` are equal to those of `cached`, from the first on, short of all of `ids`.

    The last token of a sequence is never reused: its hidden state is what the next one is sampled from.
    """
    most = min(len(cached), len(ids) - 1)
    return next((place for place in range(most) if cached[place] != ids[place]), most)
