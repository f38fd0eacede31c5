"""What the engine and the loader ask of a linear layer, whatever its precision.

    loading     LinearLayer(in, out, bias, device, dtype) on the meta device -> memory -> fill(weight)
    engine      stack and rows join and reorder layers; then, once per layer of the model,
                after_norm()   the product of the norm of its input                     (query, key, value)
                product()      a product that can add to a residual                     (attention output)
                mlp(down)      x + down(silu(gate) * up) of the norm of x               (gate and up, then down)
                output()       logits of the whole vocabulary or of some tokens         (output layer)
    afterwards  release() frees what no product holds

Each of them lays the weight out for the device's kernels once, and computes from then on. A precision derives its layer
from `LinearLayer`; it must say how its weight is filled, joined and multiplied, and may replace every other method by
something faster. With `tiles` norm, gate and residual are part of our kernel; else each is a step of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractor.kernels import tiled
from extractor.kernels.tiled import Norm, TiledWeight

RowFunction = Callable[[Tensor], Tensor]
"""(rows, in) to (rows, out), each row for itself."""

ApplyNorm = Callable[[Tensor, Norm], Tensor]
"""Returns the norm of each row."""


class Product(Protocol):
    """A product with a weight, (rows, in) to (rows, out), that can add to a residual."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, with the bias."""
        ...

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + self(x)."""
        ...


class OutputProduct(Protocol):
    """The output layer's product, (rows, hidden) to logits."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of the vocabulary: (rows, vocabulary)."""
        ...

    def select(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of these tokens (indices) alone: (rows, tokens)."""
        ...


class LinearLayer(nn.Module, ABC):
    """A linear layer for `x` (..., in_features); a new one holds memory but no values.

    It is made as `nn.Linear` is: (in_features, out_features, bias, device, dtype), and callable as one.
    """

    in_features: int
    out_features: int

    @classmethod
    @abstractmethod
    def from_float(cls, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.bfloat16) -> Self:
        """Return a layer for what `F.linear(x, weight, bias)` computes, in `dtype`."""

    @classmethod
    @abstractmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Return one layer with the outputs of all `parts`, which read the same input, side by side."""

    @abstractmethod
    def rows(self, order: Tensor) -> Self:
        """Return a layer with these of the outputs (indices), in this order."""

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Take the values of a float weight (out_features, in_features), on whatever device it is."""

    @abstractmethod
    def plain_product(self) -> Product:
        """Return the fastest product that does not use tiles."""

    def tiles(self) -> TiledWeight | None:
        """Return the weight in the tiles of our kernels; None where the machine or the size does not allow it."""
        return None

    def product(self) -> Product:
        """Return the fastest product on the layer's device."""
        tiles = self.tiles()
        return self.plain_product() if tiles is None else TiledProduct(tiles)

    def after_norm(self, norm: Norm, apply_norm: ApplyNorm) -> RowFunction:
        """Return the product of the norm of its input."""
        tiles = self.tiles()
        if tiles is not None:
            return partial(tiled.multiply, weight=tiles, norm=norm)
        product = self.plain_product()
        return lambda x: product(apply_norm(x, norm))

    def gated_product(self) -> RowFunction:
        """Return silu(gate) * up, where gate and up are the halves of the product's outputs."""
        return partial(_gate, self.product())

    def mlp(self, down: LinearLayer, norm: Norm, apply_norm: ApplyNorm) -> RowFunction:
        """Return x + down(silu(gate) * up), where gate and up are the halves of self(norm of x)."""
        last = down.tiles()
        first = None if last is None else self.tiles()
        if last is not None and first is not None and first.kind == last.kind:
            return partial(tiled.mlp, norm=norm, gate_up=first, down=last)
        product, gated = down.product(), self.gated_product()
        return lambda x: product.plus(gated(apply_norm(x, norm)), x)

    def output(self) -> OutputProduct:
        """Return the layer's product as a model's output layer."""
        return _WholeOutput(self.product())

    def stored_dtypes(self) -> Mapping[str, torch.dtype]:
        """Return the buffers that a stored checkpoint must hold in exactly this dtype; floats are cast, so none."""
        return {}

    def release(self) -> None:
        """Free the weight, unless a product made of this layer still reads it here."""


class TiledProduct:
    """A product with a weight in tiles."""

    def __init__(self, weight: TiledWeight) -> None:
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return tiled.multiply(x, self.weight)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + self(x)."""
        return tiled.multiply(x, self.weight, residual=residual)


class _WholeOutput:
    """Logits of some tokens as a part of those of all."""

    def __init__(self, product: Product) -> None:
        self._product = product

    def __call__(self, x: Tensor) -> Tensor:
        return self._product(x)

    def select(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of these tokens."""
        return self._product(x).index_select(-1, tokens)


def _gate(product: RowFunction, x: Tensor) -> Tensor:
    gate, up = product(x).chunk(2, dim=-1)
    return functional.silu(gate) * up
