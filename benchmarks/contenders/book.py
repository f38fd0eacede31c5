"""The book's way: one document at a time, greedily, without a constraint."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contenders import batches
from benchmarks.contenders.job import Job

VARIANTS = {"bfloat16": 16, "float32": 16}


class Contender(batches.Contender):
    def __init__(self, job: Job, variant: str) -> None:
        super().__init__(replace(job, precision=variant), "1")
