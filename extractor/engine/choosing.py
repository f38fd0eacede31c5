"""Which token comes next, for many rows at once, from the logits that the constraint leaves.

Where all constraints together leave few tokens, only these go through the output layer: after the first tokens of a
copied value that is a handful of 65,024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extractor.engine.constraint import Bits
from extractor.engine.runner import Runner
from extractor.engine.sequence import Generation

_FEW = 4
"""At most a part of so many of the vocabulary is gathered from the output layer; of more the whole layer is cheaper."""

Choice = tuple[int, float]
"""A token and its log-probability."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the hidden states, whose it is, and which tokens are allowed (None: all)."""

    index: int
    generation: Generation
    bits: np.ndarray[tuple[int], np.dtype[np.uint32]] | None


def choose(runner: Runner, hidden: Tensor, rows: Sequence[Row]) -> list[Choice]:
    """A choice for each row, greedy or by the generator of its sequence."""
    choices: dict[int, Choice] = {}
    free = [row for row in rows if row.bits is None]
    bound = [row for row in rows if row.bits is not None]
    if free:
        logits = runner.logits(hidden[_indices(free)])
        choices.update(zip(_places(rows, free), _pick(logits, None, free), strict=True))
    if bound:
        tokens, allowed = _allowed(np.stack([row.bits for row in bound if row.bits is not None]), runner.vocabulary)
        known = torch.from_numpy(tokens).to(hidden.device)
        states = hidden[_indices(bound)]
        few = len(tokens) * _FEW <= runner.vocabulary
        logits = runner.logits(states, known) if few else runner.logits(states)[:, known]
        logits = logits.masked_fill_(torch.from_numpy(~allowed).to(hidden.device), -torch.inf)
        choices.update(zip(_places(rows, bound), _pick(logits, tokens, bound), strict=True))
    return [choices[place] for place in range(len(rows))]


def _indices(rows: Sequence[Row]) -> list[int]:
    return [row.index for row in rows]


def _places(rows: Sequence[Row], some: Sequence[Row]) -> list[int]:
    chosen = {id(row) for row in some}
    return [place for place, row in enumerate(rows) if id(row) in chosen]


def _allowed(bits: Bits, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that any row allows (ascending), and for each row which of them: (rows, tokens) of booleans."""
    words = np.flatnonzero(np.bitwise_or.reduce(bits, axis=0))
    flags = np.unpackbits(np.ascontiguousarray(bits[:, words]).view(np.uint8), axis=1, bitorder="little")
    tokens = (words[:, None] * 32 + np.arange(32)).ravel()
    used = flags.any(axis=0) & (tokens < vocabulary)
    return tokens[used], flags[:, used].astype(np.bool_)


def _pick(logits: Tensor, tokens: np.ndarray | None, rows: Sequence[Row]) -> list[Choice]:
    """One transfer to the host for all rows together."""
    sums = logits.logsumexp(-1)
    best = logits.argmax(-1)
    for place, row in enumerate(rows):
        if row.generation.sampled:
            best[place] = _sample(logits[place], row.generation)
    logprobs = logits.gather(1, best.unsqueeze(1)).squeeze(1) - sums
    picked = best.tolist()
    ids = picked if tokens is None else tokens[picked].tolist()
    return list(zip(ids, logprobs.tolist(), strict=True))


def _sample(logits: Tensor, generation: Generation) -> int:
    weights = torch.softmax(logits / generation.request.sampling.temperature, dim=-1)
    return int(torch.multinomial(weights.cpu(), 1, generator=generation.generator))
