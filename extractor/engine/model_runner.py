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

from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.parameters import Layer, Parameters
from extractor.engine.batch import Pack, Step
from extractor.engine.constraint import Bits
from extractor.engine.kv_cache import KeyShape
from extractor.engine.linear import Linear, Product, mlp_of, of_norm, output_of, product_of, stacked_of
from extractor.engine.operations import CompiledOperations, Rotary, TorchOperations, operations
from extractor.kernels.amx import Norm


@dataclass(frozen=True, slots=True)
class _Layer:
    query_key_value: Product
    """Of the norm of the hidden states."""
    output: Linear
    mlp: Product
    """Hidden states with what the layer adds to them."""


class Runner:
    """Runs packs through a model. Its weights are given up layer by layer as they are laid out, so that memory holds
    them once: they are not to be used afterwards."""

    def __init__(self, model: Parameters) -> None:
        shape = model.shape
        self.vocabulary = shape.vocab_size
        self._eps = shape.norm_eps
        self._heads, self._groups, self._size = shape.heads, shape.groups, shape.head_size
        self._embedding = model.model.embed_tokens.weight.detach()
        self._output = output_of(model.lm_head)
        _give_up(model.lm_head)
        self._norm = Norm(model.model.norm.weight.detach(), self._eps)
        self._cos, self._sin = _rotary_table(shape, self._embedding)
        self._layers = []
        for layer in cast(Iterable[Layer], model.model.layers):
            self._layers.append(self._lay_out(layer))
            _give_up(layer)
        keys = KeyShape(
            len(self._layers),
            self._groups,
            self._size,
            self._heads // self._groups,
            self._embedding.dtype,
            self._embedding.device,
        )
        self._operations = operations(keys)
        self.shape = self._operations.shape

    def forward(self, pack: Pack) -> Tensor:
        """The final hidden states of the tokens that the pack wants: (wanted, hidden)."""
        return self._through(pack, partial(self._operations.attend, pack))

    def forward_static(self, step: Step) -> Tensor:
        """The same of any step, by torch's operations alone. Nothing is read on the host: a graph can be captured.

        Only where the cache is laid out for these operations (`shape.block` is 1).
        """
        return self._through(step, partial(TorchOperations(self.shape).attend, step))

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Logits in float32 (rows, vocabulary), or (rows, tokens) of these tokens alone."""
        return (self._output(hidden) if tokens is None else self._output.some(hidden, tokens)).float()

    def pick(self, hidden: Tensor, bits: Bits | None) -> Tensor | None:
        """For each row the most probable of the tokens that its bits allow and its log-probability among them, in
        float64 (rows, 2); None where that is to be had from the logits alone."""
        operations = self._operations
        if not isinstance(operations, CompiledOperations) or not operations.picks:
            return None
        return operations.pick(self._output(hidden), bits)

    def _through(self, step: Step, attend: Callable[[int, Tensor, Rotary], Tensor]) -> Tensor:
        hidden = functional.embedding(step.ids, self._embedding)
        rotary = self._cos[step.positions], self._sin[step.positions]
        for number, layer in enumerate(self._layers):
            mixed = attend(number, layer.query_key_value(hidden), rotary)
            if number == len(self._layers) - 1:  # nothing reads the other rows any more
                hidden, mixed = hidden[step.wanted], mixed[step.wanted]
                if not len(hidden):  # a part of a prompt: its keys and values are all that was asked for
                    return hidden
            hidden = layer.mlp(layer.output.plus(mixed, hidden))
        return self._normed(hidden, self._norm)

    def _normed(self, x: Tensor, norm: Norm) -> Tensor:
        return self._operations.normed(x, norm.weight, norm.eps)

    def _lay_out(self, layer: Layer) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        before = Norm(layer.input_layernorm.weight.detach(), self._eps)
        between = Norm(layer.post_attention_layernorm.weight.detach(), self._eps)
        states = self._query_key_value(attention.q_proj, attention.k_proj, attention.v_proj)
        return _Layer(
            of_norm(states, before, self._normed),
            product_of(attention.o_proj),
            mlp_of(mlp.gate_up_proj, mlp.down_proj, between, self._normed),
        )

    def _query_key_value(self, *parts: nn.Linear) -> Linear:
        """One product for the three, with the rows of queries and keys in the order in which they are rotated."""
        order = _rotated_order(self._heads + self._groups, self._groups, self._size, 2 * self._cos.shape[1])
        return stacked_of(parts, order.to(self._embedding.device))


def _give_up(module: nn.Module) -> None:
    """Free the weights of plain layers: they are laid out anew, or held by what was made of them."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.to_empty(device="meta")


def _rotated_order(rotated_heads: int, others: int, size: int, rotated: int) -> Tensor:
    """Rows of heads with the pairs that are rotated together in two halves: 0 2 4 ... 1 3 5 ..., the rest as it is."""
    head = torch.cat([torch.arange(0, rotated, 2), torch.arange(1, rotated, 2), torch.arange(rotated, size)])
    heads = [head + number * size for number in range(rotated_heads)]
    return torch.cat([*heads, torch.arange(rotated_heads * size, (rotated_heads + others) * size)])


def _rotary_table(shape: ModelDims, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (context, half of the rotated channels), computed in float32 as transformers does, in the dtype
    and on the device of `like`. Half of the channels of a head are rotated."""
    rotated = shape.head_size // 2
    channels = torch.arange(0, rotated, 2, dtype=torch.int64).float()
    frequencies = 1.0 / ((10000.0 * shape.rope_ratio) ** (channels / rotated))
    angles = torch.outer(torch.arange(shape.context, dtype=torch.int64).float(), frequencies)
    return angles.cos().to(like), angles.sin().to(like)
