"""The precisions a model can be loaded in, and what each needs of memory.

A new precision is one entry here (and, when its weights are no floating point, a layer in `quantized`). This module
knows no torch: it names data types and layers, `checkpoint` turns the names into torch's.
"""

from __future__ import annotations

from dataclasses import dataclass

from extractor.chatglm3.model_dims import ModelDims
from extractor.errors import UsageError

WORKING_BYTES = 512 * 1024**2
"""An allowance beside weights and cache for activations and the allocator: an estimate, not a measurement."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How a model is held: the name of the torch dtype on CPU and on CUDA, of what is computed and of the cache.

    `weights` and `head` are the bytes of a weight in the layers and in the output layer: those of the dtype, or fewer
    where they are `quantized` (scales included). The embedding always has the dtype.
    """

    name: str
    cpu: str
    cuda: str
    value_bytes: int
    weights: float
    head: float
    quantized: bool = False

    def dtype_name(self, device_type: str) -> str:
        """Name of the torch dtype on `cpu` or `cuda`."""
        return self.cuda if device_type == "cuda" else self.cpu

    def weight_bytes(self, shape: ModelDims) -> int:
        """Bytes that the weights of a model take."""
        inner = shape.parameters - 2 * shape.table_parameters
        return int(inner * self.weights + shape.table_parameters * (self.value_bytes + self.head))

    def needed_bytes(self, shape: ModelDims) -> int:
        """Bytes to run one prompt of full context: weights, its key-value cache, working room."""
        return self.weight_bytes(shape) + shape.cache_bytes(shape.context, self.value_bytes) + WORKING_BYTES


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("half", cpu="bfloat16", cuda="float16", value_bytes=2, weights=2, head=2),
        Precision("float16", cpu="float16", cuda="float16", value_bytes=2, weights=2, head=2),
        Precision("bfloat16", cpu="bfloat16", cuda="bfloat16", value_bytes=2, weights=2, head=2),
        Precision("float32", cpu="float32", cuda="float32", value_bytes=4, weights=4, head=4),
        Precision("int8", cpu="bfloat16", cuda="float16", value_bytes=2, weights=1, head=1, quantized=True),
        Precision("int4", cpu="bfloat16", cuda="bfloat16", value_bytes=2, weights=0.625, head=1, quantized=True),
    )
}

QUANTIZED = tuple(name for name, precision in PRECISIONS.items() if precision.quantized)
"""The precisions whose weights are integers, which `models quantize` can store."""

DEFAULT = "half"
"""The precision nobody asked for: of a quantised checkpoint it means what is stored."""


def find_precision(name: str, stored: str | None = None) -> Precision:
    """The precision called `name`, of a checkpoint whose weights are `stored` as integers or are not (None).

    Raises UsageError for a name that is unknown, and for one that contradicts what is stored.
    """
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r}: choose one of {', '.join(PRECISIONS)}")
    if stored is not None and name not in (DEFAULT, stored):
        raise UsageError(
            f"the model is stored in {stored} and cannot be loaded in {name}: leave --precision out, or use the "
            "original checkpoint"
        )
    return PRECISIONS[stored or name]
