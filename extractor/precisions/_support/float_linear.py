"""Linear layers whose weights have the dtype that is computed in.

`nn.Linear` lays its weight out again at each call of few rows in bfloat16 on a CPU; here that is done once: in the
tiles that our kernels read, else in oneDNN's blocked layout. Other dtypes and devices multiply the weight as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractor.kernels import tiled
from extractor.kernels.tiled import TiledWeight
from extractor.precisions._support.linear import LinearLayer, OutputProduct, Product, RowFunction, TiledProduct


class FloatLinear(LinearLayer, nn.Linear):
    """`nn.Linear` with products for the engine. A product does not need the layer afterwards."""

    @classmethod
    def from_float(cls, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.bfloat16) -> Self:
        """Return a layer with this weight, cast to `dtype`."""
        layer = cls(weight.shape[1], weight.shape[0], bias is not None, "meta", dtype)
        layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
        if bias is not None:
            layer.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
        return layer

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Return one layer with the outputs of all `parts` side by side; all of them or none have a bias."""
        biases = [part.bias.detach() for part in parts if part.bias is not None]
        weight = torch.cat([part.weight.detach() for part in parts])
        return cls.from_float(weight, torch.cat(biases) if biases else None, weight.dtype)

    def rows(self, order: Tensor) -> Self:
        """Return a layer with these of the outputs, in this order."""
        bias = None if self.bias is None else self.bias.detach()[order]
        return self.from_float(self.weight.detach()[order], bias, self.weight.dtype)

    def fill(self, weight: Tensor) -> None:
        """Copy a weight, cast to the layer's dtype."""
        self.weight.copy_(weight)

    def tiles(self) -> TiledWeight | None:
        """Return the weight in the tiles of our kernels: a copy of it."""
        weight, bias = self._values()
        outputs, columns = weight.shape
        if not tiled.supports(outputs, columns, weight.dtype, weight.device):
            return None
        return TiledWeight(tiled.to_tiles(weight), columns, bias=bias)

    def plain_product(self) -> Product:
        """Return oneDNN's product for bfloat16 on a CPU that it has one for, else torch's."""
        return (_OneDNNProduct if _has_onednn(self.weight) else _TorchProduct)(*self._values())

    def gated_product(self) -> RowFunction:
        """Return silu(gate) * up; both are part of oneDNN's products where it has them."""
        if not _has_onednn(self.weight):
            return super().gated_product()
        gate, up = (_OneDNNProduct(weight, None) for weight in self.weight.detach().chunk(2))
        return lambda x: up.times(x, gate(x, "swish"))

    def output(self) -> OutputProduct:
        """Return the output layer. The weight stays as it is without kernels, so that rows can be read from it."""
        tiles = self.tiles()
        return _TorchOutput(self.weight.detach()) if tiles is None else _TiledOutput(tiles)

    def release(self) -> None:
        """Free the weight: a product holds the weight itself, in the layout that it reads."""
        self.to_empty(device="meta")

    def _values(self) -> tuple[Tensor, Tensor | None]:
        return self.weight.detach(), None if self.bias is None else self.bias.detach()


class _TorchProduct:
    """A weight (out, in) as it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight, self._bias)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + self(x)."""
        return residual + self(x)


class _OneDNNProduct:
    """A bfloat16 weight (out, in) in oneDNN's layout, on the CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        self._bias = bias

    def __call__(self, x: Tensor, activation: str = "none") -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, activation, [], ""))

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + self(x), rounded once."""
        return self._binary(x, residual, "add")

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """Return factor * self(x), rounded once."""
        return self._binary(x, factor, "mul")

    def _binary(self, x: Tensor, other: Tensor, operation: str) -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise.binary(x, other, self._weight, self._bias, operation))


class _TorchOutput:
    """Logits from a weight (vocabulary, hidden) as it is."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight)

    def select(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of these tokens, from their rows of the weight alone."""
        return functional.linear(x, self._weight[tokens])


class _TiledOutput(TiledProduct):
    """Logits from a weight in tiles."""

    def select(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of these tokens, from their rows of the weight alone."""
        return functional.linear(x, tiled.rows_from_tiles(self.weight.tiles, self.weight.columns, tokens))


def _has_onednn(weight: Tensor) -> bool:
    on_cpu = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return on_cpu and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
