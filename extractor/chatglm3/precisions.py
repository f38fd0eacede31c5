"""The precisions a model can be loaded in, and what each needs of memory.

A new precision is one entry here (and, when it needs more than a cast, a step in `checkpoint`). This module knows no
torch: it names data types, `checkpoint` turns the names into torch's.
"""

from __future__ import annotations

from dataclasses import dataclass

from extractor.chatglm3.shape import ModelShape
from extractor.errors import UsageError

WORKING_BYTES = 512 * 1024**2
"""An allowance beside weights and cache for activations and the allocator: an estimate, not a measurement."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights are held: the name of the torch dtype on CPU and on CUDA, and bytes per weight."""

    name: str
    cpu: str
    cuda: str
    bytes_per_weight: float

    def dtype_name(self, device_type: str) -> str:
        """Name of the torch dtype on `cpu` or `cuda`."""
        return self.cuda if device_type == "cuda" else self.cpu

    def weight_bytes(self, shape: ModelShape) -> int:
        """Bytes that the weights of a model take."""
        return int(shape.parameters * self.bytes_per_weight)

    def needed_bytes(self, shape: ModelShape) -> int:
        """Bytes to run one prompt of full context: weights, its key-value cache, working room."""
        return self.weight_bytes(shape) + shape.cache_bytes(shape.context, self.bytes_per_weight) + WORKING_BYTES


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("half", cpu="bfloat16", cuda="float16", bytes_per_weight=2),
        Precision("float16", cpu="float16", cuda="float16", bytes_per_weight=2),
        Precision("bfloat16", cpu="bfloat16", cuda="bfloat16", bytes_per_weight=2),
        Precision("float32", cpu="float32", cuda="float32", bytes_per_weight=4),
    )
}


def find_precision(name: str) -> Precision:
    """The precision called `name`; UsageError lists the names there are."""
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r}: choose one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
