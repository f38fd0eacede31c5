"""One answer, token by token: greedy or sampled, with the key-value cache of the model.

A plain loop for chatting with one user. The fast way for many documents is the engine, which this module does not
know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, GlmForCausalLM

from extractor.errors import UsageError


@dataclass(frozen=True, slots=True)
class Generation:
    """How an answer is written. Temperature 0 is greedy; above it the seed makes sampling repeatable on one device."""

    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}: give at least 1")
        if not self.temperature >= 0:
            raise UsageError(f"temperature is {self.temperature}: give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p}: give a share above 0 and up to 1")


def generate(
    model: GlmForCausalLM, prompt: Sequence[int], stop_ids: Collection[int], options: Generation
) -> Iterator[int]:
    """Yield ids of an answer to `prompt` until a stop id (which is not yielded) or `options.max_tokens`.

    The prompt and the answer together must fit the model's context; that is the caller's to check.
    """
    cache = DynamicCache(config=model.config)
    random = torch.Generator(model.device).manual_seed(options.seed)
    ids = list(prompt)
    for _ in range(options.max_tokens):
        token = choose(_next_logits(model, ids, cache), options, random)
        if token in stop_ids:
            return
        yield token
        ids = [token]


def choose(logits: Tensor, options: Generation, random: torch.Generator) -> int:
    """The next id from logits of shape (vocabulary,): the best one, or a draw from the nucleus of mass `top_p`.

    Nucleus: the smallest set of most probable ids whose probabilities reach `top_p` (Holtzman et al., 2020).
    """
    if options.temperature == 0:
        return int(logits.argmax())
    probabilities, ids = torch.softmax(logits.float() / options.temperature, dim=-1).sort(descending=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    nucleus = probabilities * (before < options.top_p)
    return int(ids[torch.multinomial(nucleus, 1, generator=random)])


def _next_logits(model: GlmForCausalLM, ids: Sequence[int], cache: DynamicCache) -> Tensor:
    """Logits of shape (vocabulary,) behind `ids`, which are added to the cache."""
    with torch.inference_mode():
        batch = torch.tensor([ids], device=model.device)
        output = model(input_ids=batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
    logits: Tensor = output.logits[0, -1]
    return logits
