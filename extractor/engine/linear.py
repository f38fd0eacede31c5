"""Products with the model's weights, laid out once for the kernels of the device.

On a CPU in bfloat16 a plain linear layer lays its weight out anew at each call of few rows; here that is done once, for
the matrix unit where the processor has one that our kernel knows, else in oneDNN's blocked layout. What stands before
and behind a product (the norm, the gate, adding the residual) is part of its kernel where there is one for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractor.kernels import amx
from extractor.kernels.amx import Norm, Tiles
from extractor.precisions._support import Int4Linear, Int8Linear, QuantizedLinear

_INT8_COLUMNS = 8
"""CUDA's int8 product wants a multiple of so many outputs."""

Product = Callable[[Tensor], Tensor]
"""(rows, in) to (rows, out)."""

Normed = Callable[[Tensor, Norm], Tensor]
"""Takes the norm of each row."""


class Linear(Protocol):
    """A product that can add to a residual."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """residual + self(x)."""
        ...


class Output(Protocol):
    """The output layer: logits (rows, vocabulary), or of these tokens alone (rows, tokens)."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def some(self, x: Tensor, tokens: Tensor) -> Tensor: ...


class Plain:
    """Any product, as it is."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def __call__(self, x: Tensor) -> Tensor:
        return self._product(x)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual + self._product(x)


class Packed:
    """A bfloat16 weight (out, in) in oneDNN's layout, on the CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        self._bias = bias

    def __call__(self, x: Tensor, activation: str = "none") -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, activation, [], ""))

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return self._binary(x, residual, "add")

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        return self._binary(x, factor, "mul")

    def _binary(self, x: Tensor, other: Tensor, kind: str) -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise.binary(x, other, self._weight, self._bias, kind))


class Tiled:
    """A weight in the matrix unit."""

    def __init__(self, weight: Tiles) -> None:
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return amx.multiply(x, self.weight)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return amx.multiply(x, self.weight, residual=residual)


class _PlainOutput:
    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight)

    def some(self, x: Tensor, tokens: Tensor) -> Tensor:
        return functional.linear(x, self._weight[tokens])


class _TiledOutput(Tiled):
    def some(self, x: Tensor, tokens: Tensor) -> Tensor:
        return functional.linear(x, amx.rows(self.weight.tiles, self.weight.columns, tokens))


class _QuantizedOutput:
    def __init__(self, layer: Int8Linear) -> None:
        layer.pack_for_rows()
        self._layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return self._layer.forward(x)

    def some(self, x: Tensor, tokens: Tensor) -> Tensor:
        more = -len(tokens) % _INT8_COLUMNS if tokens.is_cuda else 0
        return self._layer.forward_rows(x, functional.pad(tokens, (0, more)))[:, : len(tokens)]


def linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """The fastest product with a weight (out, in) on its device."""
    if _tiles(weight):
        return Tiled(Tiles(amx.lay_out(weight), weight.shape[1], bias=bias))
    if _packs(weight):
        return Packed(weight, bias)
    return Plain(lambda x: functional.linear(x, weight, bias))


def product_of(layer: nn.Module) -> Linear:
    """The product that a layer stands for: laid out anew for `nn.Linear`, as it is for one with a kernel of its own."""
    if isinstance(layer, Int8Linear | Int4Linear) and (tiles := layer.tiled()) is not None:
        return Tiled(tiles)
    if isinstance(layer, QuantizedLinear):
        return layer
    if type(layer) is nn.Linear:
        return linear(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
    return Plain(layer)


def output_of(layer: nn.Module) -> Output:
    """The output layer of a model."""
    if isinstance(layer, Int8Linear):
        return _QuantizedOutput(layer)
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach()
    return _TiledOutput(Tiles(amx.lay_out(weight), weight.shape[1])) if _tiles(weight) else _PlainOutput(weight)


def stacked_of(layers: Sequence[nn.Module], order: Tensor) -> Linear:
    """The outputs of layers that read the same input, side by side and in this order."""
    quantized = [layer for layer in layers if isinstance(layer, QuantizedLinear)]
    if len(quantized) == len(layers):
        return product_of(quantized[0].stack(quantized).rows(order))
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    weight = torch.cat([layer.weight.detach() for layer in linears])[order]
    biases = [layer.bias.detach() for layer in linears if layer.bias is not None]
    return linear(weight, torch.cat(biases)[order] if biases else None)


def of_norm(product: Linear, norm: Norm, normed: Normed) -> Product:
    """The product of the norm of its input."""
    if isinstance(product, Tiled):
        return partial(amx.multiply, weight=product.weight, norm=norm)
    return lambda x: product(normed(x, norm))


def mlp_of(gate_up: nn.Module, down: nn.Module, norm: Norm, normed: Normed) -> Product:
    """x + down(silu(gate) * up) for layers of which the first gives gate and up, side by side, of the norm of x."""
    last = product_of(down)
    if (
        isinstance(last, Tiled)
        and isinstance(first := product_of(gate_up), Tiled)
        and first.weight.kind == last.weight.kind
    ):
        return partial(amx.mlp, norm=norm, gate_up=first.weight, down=last.weight)
    gated = _gated_of(gate_up)
    return lambda x: last.plus(gated(normed(x, norm)), x)


def _gated_of(layer: nn.Module) -> Product:
    """silu(gate) * up for a layer whose output is gate and up side by side."""
    if isinstance(layer, QuantizedLinear):
        return layer.gated
    if type(layer) is nn.Linear and _packs(layer.weight):
        gate, up = (Packed(weight, None) for weight in layer.weight.detach().chunk(2))
        return lambda x: up.times(x, gate(x, "swish"))
    return partial(_gate, product_of(layer))


def _gate(product: Product, x: Tensor) -> Tensor:
    gate, up = product(x).chunk(2, dim=-1)
    return functional.silu(gate) * up


def _tiles(weight: Tensor) -> bool:
    outputs, columns = weight.shape
    return amx.takes(outputs, columns, weight.dtype, weight.device)


def _packs(weight: Tensor) -> bool:
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return on_cpu and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
