"""How much memory a tuning takes, and whether the machine has it: asked before the weights are loaded."""

from __future__ import annotations

import torch

from extractor.chatglm3 import ModelDims
from extractor.engine.platforms import free_memory
from extractor.errors import ModelError
from extractor.tuning.trainable import RANK, compute_dtype

FULL = 4 + 4 + 8 + 4 + 4
"""Bytes of a weight that is trained: itself, its gradient, two moments, the best one, that of the checkpoint."""
ASKED = 2
"""Bytes of each weight of the model that is measured, beside the one that learns."""
PROCESS = 2_400_000_000
"""Bytes of the process beside them, as measured: libraries, targets, and what the allocator keeps for the next step."""


def lora_weights(dims: ModelDims) -> int:
    """Return the weights of a LoRA beside all matrices of all layers."""
    hidden, query, key, inner = dims.hidden_size, dims.query_rows, dims.key_rows, dims.ffn_size
    sides = [(hidden, query), (hidden, key), (hidden, key), (query, hidden), (hidden, 2 * inner), (inner, hidden)]
    return dims.layers * RANK * sum(map(sum, sides))


def needed_bytes(dims: ModelDims, tokens: int, lora: bool, device: torch.device) -> int:
    """Return about how many bytes of a device a tuning takes whose batches have so many tokens."""
    layer = 14 * dims.hidden_size + 5 * dims.ffn_size + 4 * dims.key_rows
    kept = dims.layers * dims.hidden_size + layer if lora else dims.layers * layer  # a LoRA keeps where layers begin
    trained = lora_weights(dims) if lora else dims.parameters
    fixed = dims.parameters * compute_dtype(device).itemsize if lora else 0
    fixed += PROCESS if device.type == "cpu" else 0
    return fixed + trained * FULL + dims.parameters * ASKED + tokens * 4 * (kept + dims.vocab_size)


def check(needed: int, device: torch.device) -> None:
    """Raise ModelError where a device has less memory free than a tuning takes."""
    free = free_memory(device)
    if needed > free:
        raise ModelError(
            f"The tuning takes about {needed / 1e9:.1f} GB of memory, and {device} has {free / 1e9:.1f} GB free: "
            "use a smaller --batch-tokens, --lora instead of all weights, or a smaller model."
        )
