"""16 bits with the range of float32 and a fraction of 7."""

from __future__ import annotations

from extractor.precisions._support.precision import float_precision

PRECISION = float_precision(cpu="bfloat16", cuda="bfloat16", value_bytes=2)
