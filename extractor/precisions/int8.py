"""Weights in 8 bits with a scale per output, multiplied as int8 x int8: half the memory of 16 bits.

The layer and its products are in `_support.int8_linear`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractor.precisions._support.precision import Precision

if TYPE_CHECKING:
    from extractor.precisions._support.linear import LinearLayer


def _layer(columns: int, output: bool) -> type[LinearLayer]:
    from extractor.precisions._support.int8_linear import Int8Linear

    return Int8Linear


PRECISION = Precision(cpu="bfloat16", cuda="float16", value_bytes=2, weights=1, head=1, layer=_layer, quantized=True)
