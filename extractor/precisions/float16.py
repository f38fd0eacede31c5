"""16 bits with a fraction of 10: as ChatGLM3 is published."""

from __future__ import annotations

from extractor.precisions._support.precision import float_precision

PRECISION = float_precision(cpu="float16", cuda="float16", value_bytes=2)
