"""The forward pass of ChatGLM3 over a pack of tokens: what `GlmForCausalLM` computes, in few kernels.

transformers' own modules ask for padded batches and spend a measurable part of a step on separate query, key and value
products and on rotary embeddings in many small kernels. Here the three are one product, and the rows of each head are
put in an order in which the rotation is four vector operations (which changes no score: queries and keys are reordered
alike). The same weights give the same logits; a test compares them with `GlmForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractor.chatglm3.parameters import Layer, Parameters
from extractor.chatglm3.quantized import Int8Linear
from extractor.chatglm3.shape import ModelShape
from extractor.engine.cache import KeyShape
from extractor.engine.linear import Linear, Product, gated_of, product_of, stacked_of
from extractor.engine.operations import Rotary, TorchOperations, operations
from extractor.engine.packing import Pack, Step

_INT8_COLUMNS = 8
"""CUDA's int8 product wants a multiple of so many outputs."""


@dataclass(frozen=True, slots=True)
class _Layer:
    norm: Tensor
    query_key_value: Linear
    output: Linear
    mlp_norm: Tensor
    gate_up: Product
    down: Linear


class Runner:
    """Runs packs through a model. Its weights are given up layer by layer as they are laid out, so that memory holds
    them once: they are not to be used afterwards."""

    def __init__(self, model: Parameters) -> None:
        shape = model.shape
        self.vocabulary = shape.vocab_size
        self._eps = shape.norm_eps
        self._heads, self._groups, self._size = shape.heads, shape.groups, shape.head_size
        self._embedding = model.model.embed_tokens.weight.detach()
        self._head = model.lm_head
        if isinstance(self._head, Int8Linear):
            self._head.pack(keep=True)
        self._norm = model.model.norm.weight.detach()
        self._cos, self._sin = _rotary_table(shape, self._embedding)
        self._layers = []
        for layer in cast(Iterable[Layer], model.model.layers):
            self._layers.append(self._lay_out(layer))
            for part in layer.modules():
                if type(part) is nn.Linear:
                    part.to_empty(device="meta")
        self.shape = KeyShape(
            len(self._layers),
            self._groups,
            self._size,
            self._heads // self._groups,
            self._embedding.dtype,
            self._embedding.device,
        )
        self._operations = operations(self.shape)

    def forward(self, pack: Pack) -> Tensor:
        """The final hidden states of the tokens that the pack wants: (wanted, hidden)."""
        return self._through(pack, partial(self._operations.attend, pack))

    def forward_static(self, step: Step) -> Tensor:
        """The same of any step, by torch's operations alone. Nothing is read on the host: a graph can be captured."""
        return self._through(step, partial(TorchOperations(self.shape).attend, step))

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Logits in float32 (rows, vocabulary), or (rows, tokens) of these tokens alone."""
        if tokens is None:
            return cast(Tensor, self._head(hidden)).float()
        if isinstance(self._head, Int8Linear):
            more = -len(tokens) % _INT8_COLUMNS if tokens.is_cuda else 0
            return self._head.forward_rows(hidden, functional.pad(tokens, (0, more)))[:, : len(tokens)].float()
        return functional.linear(hidden, cast(Tensor, self._head.weight)[tokens]).float()

    def _through(self, step: Step, attend: Callable[[int, Tensor, Rotary], Tensor]) -> Tensor:
        hidden = functional.embedding(step.ids, self._embedding)
        rotary = self._cos[step.positions], self._sin[step.positions]
        for number, layer in enumerate(self._layers):
            mixed = attend(number, layer.query_key_value(self._normed(hidden, layer.norm)), rotary)
            if number == len(self._layers) - 1:  # nothing reads the other rows any more
                hidden, mixed = hidden[step.wanted], mixed[step.wanted]
                if not len(hidden):  # a part of a prompt: its keys and values are all that was asked for
                    return hidden
            hidden = layer.output.plus(mixed, hidden)
            hidden = layer.down.plus(layer.gate_up(self._normed(hidden, layer.mlp_norm)), hidden)
        return self._normed(hidden, self._norm)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._operations.normed(x, weight, self._eps)

    def _lay_out(self, layer: Layer) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            layer.input_layernorm.weight.detach(),
            self._query_key_value(attention.q_proj, attention.k_proj, attention.v_proj),
            product_of(attention.o_proj),
            layer.post_attention_layernorm.weight.detach(),
            gated_of(mlp.gate_up_proj),
            product_of(mlp.down_proj),
        )

    def _query_key_value(self, *parts: nn.Linear) -> Linear:
        """One product for the three, with the rows of queries and keys in the order in which they are rotated."""
        order = _rotated_order(self._heads + self._groups, self._groups, self._size, 2 * self._cos.shape[1])
        return stacked_of(parts, order.to(self._embedding.device))


def _rotated_order(rotated_heads: int, others: int, size: int, rotated: int) -> Tensor:
    """Rows of heads with the pairs that are rotated together in two halves: 0 2 4 ... 1 3 5 ..., the rest as it is."""
    head = torch.cat([torch.arange(0, rotated, 2), torch.arange(1, rotated, 2), torch.arange(rotated, size)])
    heads = [head + number * size for number in range(rotated_heads)]
    return torch.cat([*heads, torch.arange(rotated_heads * size, (rotated_heads + others) * size)])


def _rotary_table(shape: ModelShape, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (context, half of the rotated channels), computed in float32 as transformers does, in the dtype
    and on the device of `like`. Half of the channels of a head are rotated."""
    rotated = shape.head_size // 2
    channels = torch.arange(0, rotated, 2, dtype=torch.int64).float()
    frequencies = 1.0 / ((10000.0 * shape.rope_ratio) ** (channels / rotated))
    angles = torch.outer(torch.arange(shape.context, dtype=torch.int64).float(), frequencies)
    return angles.cos().to(like), angles.sin().to(like)
