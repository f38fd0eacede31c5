"""The book's way: one document at a time, greedily, without a constraint."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contenders import batches
from benchmarks.contenders.job import Job

VARIANTS = ("bfloat16", "float32")
MOST = 16
"""Documents: it is slow, and one takes as long whatever their number."""


class Contender(batches.Contender):
    def __init__(self, job: Job, variant: str) -> None:
        super().__init__(replace(job, precision=variant), "1")
