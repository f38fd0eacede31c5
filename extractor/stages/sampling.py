"""Which prompts are decoded greedily, and with what seed the others are sampled.

The first two attempts are greedy. From the third on, and where a further pass would ask the same question once more,
an answer is sampled. A seed is derived from the run's seed, the document, the chunk and the attempt, so the same line
run again samples the same answers, whatever else is in the batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from extractor.config import RunConfig
from extractor.data import GREEDY, Prompt, Sampling

FIRST_SAMPLED = 3
"""The attempt from which on answers are sampled."""


def by_attempt(prompt: Prompt, config: RunConfig) -> Prompt:
    """Return the prompt with the sampling of its attempt."""
    greedy = prompt.attempt < FIRST_SAMPLED
    return replace(prompt, sampling=GREEDY if greedy else _seeded(prompt, config, prompt.attempt))


def by_pass(prompt: Prompt, config: RunConfig) -> Prompt:
    """Return the prompt with the sampling of its pass, for one whose greedy answer is known already."""
    return replace(prompt, sampling=_seeded(prompt, config, FIRST_SAMPLED, prompt.pass_number))


def _seeded(prompt: Prompt, config: RunConfig, attempt: int, pass_number: int = 1) -> Sampling:
    chunk = prompt.chunk
    parts: list[str | int] = [config.seed, chunk.document.id, chunk.start, attempt]
    origin = ":".join(map(str, parts if pass_number == 1 else [*parts, pass_number]))
    seed = int.from_bytes(hashlib.sha256(origin.encode("utf-8", "surrogatepass")).digest()[:4], "big")
    return Sampling(config.temperature, seed)
