"""transformers' `generate` in left-padded batches, like lengths together, without a constraint, in half precision."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from benchmarks.contenders.job import Answer, Item, Job
from extractor.chatglm3 import Tokenizer, load_model

VARIANTS = {"16": None, "32": None}
"""Prompts in a batch."""


class Contender:
    def __init__(self, job: Job, variant: str, precision: str = "half") -> None:
        self._model = load_model(job.checkpoint, precision, "auto")
        self._tokenizer = Tokenizer(job.checkpoint)
        self._tokens = job.free_tokens
        self._size = int(variant)

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        began = time.perf_counter()
        ordered = sorted(items, key=lambda item: len(item.ids))
        batches = [ordered[start : start + self._size] for start in range(0, len(ordered), self._size)]
        return [answer for batch in batches for answer in self._batch(batch, began)]

    def _batch(self, batch: Sequence[Item], began: float) -> list[Answer]:
        pad, longest = self._tokenizer.pad_id, max(len(item.ids) for item in batch)
        missing = [longest - len(item.ids) for item in batch]
        ids = torch.tensor([[pad] * gap + list(item.ids) for gap, item in zip(missing, batch, strict=True)])
        mask = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in missing])
        with torch.inference_mode():
            whole = self._model.generate(  # type: ignore[misc]  # transformers types it for its own mixin only
                ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=self._tokens,
                do_sample=False,
                eos_token_id=list(self._tokenizer.stop_ids),
                pad_token_id=pad,
            )
        seconds = time.perf_counter() - began
        return [self._answer(item, row, seconds) for item, row in zip(batch, whole[:, longest:].tolist(), strict=True)]

    def _answer(self, item: Item, row: list[int], seconds: float) -> Answer:
        """Rows that ended early are filled up with padding, which is neither counted nor decoded."""
        stops = [place for place, token in enumerate(row) if token in self._tokenizer.stop_ids]
        written = row[: stops[0] + 1] if stops else row
        return Answer(len(item.ids), len(written), self._tokenizer.decode(written), seconds)
