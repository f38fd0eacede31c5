"""Weights in 4 bits with scale and zero for each 32 columns (5 bits in all): for a model that must fit.

The layer and its products are in `_support.int4_linear`. The output layer is in int8, because it decides the tokens,
and so is a weight whose columns do not divide into groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractor.precisions._support.precision import Precision

if TYPE_CHECKING:
    from extractor.precisions._support.linear import LinearLayer


def _layer(columns: int, output: bool) -> type[LinearLayer]:
    from extractor.precisions._support.int4_linear import Int4Linear
    from extractor.precisions._support.int8_linear import Int8Linear

    return Int4Linear if Int4Linear.supports(columns) and not output else Int8Linear


PRECISION = Precision(
    cpu="bfloat16", cuda="bfloat16", value_bytes=2, weights=0.625, head=1, layer=_layer, quantized=True
)
