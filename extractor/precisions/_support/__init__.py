"""Linear layers whose weights are integers, in place of `torch.nn.Linear`: `Int8Linear` and `Int4Linear`.

    layer        weights                              product of many rows            product of few rows
    Int8Linear   8 bits, a scale per output channel   int8 x int8: each row of the    the same
                                                      input gets a scale of its own
    Int4Linear   4 bits, scale and zero for 32        weights unpacked to half        a kernel that reads 4 bits
                 columns of an output channel         precision, then its product

A layer is filled by `quantize_` (or `from_float`, or `load_state_dict`), lays its weights out for this machine's
kernels at the first call (or `pack`), and `stack` joins layers that read the same input. Inference only; numbers in
and out have the type the layer was made for. The value of a row never depends on the other rows of a call.
"""

from __future__ import annotations

from extractor.precisions._support.base import QuantizedLinear
from extractor.precisions._support.int4 import Int4Linear
from extractor.precisions._support.int8 import Int8Linear

__all__ = ["Int4Linear", "Int8Linear", "QuantizedLinear", "layer_type"]


def layer_type(precision: str, columns: int) -> type[QuantizedLinear]:
    """The layer that holds a weight of so many columns in `int8` or `int4`.

    A weight that int4 cannot divide into groups (columns that are no multiple of 32) is held in int8.
    """
    return Int4Linear if precision == "int4" and Int4Linear.takes(columns) else Int8Linear
