"""OpenVINO GenAI, in an environment of its own (`openvino_env.sh`): free text, or JSON by the grammar engine inside it.

It gets the forms of the plain model that `openvino_model.py` makes, and prompts as token ids. There is no way to empty
its prefix cache; it knows nothing of the questions before they are timed, since those to warm up with begin otherwise.
Keys and values of 8 bits, and activations quantized in groups of 32 where weights have 8 bits, are its own defaults.
Its grammar lets control characters into strings, which a model with random weights writes now and then: no JSON then.
`OV_CPU_MAX_ISA` and `ONEDNN_MAX_CPU_ISA`, both set to the same (`AVX2`), limit it to the instructions of a processor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.job import Answer, Item, Job

VARIANTS = dict.fromkeys(("free", "schema", "bf16-free", "bf16-schema", "int8-free", "int8-schema"))
"""Weights of 16 bits, computed in float32 or, where the processor has instructions for it, in bfloat16; and of 8 bits,
computed beside that as OpenVINO finds best."""
ROWS = 64
PREFILL_TOKENS = 2048
CACHE_GIB = 2


class Contender:
    def __init__(self, job: Job, variant: str) -> None:
        import openvino_genai as genai

        kind, _, answers = variant.rpartition("-")
        schedule = genai.SchedulerConfig()
        schedule.cache_size = CACHE_GIB
        schedule.enable_prefix_caching = True
        schedule.dynamic_split_fuse = True
        schedule.max_num_batched_tokens = PREFILL_TOKENS
        schedule.max_num_seqs = ROWS
        folder = model_folder(Path(job.plain), "int8" if kind == "int8" else "fp16")
        self._pipeline = genai.ContinuousBatchingPipeline(str(folder), schedule, "CPU", _properties(kind))
        self._config = self._pipeline.get_config()
        self._config.do_sample = False
        self._config.max_new_tokens = job.free_tokens if answers == "free" else job.answer_tokens
        if answers == "schema":
            self._config.structured_output_config = genai.StructuredOutputConfig(json_schema=json.dumps(job.schema))

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        import numpy as np
        from openvino import Tensor

        prompts = [Tensor(np.array([item.ids], np.int64)) for item in items]
        results = self._pipeline.generate(prompts, [self._config] * len(items))
        written = [result.m_generation_ids[0] for result in results]
        texts = self._pipeline.get_tokenizer().decode(written)
        return [Answer(len(item.ids), len(ids), text) for item, ids, text in zip(items, written, texts, strict=True)]


def model_folder(plain: Path, weights: str) -> Path:
    """Where the form of a plain model with such weights (`fp16`, `int8`) is kept."""
    return plain.with_name(f"{plain.name}-openvino-{weights}")


def _properties(kind: str) -> Mapping[str, Any]:
    """What the CPU plugin is told. Without a hint it computes in bfloat16 where there are instructions for it."""
    hint = {"": {"INFERENCE_PRECISION_HINT": "f32"}, "bf16": {"INFERENCE_PRECISION_HINT": "bf16"}, "int8": {}}[kind]
    if kind == "bf16":
        _require_bfloat16()
    return {**hint, "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)), "NUM_STREAMS": 1}


def _require_bfloat16() -> None:
    """Raise SystemExit where bfloat16 would be emulated, or silently be float32."""
    from openvino import Core

    if "BF16" not in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise SystemExit("This processor has no instructions for bfloat16; leave the variants with bf16 out.")
