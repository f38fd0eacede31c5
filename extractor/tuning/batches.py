"""Targets in batches of like length and the same instructions, in an order that follows from a seed and the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from extractor.tuning.targets import Target


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Targets that begin with the same tokens, so many of them as are `shared`."""

    targets: tuple[Target, ...]

    @property
    def shared(self) -> int:
        """Tokens that are computed once for all of its targets."""
        return self.targets[0].shared

    @property
    def tokens(self) -> int:
        """Tokens that are computed, padding included."""
        return _computed(self.targets)


def _computed(targets: Sequence[Target]) -> int:
    shared = targets[0].shared
    return shared + len(targets) * (max(len(each.ids) for each in targets) - shared)


def batches(targets: Sequence[Target], tokens: int, seed: int, epoch: int) -> list[Batch]:
    """Return all targets in batches of which at most so many tokens are computed; a longer one is alone."""
    rng = Random(f"{seed}/{epoch}")
    order = sorted(targets, key=lambda each: (each.instructions, len(each.ids), rng.random()))
    found: list[list[Target]] = [[]]
    for each in order:
        last = found[-1]
        if last and (last[0].instructions != each.instructions or _computed([*last, each]) > tokens):
            found.append([])
        found[-1].append(each)
    rng.shuffle(found)
    return [Batch(tuple(batch)) for batch in found if batch]
