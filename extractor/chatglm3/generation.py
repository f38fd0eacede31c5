"""One answer by transformers' own `generate`: greedy or sampled, lazy, with the model's key-value cache.

For chatting with one user. Constraints, batches and speculation are the engine's, which this module does not know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache, GlmForCausalLM
from transformers.models.glm.modeling_glm import apply_rotary_pos_emb

from extractor.chatglm3.adapters import VirtualTokens
from extractor.errors import UsageError


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How an answer is decoded. Temperature 0 is greedy; above it the seed makes sampling repeatable on one device."""

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
            raise UsageError(f"top_p is {self.top_p}: give a probability above 0 and up to 1")


def generate(
    model: GlmForCausalLM,
    prompt: Sequence[int],
    stop_ids: Collection[int],
    options: GenerationOptions,
    prefix: VirtualTokens | None = None,
) -> Iterator[int]:
    """Yield the ids of an answer to `prompt` until a stop id (not yielded) or `options.max_tokens`.

    Each call of `generate` decodes one token and continues from the cache of the call before (0.3 ms more a token than
    one call for all): nothing is computed ahead of the reader, who may stop at any token, and no thread is needed as
    with a streamer. Prompt and answer together must fit the model's context; that is the caller's to check.
    """
    cache = DynamicCache(config=model.config)
    if prefix is not None:
        _fill(cache, model, prefix)
        prompt = [0] * len(prefix) + list(prompt)  # what is in the cache is not read again
    random = torch.Generator(model.device).manual_seed(options.seed)
    ids = torch.tensor([list(prompt)], device=model.device)
    for _ in range(options.max_tokens):
        with _default_generator_continues(random):
            ids = _decode_one(model, ids, cache, options)
        token = int(ids[0, -1])
        if token in stop_ids:
            return
        yield token


def _fill(cache: DynamicCache, model: GlmForCausalLM, prefix: VirtualTokens) -> None:
    """Put virtual tokens into an empty cache.

    transformers counts them in the positions of the prompt. Where they were trained with other positions, their keys
    are rotated by the difference: a score depends on the distance alone.
    """
    keys, values = prefix.keys.to(model.device), prefix.values.to(model.device)
    shift = torch.full((1, 1), len(prefix) - prefix.first_position, device=model.device)
    cos, sin = model.model.rotary_emb(keys.float(), shift)
    for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
        heads = key.float().transpose(0, 1).unsqueeze(0)  # (1, groups, tokens, head_size)
        _, turned = apply_rotary_pos_emb(heads, heads, cos, sin)  # type: ignore[no-untyped-call]
        cache.update(turned.to(model.dtype), value.transpose(0, 1).unsqueeze(0).to(model.dtype), layer)


def _decode_one(model: GlmForCausalLM, ids: Tensor, cache: DynamicCache, options: GenerationOptions) -> Tensor:
    """Return `ids`, shape (1, tokens), with one token appended; the cache then holds the given ones."""
    decoding: dict[str, Any] = {"do_sample": False}
    if options.temperature > 0:  # top_k=0 switches off transformers' default of 50
        decoding = {"do_sample": True, "temperature": options.temperature, "top_p": options.top_p, "top_k": 0}
    longer = model.generate(  # type: ignore[misc]  # transformers annotates `self` with another class
        ids, attention_mask=torch.ones_like(ids), past_key_values=cache, max_new_tokens=1, **decoding
    )
    return cast(Tensor, longer)


@contextmanager
def _default_generator_continues(random: torch.Generator) -> Iterator[None]:
    """Lend the state of `random` to torch's default generator, the only one that transformers draws from.

    Outside the block the default generator is as the caller left it, and `random` has moved on.
    """
    device = random.device
    default = torch.cuda.default_generators[device.index] if device.type == "cuda" else torch.default_generator
    callers = default.get_state()
    default.set_state(random.get_state())
    try:
        yield
    finally:
        random.set_state(default.get_state())
        default.set_state(callers)
