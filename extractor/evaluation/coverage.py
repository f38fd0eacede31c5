"""Which documents the gold and a run have in common, which is to be known before any figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extractor.evaluation.annotations import Annotation


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which documents both sides have, and which only one; `replaced` counts rows that have a later one."""

    gold: int
    partial: tuple[str, ...]
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    replaced: int

    @classmethod
    def of(cls, gold: Sequence[Annotation], given: Mapping[str, Annotation], replaced: int = 0) -> Coverage:
        """Return the documents of the gold beside those of a run."""
        names = {each.id for each in gold}
        found = [given[each.id] for each in gold if each.id in given]
        return cls(
            gold=len(gold),
            partial=tuple(each.id for each in found if each.status == "partial"),
            failed=tuple(each.id for each in found if each.data is None),
            missing=tuple(each.id for each in gold if each.id not in given),
            extra=tuple(name for name in given if name not in names),
            replaced=replaced,
        )
