"""Targets in batches of like length, in an order that follows from a seed and the number of the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from extractor.tuning.targets import Target

Batch = tuple[Target, ...]


def batches(targets: Sequence[Target], tokens: int, seed: int, epoch: int) -> list[Batch]:
    """Return all targets in batches of at most so many tokens, padding included; a longer one is alone."""
    rng = Random(f"{seed}/{epoch}")
    order = sorted(targets, key=lambda each: (len(each.ids), rng.random()))
    found: list[list[Target]] = [[]]
    for each in order:
        if found[-1] and len(each.ids) * (len(found[-1]) + 1) > tokens:
            found.append([])
        found[-1].append(each)
    rng.shuffle(found)
    return [tuple(batch) for batch in found if batch]
