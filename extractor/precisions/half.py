"""16 bits, whichever of the two the device is fast in: float16 on a GPU, bfloat16 on a CPU. The default."""

from __future__ import annotations

from extractor.precisions._support.precision import float_precision

PRECISION = float_precision(cpu="bfloat16", cuda="float16", value_bytes=2)
