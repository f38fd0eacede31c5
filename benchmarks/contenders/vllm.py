"""vLLM, in an environment of its own (`vllm_env.sh`): free text, or JSON by one of its two grammar engines.

It gets the weights as a plain GlmForCausalLM and prompts as token ids; its prefix cache is emptied before each timing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks.contenders.job import Answer, Item, Job

VARIANTS = {"free": None, "xgrammar": None, "guidance": None}
ROWS = 64
"""Answers decoded together. With 32, fewer than there are documents, it is 15 % slower on the workload."""
PREFILL_TOKENS = 2048


class Contender:
    def __init__(self, job: Job, variant: str) -> None:
        os.environ |= {
            "VLLM_CPU_KVCACHE_SPACE": "2",
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        from vllm import LLM, SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        tokens = job.free_tokens if variant == "free" else job.answer_tokens
        grammar = None if variant == "free" else StructuredOutputsParams(json=dict(job.schema))
        self._sampling = SamplingParams(temperature=0, max_tokens=tokens, structured_outputs=grammar)
        backend = {} if variant == "free" else {"backend": variant, "disable_any_whitespace": True}
        self._llm = LLM(
            job.plain,
            dtype="bfloat16",
            max_model_len=max(1024, job.longest + tokens),
            max_num_seqs=ROWS,
            max_num_batched_tokens=PREFILL_TOKENS,
            enforce_eager=True,
            enable_prefix_caching=True,
            structured_outputs_config=backend,
        )

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        self._llm.reset_prefix_cache()
        prompts = [{"prompt_token_ids": list(item.ids)} for item in items]
        outputs = self._llm.generate(prompts, self._sampling, use_tqdm=False)
        return [
            Answer(len(item.ids), len(output.outputs[0].token_ids), output.outputs[0].text)
            for item, output in zip(items, outputs, strict=True)
        ]
