"""The description of a precision: what it is called, what it costs, and which layer holds its weights.

This module knows no torch: it names dtypes, and a layer is imported when a model is loaded. It does not know ChatGLM3
either, only the sizes it is asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from extractor.precisions._support.linear import LinearLayer

WORKING_BYTES = 512 * 1024**2
"""An allowance beside weights and cache for activations and the allocator: an estimate, not a measurement."""


class Sizes(Protocol):
    """The sizes of a model that its memory follows from (`chatglm3.model_dims`)."""

    @property
    def parameters(self) -> int:
        """All parameters."""
        ...

    @property
    def table_parameters(self) -> int:
        """Parameters of the embedding; the output layer has as many."""
        ...

    @property
    def context(self) -> int:
        """Tokens of a full context."""
        ...

    def cache_bytes(self, tokens: int, bytes_per_value: float = 2) -> int:
        """Return the bytes of the KV cache of so many tokens."""
        ...


LayerChoice = Callable[[int, bool], "type[LinearLayer]"]
"""The layer for a weight with so many columns, and whether it is the output layer. Imports torch when it is called."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How a model is held and computed.

    `cpu` and `cuda` name the torch dtype, on each device, of everything that is not quantised: embedding, norms,
    biases, activations and cache, `value_bytes` each. `weights` and `head` are the bytes of a weight in the layers and
    in the output layer, scales included: those of the dtype, or fewer where they are `quantized`. `layer` chooses the
    layer that holds a weight and multiplies by it. `name` is that of the precision's module.
    """

    cpu: str
    cuda: str
    value_bytes: int
    weights: float
    head: float
    layer: LayerChoice
    quantized: bool = False
    name: str = ""

    def dtype_name(self, device_type: str) -> str:
        """Return the name of the torch dtype on `cpu` or `cuda`."""
        return self.cuda if device_type == "cuda" else self.cpu

    def weight_bytes(self, sizes: Sizes) -> int:
        """Return the bytes that the weights of a model take."""
        inner = sizes.parameters - 2 * sizes.table_parameters
        return int(inner * self.weights + sizes.table_parameters * (self.value_bytes + self.head))

    def needed_bytes(self, sizes: Sizes) -> int:
        """Return the bytes to run one prompt of full context: weights, its KV cache, working room."""
        return self.weight_bytes(sizes) + sizes.cache_bytes(sizes.context, self.value_bytes) + WORKING_BYTES


def float_precision(*, cpu: str, cuda: str, value_bytes: int) -> Precision:
    """Return a precision whose weights have the dtype that is computed in."""
    return Precision(cpu, cuda, value_bytes, weights=value_bytes, head=value_bytes, layer=_float_layer)


def _float_layer(columns: int, output: bool) -> type[LinearLayer]:
    from extractor.precisions._support.float_linear import FloatLinear

    return FloatLinear
