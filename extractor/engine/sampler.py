"""Sampling: the next token for many rows at once, from the logits that the constraint leaves.

Where all constraints together leave few tokens, only these go through the output layer: after the first tokens of a
copied value that is a handful of 65,024.

Knows hidden states and token masks; does not know how either came about.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extractor.engine.constraint import TokenBitmask
from extractor.engine.model_runner import ModelRunner
from extractor.engine.platforms import to_device
from extractor.engine.sequence import Sequence

_GATHER_SHARE = 4
"""Up to one part in so many of the vocabulary is gathered from the output layer; of more the whole layer is cheaper."""

SampledToken = tuple[int, float]
"""A token and its log-probability, which is NaN where the model computed logits that are not finite."""


@dataclass(frozen=True, slots=True)
class LogitsRow:
    """A row of the hidden states that a token is sampled from."""

    index: int  # into the rows of the hidden states
    sequence: Sequence
    bitmask: np.ndarray[tuple[int], np.dtype[np.uint32]] | None  # (words,): the allowed tokens; None: all


def sample(runner: ModelRunner, hidden: Tensor, rows: abc.Sequence[LogitsRow]) -> list[SampledToken]:
    """Return a token for each row, greedy or by the generator of its sequence.

    `hidden` is (at least as many rows as the indices say, hidden). Rows without a mask go through the whole output
    layer, so they are sampled apart from the others; the host waits for the device once for all of them.
    """
    free = [place for place, row in enumerate(rows) if row.bitmask is None]
    constrained = [place for place, row in enumerate(rows) if row.bitmask is not None]
    # Per group: the columns sampled, and what tokens the columns are (None: a column is its token).
    columns: list[Tensor] = []
    names: list[np.ndarray | None] = []
    for places in filter(None, (free, constrained)):
        some = [rows[place] for place in places]
        states = hidden[to_device(torch.tensor([row.index for row in some]), hidden.device)]
        found, tokens = _sample_columns(runner, states, some)
        columns.append(found)
        names += [tokens] * len(some)
    if not columns:
        return []
    # `tolist` is where the host waits for the device; float64 holds tokens and log-probabilities alike.
    sampled: dict[int, SampledToken] = {}
    for place, tokens, (column, logprob) in zip((*free, *constrained), names, torch.cat(columns).tolist(), strict=True):
        sampled[place] = (int(column) if tokens is None else int(tokens[int(column)]), logprob)
    return [sampled[place] for place in range(len(rows))]


def _sample_columns(
    runner: ModelRunner, hidden: Tensor, rows: abc.Sequence[LogitsRow]
) -> tuple[Tensor, np.ndarray | None]:
    """Return the column of the logits that was sampled for each row, and which tokens the columns are.

    The first is (rows, 2) in float64: column and log-probability. The second is ascending, the tokens that any row
    allows; None for the whole vocabulary, where they are many or nothing is masked.
    """
    masks = [row.bitmask for row in rows if row.bitmask is not None]
    bitmask = np.stack(masks) if masks else None
    # Words of 32 tokens of which any row allows one: an upper bound of the tokens, without unpacking the masks.
    words = None if bitmask is None else np.flatnonzero(np.bitwise_or.reduce(bitmask, axis=0))
    if bitmask is not None and words is not None and 32 * len(words) * _GATHER_SHARE <= runner.vocab_size:
        return _sample_among(runner, hidden, rows, bitmask, words)
    is_greedy = not any(row.sequence.is_sampled for row in rows)
    if is_greedy and (greedy := runner.greedy(hidden, bitmask)) is not None:
        return greedy, None
    logits = runner.logits(hidden)
    if bitmask is not None:
        logits.masked_fill_(_forbidden(bitmask, runner.vocab_size, hidden.device), -torch.inf)
    return _sample_logits(logits, rows), None


def _sample_among(
    runner: ModelRunner, hidden: Tensor, rows: abc.Sequence[LogitsRow], bitmask: TokenBitmask, words: np.ndarray
) -> tuple[Tensor, np.ndarray]:
    """Do the same where all allowed tokens are in these words of the bitmask."""
    flags = np.unpackbits(np.ascontiguousarray(bitmask[:, words]).view(np.uint8), axis=1, bitorder="little")
    # flags: (rows, 32 * words), of which only the columns that any row allows are kept.
    used = np.flatnonzero(flags.any(axis=0))
    tokens = words[used // 32] * 32 + used % 32
    logits = runner.logits(hidden, to_device(torch.from_numpy(tokens), hidden.device))
    # A token that another row allows may still be forbidden here.
    logits.masked_fill_(to_device(torch.from_numpy(flags[:, used] == 0), logits.device), -torch.inf)
    return _sample_logits(logits, rows), tokens


def _forbidden(bitmask: TokenBitmask, size: int, device: torch.device) -> Tensor:
    """Return (rows, size) booleans: the tokens that may not come.

    The bitmask goes to a device as it is, an eighth of the bytes.
    """
    octets = bitmask.view(np.uint8)
    # The mask is padded to whole words, the vocabulary is not: `count` and `size` cut it.
    if device.type == "cpu":
        return torch.from_numpy(np.unpackbits(octets, axis=1, count=size, bitorder="little") == 0)
    return unpack_bits(to_device(torch.from_numpy(octets), device), size).logical_not_()


def unpack_bits(octets: Tensor, size: int) -> Tensor:
    """Return the first `size` bits of each row of bytes, the lowest of a byte first, as booleans."""
    flags = octets.unsqueeze(-1).bitwise_right_shift(torch.arange(8, dtype=torch.uint8, device=octets.device))
    return flags.bitwise_and_(1).flatten(1)[:, :size].bool()


def _sample_logits(logits: Tensor, rows: abc.Sequence[LogitsRow]) -> Tensor:
    """Return the column sampled for each row and its log-probability: (rows, 2) in float64.

    Log-probabilities are those at temperature 1, log softmax of the row. The logits are overwritten.
    """
    largest = _argmax(logits)
    columns = _draw(logits, largest, rows)
    # log softmax of one column, with the largest logit taken off for stability: x - max - log(sum(exp(x - max))). In
    # place, since these are the largest tensors of a step: rows x 65,024 in float32.
    offset = logits.gather(1, largest.unsqueeze(1))
    sampled = (logits.gather(1, columns.unsqueeze(1)) - offset).squeeze(1)
    logprobs = sampled - logits.sub_(offset).exp_().sum(-1).log()
    return torch.stack([columns.double(), logprobs.double()], dim=1)


def _argmax(logits: Tensor) -> Tensor:
    """Return the column of the largest of each row, the first of equal ones.

    On the CPU NumPy finds it in a fraction of the time that torch takes (64 rows of 65,024: 0.6 ms instead of 5 to 18).
    """
    if logits.device.type == "cpu":
        return torch.from_numpy(logits.numpy().argmax(-1))
    return logits.argmax(-1)


def _draw(logits: Tensor, largest: Tensor, rows: abc.Sequence[LogitsRow]) -> Tensor:
    """Return the largest columns, but for rows that are sampled: those by their generators, on the host."""
    places = [place for place, row in enumerate(rows) if row.sequence.is_sampled]
    if not places:
        return largest
    # (sampled rows, columns); forbidden columns are -inf.
    where = to_device(torch.tensor(places), logits.device)
    drawn = []
    for place, row in zip(places, logits[where].cpu().numpy(), strict=True):
        sequence = rows[place].sequence
        drawn.append(draw(row, sequence.request.sampling.temperature, sequence.generator))
    return largest.index_copy(0, where, to_device(torch.tensor(drawn), logits.device))


def draw(logits: NDArray[np.float32], temperature: float, generator: torch.Generator) -> int:
    """Return the column at which the cumulative probability passes a number that the generator draws.

    `logits` is (columns,), -inf where forbidden. One number a token, and sums over the allowed columns alone in the
    order of tokens: what is drawn does not depend on the other sequences of the batch, nor on the columns they add.
    """
    number = float(torch.rand((), generator=generator, dtype=torch.float64))
    allowed = np.flatnonzero(logits > -np.inf)
    values = logits[allowed].astype(np.float64)
    if not (len(values) and np.isfinite(values).all()):
        return 0  # such a row ends its sequence: what is drawn from it does not matter
    cumulative = np.exp((values - values.max()) / temperature).cumsum()
    return int(allowed[np.searchsorted(cumulative[:-1], number * cumulative[-1], side="right")])
