"""Products with the model's weights, laid out once for the kernels of the device.

On a CPU in bfloat16 a plain linear layer lays its weight out anew at each call of few rows; here that is done once
(oneDNN's blocked layout), and what follows a product (adding the residual, the gate) is part of its kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor], Tensor]
"""(rows, in) to (rows, out)."""


class Linear(Protocol):
    """A product that can add to a residual."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """residual + self(x)."""
        ...


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


def linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """The fastest product with a weight (out, in) on its device."""
    if _packs(weight):
        return Packed(weight, bias)
    return Plain(lambda x: functional.linear(x, weight, bias))


def gated(weight: Tensor) -> Product:
    """silu(x @ gate) * (x @ up) for a weight (gate rows, then up rows; in)."""
    gate, up = weight.chunk(2)
    if _packs(weight):
        packed_gate, packed_up = Packed(gate, None), Packed(up, None)
        return lambda x: packed_up.times(x, packed_gate(x, "swish"))
    return gated_product(lambda x: functional.linear(x, weight))


def gated_product(product: Product) -> Product:
    """The same over a product that gives gate and up side by side."""

    def apply(x: Tensor) -> Tensor:
        gate, up = product(x).chunk(2, dim=-1)
        return functional.silu(gate) * up

    return apply


def _packs(weight: Tensor) -> bool:
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return on_cpu and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
