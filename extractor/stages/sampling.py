"""Which prompts are decoded greedily, and with what seed the others are sampled.

The first two attempts are greedy. From the third on, and where a further pass asks what was asked before, an answer is
sampled. A seed is derived from the run's seed, the document, the chunk and the attempt, so the same command run again
samples the same answers, whatever else is in the batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from extractor.config import RunConfig
from extractor.data import GREEDY, Prompt, Sampling

FIRST_SAMPLED = 3
"""The first attempt whose answer is sampled."""


def assign(prompt: Prompt, config: RunConfig, *, repeated: bool = False) -> Prompt:
    """Return the prompt with its sampling; `repeated` if an earlier pass asked the same: its greedy answer is known."""
    if repeated:
        sampling = _seeded(prompt, config, FIRST_SAMPLED, prompt.pass_number)
    elif prompt.attempt >= FIRST_SAMPLED:
        sampling = _seeded(prompt, config, prompt.attempt)
    else:
        sampling = GREEDY
    return replace(prompt, sampling=sampling)


def _seeded(prompt: Prompt, config: RunConfig, attempt: int, pass_number: int = 1) -> Sampling:
    """Return the sampling with 32 bits of the SHA-256 of all that it depends on.

    The first pass is not part of the hash, so that a run of one pass and the first pass of several sample the same.
    """
    chunk = prompt.chunk
    parts: list[str | int] = [config.seed, chunk.document.id, chunk.start, attempt]
    origin = ":".join(map(str, parts if pass_number == 1 else [*parts, pass_number]))
    seed = int.from_bytes(hashlib.sha256(origin.encode("utf-8", "surrogatepass")).digest()[:4], "big")
    return Sampling(config.temperature, seed)
