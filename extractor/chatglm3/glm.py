"""A ChatGLM3 checkpoint as transformers' own `GlmForCausalLM`: for `chat`, for Python, and to compare ours with."""

from __future__ import annotations

from pathlib import Path

from transformers import GlmConfig, GlmForCausalLM

from extractor.chatglm3.checkpoint import find_device, load_into
from extractor.chatglm3.model_dims import ModelShape


def load_model(path: str | Path, precision: str = "half", device: str = "auto") -> GlmForCausalLM:
    """Load the checkpoint in folder `path`, in eval mode, without gradients.

    `precision` is `half` (float16 on CUDA, bfloat16 on CPU), `float16`, `bfloat16`, `float32`, `int8` or `int4`; of a
    checkpoint that is stored quantised, `half` means what is stored. `device` is `auto`, `cpu` or `cuda[:n]`. The peak
    of memory stays near the size of what is loaded: weights are copied, or quantised, in groups of 64 MB.

    Raises CheckpointError (one line, names the file) for a broken checkpoint, ModelError where the device is absent or
    too small, UsageError for an unknown precision or device, or a precision that is not the stored one.
    """
    model = load_into(lambda shape: GlmForCausalLM(glm_config(shape)), path, precision, device)
    rotary = model.model.rotary_emb  # computed, not learned
    model.model.rotary_emb = type(rotary)(config=model.config).to(find_device(device))
    return model


def glm_config(shape: ModelShape) -> GlmConfig:
    """The configuration of `GlmForCausalLM` for a ChatGLM3 of this shape."""
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0 * shape.rope_ratio,
        "partial_rotary_factor": 0.5,
    }
    return GlmConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups,
        head_dim=shape.head_size,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        attention_bias=shape.qkv_bias,
        rope_parameters=rope,
        eos_token_id=shape.eos_token_id,
        pad_token_id=shape.pad_token_id,
        tie_word_embeddings=False,
    )
