"""What the layers with integer weights have in common: sizes, bias, and a weight in one of two forms.

The plain form (`codes`) is the same on every machine and is what is saved; the packed form is laid out for a kernel
of this one. A layer holds one of them: packing drops the plain form, and `state_dict` and `stack` compute it back.

    layer        weights                              product of many rows            product of few rows
    Int8Linear   8 bits, a scale per output           int8 x int8: each row of the    the same
                                                      input gets a scale of its own
    Int4Linear   4 bits, scale and zero for 32        weights unpacked to half        a kernel that reads 4 bits
                 columns of an output                 precision, then its product

Inference only; numbers in and out have the dtype the layer was made for. The value of a row never depends on the other
rows of a call.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.precisions._support.linear import LinearLayer, Product, RowFunction

Packed = tuple[Tensor, ...]
"""What a kernel reads instead of the codes."""

CHUNK = 2**18
"""Weights that are quantised at once, so that their float32 copies stay in the cache of a core."""


class QuantizedLinear(LinearLayer):
    """A layer with integer weights, filled by `fill` and `bias`, or by `load_state_dict`.

    The first dimension of every buffer is that of the outputs. The weight is packed at the first call, or by `pack`.
    """

    BITS: ClassVar[int]

    codes: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = in_features, out_features, dtype
        self.register_buffer("bias", torch.empty(out_features, dtype=dtype, device=device) if bias else None)
        self._packed: Packed | None = None

    @classmethod
    def from_float(cls, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.bfloat16) -> Self:
        """Return a layer for what `F.linear(x, weight, bias)` computes, as near as its bits allow."""
        layer = cls(weight.shape[1], weight.shape[0], bias is not None, weight.device, dtype)
        layer.fill(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)
        return layer

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Return one layer with the outputs of all `parts`, which read the same input, side by side."""
        states = [part.state_dict() for part in parts]
        return parts[0]._like({name: torch.cat([state[name] for state in states]) for name in states[0]})

    def rows(self, order: Tensor) -> Self:
        """Return a layer with these of the outputs (indices), in this order."""
        return self._like({name: buffer.index_select(0, order) for name, buffer in self.state_dict().items()})

    def _like(self, state: Mapping[str, Tensor]) -> Self:
        """Return a layer of the same input with these buffers."""
        codes = state["codes"]
        layer = type(self)(self.in_features, len(codes), "bias" in state, codes.device, self.dtype)
        layer.load_state_dict(state)
        return layer

    @torch.no_grad()
    def fill(self, weight: Tensor) -> None:
        """Quantise a float weight (out_features, in_features), on whatever device it is."""
        self.unpack()
        step = max(1, CHUNK // self.in_features)
        for start in range(0, self.out_features, step):
            rows = slice(start, min(start + step, self.out_features))
            self._quantize_rows(rows, weight[rows].to(self._plain.device, torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features) for `x` (..., in_features), both in the layer's dtype."""
        product = self._multiply(self.pack(), x.reshape(-1, self.in_features))
        if self.bias is not None:
            product += self.bias
        return product.view(*x.shape[:-1], self.out_features)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + self(x)."""
        return residual + self.forward(x)

    def gated(self, x: Tensor) -> Tensor:
        """Return silu(gate) * up, where gate and up are the halves of self(x)."""
        gate, up = self.forward(x).chunk(2, dim=-1)
        return F.silu(gate) * up

    def plain_product(self) -> Product:
        """Return the layer itself: it packs its weight for the kernel that this machine has."""
        return self

    def gated_product(self) -> RowFunction:
        """Return `gated`."""
        return self.gated

    def stored_dtypes(self) -> Mapping[str, torch.dtype]:
        """Return the dtypes of codes and scales, which mean something else in another."""
        return {name: tensor.dtype for name, tensor in self.state_dict().items() if name != "bias"}

    def pack(self, *, keep: bool = False) -> Packed:
        """Return the weight in the layout of this machine's kernel, made once; the plain form is dropped unless kept.

        A call packs by itself. `keep` costs the memory of both forms.
        """
        if self._packed is None:
            self._packed = self._to_packed(self._plain)
            self.codes = self.codes if keep else None
        return self._packed

    def unpack(self) -> None:
        """Go back to the plain form alone."""
        if self._packed is not None and self.codes is None:
            self.codes = self._to_plain(self._packed)
        self._packed = None

    @property
    def _plain(self) -> Tensor:
        if self.codes is None:
            raise RuntimeError("the weight is packed: call unpack() first")
        return self.codes

    @abstractmethod
    def dequantized(self) -> Tensor:
        """Return the weight that the codes mean, float32 (out_features, in_features)."""

    @abstractmethod
    def _quantize_rows(self, rows: slice, weight: Tensor) -> None:
        """Fill codes and scales of some rows from their float32 weight."""

    @abstractmethod
    def _multiply(self, packed: Packed, x: Tensor) -> Tensor:
        """Return the product for `x` (rows, in_features), without bias, as a new tensor."""

    @abstractmethod
    def _to_packed(self, codes: Tensor) -> Packed: ...

    @abstractmethod
    def _to_plain(self, packed: Packed) -> Tensor: ...

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._packed is not None and self.codes is None:
            destination[prefix + "codes"] = self._to_plain(self._packed)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Return the sizes, as `nn.Linear` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
