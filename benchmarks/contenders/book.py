"""The book's way: one document at a time, greedily, without a constraint."""

from __future__ import annotations

from benchmarks.contenders import batches
from benchmarks.contenders.job import Job

VARIANTS = {"half": 16, "bfloat16": 16, "float32": 16}


class Contender(batches.Contender):
    def __init__(self, job: Job, variant: str) -> None:
        super().__init__(job, "1", precision=variant)
