"""32 bits: the reference that the others are compared with."""

from __future__ import annotations

from extractor.precisions._support.precision import float_precision

PRECISION = float_precision(cpu="float32", cuda="float32", value_bytes=4)
