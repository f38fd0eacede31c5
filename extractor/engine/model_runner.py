"""The forward pass of ChatGLM3 over a batch of tokens: what `GlmForCausalLM` computes, in few kernels.

transformers' own modules ask for padded batches and spend a measurable part of a step on separate query, key and value
products and on rotary embeddings in many small kernels. Here the three are one product, and the rows of each head are
put in an order in which the rotation is four vector operations (which changes no score: queries and keys are reordered
alike). The same weights give the same logits; a test compares them with `GlmForCausalLM`.

Knows the model's layers; does not know how a batch lays out its tokens, attention, or which kernels the device has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractor.chatglm3.adapters import VirtualTokens
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.parameters import Layer, Parameters
from extractor.engine.batch import Batch, ForwardBatch
from extractor.engine.constraint import TokenBitmask
from extractor.engine.kv_cache import KVShape
from extractor.engine.operations import CompiledOperations, Rotary, TorchOperations, operations
from extractor.engine.virtual_tokens import VirtualStates
from extractor.kernels.tiled import Norm
from extractor.precisions._support.linear import LinearLayer, Product, RowFunction


@dataclass(frozen=True, slots=True)
class _Layer:
    """The products of a layer."""

    query_key_value: RowFunction  # with the norm before it; (rows, hidden) to (rows, query heads + keys + values, flat)
    output: Product  # (rows, query heads * head_size) to (rows, hidden); the residual is added by `plus`
    mlp: RowFunction  # with the norm before it and the residual; (rows, hidden) to (rows, hidden)


class ModelRunner:
    """Runs batches through a model.

    The model's weights are freed layer by layer as they are laid out for the kernels, so that memory holds them once:
    the model is not to be used afterwards.

    With virtual tokens every sequence begins with as many placeholders: ids that are not read.
    """

    def __init__(self, model: Parameters, virtual: VirtualTokens | None = None) -> None:
        shape = model.shape
        self.vocab_size = shape.vocab_size
        self._eps = shape.norm_eps
        self._heads, self._groups, self._size = shape.heads, shape.groups, shape.head_size
        self._embedding = model.model.embed_tokens.weight.detach()
        self._output = model.lm_head.output()
        _free_weights(model.lm_head)
        self._norm = Norm(model.model.norm.weight.detach(), self._eps)
        # (virtual tokens + context, rotated channels / 2)
        self._cos, self._sin = _rotary_table(shape, self._embedding, virtual)
        # Layer by layer: the peak is the model and one layer twice.
        self._layers = []
        for layer in cast(Iterable[Layer], model.model.layers):
            self._layers.append(self._lay_out(layer))
            _free_weights(layer)
        kv_shape = KVShape(
            len(self._layers),
            self._groups,
            self._size,
            self._heads // self._groups,
            self._embedding.dtype,
            self._embedding.device,
        )
        self._operations = operations(kv_shape)
        self.kv_shape = self._operations.shape
        """What the cache must be like: the operations say in which blocks they lay out tokens."""
        order = _rotated_order(1, 0, self._size, shape.rotary_channels)
        self._virtual = None if virtual is None else VirtualStates.of(virtual, order, self._embedding)

    def forward(self, batch: Batch) -> Tensor:
        """Return the final hidden states to sample from: (rows of `batch.logits_rows`, hidden).

        Keys and values of all tokens are in the cache afterwards.
        """
        attend = partial(self._operations.attend, batch)
        if self._virtual is not None:
            attend = partial(self._virtual.attend, self._virtual.rows(batch), attend)
        return self._forward(batch, attend)

    def forward_static(self, batch: ForwardBatch) -> Tensor:
        """Do the same by torch's operations alone. Nothing is read on the host, so that a graph can be captured.

        Only where the cache is laid out for these operations (`kv_shape.block_size` is 1), and without virtual tokens.
        """
        return self._forward(batch, partial(TorchOperations(self.kv_shape).attend, batch))

    def has_virtual(self, batch: Batch) -> bool:
        """Return whether there are virtual tokens in a batch, which only `forward` knows."""
        return self._virtual is not None and bool(self._virtual.rows(batch))

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Return the logits of hidden states (rows, hidden) in float32: (rows, vocabulary), or (rows, these tokens)."""
        return (self._output(hidden) if tokens is None else self._output.select(hidden, tokens)).float()

    def greedy(self, hidden: Tensor, bitmask: TokenBitmask | None) -> Tensor | None:
        """Return the most probable allowed token of each row and its log-probability: (rows, 2) in float64.

        Return None where there is no kernel for it: `logits` give the same.
        """
        operations = self._operations
        if not isinstance(operations, CompiledOperations):
            return None
        return operations.pick(self._output(hidden), bitmask)

    def _forward(self, batch: ForwardBatch, attend: Callable[[int, Tensor, Rotary], Tensor]) -> Tensor:
        """Run all layers. `hidden` is (rows, hidden), padding included, up to the last layer."""
        # Residual stream; `attend` rotates queries and keys, writes keys and values to the cache, and attends.
        hidden = functional.embedding(batch.ids, self._embedding)
        rotary = self._cos[batch.positions], self._sin[batch.positions]
        for number, layer in enumerate(self._layers):
            # (rows, query heads * head_size)
            attended = attend(number, layer.query_key_value(hidden), rotary)
            if number == len(self._layers) - 1:  # from here on only the rows to sample from are read
                hidden, attended = hidden[batch.logits_rows], attended[batch.logits_rows]
                if not len(hidden):  # prefill chunks alone: their keys and values are all that was asked for
                    return hidden
            hidden = layer.mlp(layer.output.plus(attended, hidden))
        return self._normed(hidden, self._norm)

    def _normed(self, x: Tensor, norm: Norm) -> Tensor:
        return self._operations.normed(x, norm.weight, norm.eps)

    def _lay_out(self, layer: Layer) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        before = Norm(layer.input_layernorm.weight.detach(), self._eps)
        between = Norm(layer.post_attention_layernorm.weight.detach(), self._eps)
        # The norms are part of the products' kernels where there are such kernels (`precisions._support.linear`).
        states = self._query_key_value(attention.q_proj, attention.k_proj, attention.v_proj)
        return _Layer(
            states.after_norm(before, self._normed),
            attention.o_proj.product(),
            mlp.gate_up_proj.mlp(mlp.down_proj, between, self._normed),
        )

    def _query_key_value(self, *parts: LinearLayer) -> LinearLayer:
        """Return one layer for the three, with rows of queries and keys in the order in which they are rotated."""
        # Queries and keys are rotated, values are not. The table has one column for each pair of channels.
        order = _rotated_order(self._heads + self._groups, self._groups, self._size, 2 * self._cos.shape[1])
        return type(parts[0]).stack(parts).rows(order.to(self._embedding.device))


def _free_weights(module: nn.Module) -> None:
    """Free the weights that the products made of them do not read where they are."""
    for part in module.modules():
        if isinstance(part, LinearLayer):
            part.release()


def _rotated_order(rotated_heads: int, others: int, size: int, rotated: int) -> Tensor:
    """Return an order of the rows of heads that splits the pairs rotated together into two halves.

    Of each rotated head 0 2 4 ... 1 3 5 ..., then its channels that are not rotated; then the other heads as they are.
    """
    head = torch.cat([torch.arange(0, rotated, 2), torch.arange(1, rotated, 2), torch.arange(rotated, size)])
    heads = [head + number * size for number in range(rotated_heads)]
    return torch.cat([*heads, torch.arange(rotated_heads * size, (rotated_heads + others) * size)])


def _rotary_table(shape: ModelDims, like: Tensor, virtual: VirtualTokens | None) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (context, half of the rotated channels), in the dtype and on the device of `like`.

    Virtual tokens come before them, and are not rotated.

    They are computed in float32, as transformers does. Of ChatGLM3 half of a head's channels are rotated; rope_ratio
    stretches the base (RoFormer, Su et al., 2021, with NTK-style scaling in the 32K model).
    """
    # theta_i = base^(-2i / rotated), angle = position * theta_i; one column per pair of rotated channels.
    rotated = shape.rotary_channels
    channels = torch.arange(0, rotated, 2, dtype=torch.int64).float()
    frequencies = 1.0 / ((10000.0 * shape.rope_ratio) ** (channels / rotated))
    positions = torch.arange(shape.context, dtype=torch.int64)
    if virtual is not None:
        positions = torch.cat([torch.zeros(len(virtual), dtype=torch.int64), virtual.first_position + positions])
    angles = torch.outer(positions.float(), frequencies)
    return angles.cos().to(like), angles.sin().to(like)
