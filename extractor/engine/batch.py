"""Decodes many prompts together: one left-padded prefill, then a token for every row at each step.

A row's result does not depend on its neighbours: padding is masked out, positions are explicit, and each row that is
sampled has its own random generator. The simplest engine that is right; it knows ids and constraints, no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, GlmForCausalLM

from extractor.engine.constraint import Constraint
from extractor.types import Sampling


@dataclass(frozen=True, slots=True)
class Request:
    """Prompt ids, the most tokens to write, how to choose them and what may be chosen."""

    ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None


@dataclass(slots=True)
class Answer:
    """The ids of an answer without the token that ended it, and the log-probability of each.

    Probabilities are those of the distribution a token was chosen from: renormalised over what the constraint allowed.
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None


@torch.inference_mode()
def generate(model: GlmForCausalLM, requests: Sequence[Request], stop_ids: Sequence[int]) -> list[Answer]:
    """Answer all requests in one batch, in their order.

    Raises torch.cuda.OutOfMemoryError or RuntimeError where the batch does not fit into memory; nothing is kept then.
    """
    rows = [_Row(request, frozenset(stop_ids)) for request in requests]
    ids, mask = _left_padded([request.ids for request in requests], model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache()
    while True:
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
        ).logits[:, -1]
        chosen = _choose(logits.float(), rows)
        if all(row.answer.finish for row in rows):
            return [row.answer for row in rows]
        ids = chosen.to(model.device).unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1


class _Row:
    """One answer under way."""

    def __init__(self, request: Request, stop_ids: frozenset[int]) -> None:
        self.request = request
        self.answer = Answer()
        self._stop_ids = stop_ids
        self._generator = torch.Generator().manual_seed(request.sampling.seed)

    def allowed(self, width: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        constraint = self.request.constraint
        return np.ones(width, dtype=np.bool_) if constraint is None or self.answer.finish else constraint.mask()

    def pick(self, logprobs: Tensor) -> int:
        """The next token, greedily or by this row's own generator."""
        if not self.request.sampling.temperature:
            return int(logprobs.argmax())
        weights = torch.softmax(logprobs / self.request.sampling.temperature, dim=-1)
        return int(torch.multinomial(weights.cpu(), 1, generator=self._generator))

    def take(self, token: int, logprob: float) -> None:
        if self.answer.finish:
            return
        constraint = self.request.constraint
        if token in self._stop_ids or (constraint is not None and not constraint.advance(token)):
            self.answer.finish = "stop"
            return
        self.answer.ids.append(token)
        self.answer.logprobs.append(logprob)
        if constraint is not None and constraint.done:
            self.answer.finish = "stop"
        elif len(self.answer.ids) >= self.request.max_tokens:
            self.answer.finish = "length"


def _choose(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Let every row take its next token from `logits` (rows, vocabulary), in float32; returns the tokens (rows,)."""
    allowed = torch.from_numpy(np.stack([row.allowed(logits.shape[1]) for row in rows])).to(logits.device)
    logprobs = torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=-1)
    tokens = [row.pick(logprobs[index]) for index, row in enumerate(rows)]
    chosen = torch.tensor(tokens)
    taken = logprobs.cpu()[torch.arange(len(rows)), chosen].tolist()
    for row, token, logprob in zip(rows, tokens, taken, strict=True):
        row.take(token, logprob)
    return chosen


def _left_padded(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, both (rows, longest), padded with 0 on the left."""
    longest = max(map(len, sequences))
    ids = torch.tensor([[0] * (longest - len(sequence)) + list(sequence) for sequence in sequences], device=device)
    mask = torch.tensor(
        [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences], device=device
    )
    return ids, mask
