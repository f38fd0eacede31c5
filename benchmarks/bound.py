"""The fastest that any engine can be on a machine: operations over its matrix rate plus bytes over its bandwidth.

The definition, term by term, so that figures from different days compare:

- the shared prefix of all prompts is computed once in a run;
- prefill: every other prompt token goes through all layers but the last, where it only leaves its key and value; the
  last prompt token goes through the whole model, the output layer included;
- attention: each token meets the tokens before it and itself, two products (scores and values) for each head;
- decode: every answer token but the last is fed once through the whole model;
- bytes: each decode step reads the layers and the output layer once for all its rows, and each row reads its cache.
  Prefill reads nothing: a weight meets hundreds of rows there;
- nothing overlaps: a processor that computes while it reads can pass this bound by a little, no engine by much;
- a token that is forced costs its operations and no step of its own.

Masks, softmax, norms, sampling and tokenising count nothing. This module knows no torch and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from extractor.chatglm3.model_dims import ModelDims

HALF = 2
"""Bytes of a weight and of a cached value in half precision."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a machine can do: matrix products in operations a second, reads from memory in bytes a second."""

    operations: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens of each prompt, those of the prefix that all share, and how the answers are decoded.

    `answer` is the mean of an answer's tokens with the one that ends it, `rows` how many are decoded together,
    `forced` the mean of the tokens that need no step of their own.
    """

    prompts: Sequence[int]
    prefix: int
    answer: float
    rows: int = 32
    forced: float = 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Operations and bytes of a whole run."""

    operations: float
    bytes: float

    def seconds(self, rates: Rates) -> float:
        return self.operations / rates.operations + self.bytes / rates.bandwidth


def documents_per_second(shape: ModelDims, work: Work, rates: Rates) -> float:
    """The bound: how many documents of this work a second can see."""
    prefill, decode = prefill_costs(shape, work), decode_costs(shape, work)
    return len(work.prompts) / (prefill.seconds(rates) + decode.seconds(rates))


def prefill_costs(shape: ModelDims, work: Work) -> Costs:
    """Operations of reading all prompts, the prefix once."""
    operations = _read(shape, 0, work.prefix)
    for length in work.prompts:
        operations += _read(shape, work.prefix, length) + _last_layer(shape, length) + _output(shape)
    return Costs(operations, 0)


def decode_costs(shape: ModelDims, work: Work) -> Costs:
    """Operations and bytes of writing all answers."""
    fed = max(0.0, work.answer - 1)
    steps = max(0.0, fed - work.forced)
    weights = HALF * (shape.layers * layer_weights(shape) + shape.vocab_size * shape.hidden_size)
    operations = read = 0.0
    for length in work.prompts:
        context = length + (fed + 1) / 2
        token = shape.layers * (2 * layer_weights(shape) + _attention(shape, context)) + _output(shape)
        operations += fed * token
        read += steps * (weights / min(work.rows, len(work.prompts)) + context * shape.cache_bytes(1, HALF))
    return Costs(operations, read)


def layer_weights(shape: ModelDims) -> int:
    """Weights of one layer that take part in products: norms and biases are left out."""
    projections = 2 * shape.query_rows + 2 * shape.key_rows + 3 * shape.ffn_size
    return projections * shape.hidden_size


def _read(shape: ModelDims, start: int, stop: int) -> float:
    """Operations of prompt tokens `start` to `stop` through all layers but the last, which keeps key and value."""
    count = stop - start
    met = (stop * (stop + 1) - start * (start + 1)) / 2  # token p meets p + 1 tokens
    layers = count * 2 * layer_weights(shape) + _attention(shape, met)
    return (shape.layers - 1) * layers + count * _keys(shape)


def _last_layer(shape: ModelDims, length: int) -> float:
    """What the last layer does for the last token of a prompt beside its key and value."""
    return 2 * layer_weights(shape) - _keys(shape) + _attention(shape, length)


def _keys(shape: ModelDims) -> float:
    """Operations of one token's key and value."""
    return 2 * (2 * shape.key_rows) * shape.hidden_size


def _attention(shape: ModelDims, met: float) -> float:
    """Operations of one layer's attention for tokens that meet `met` others in sum."""
    return 4 * shape.heads * shape.head_size * met


def _output(shape: ModelDims) -> float:
    """Operations of the output layer for one token."""
    return 2 * shape.vocab_size * shape.hidden_size
