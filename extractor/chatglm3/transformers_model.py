"""A ChatGLM3 checkpoint as transformers' own `GlmForCausalLM`: for `chat`, for Python, and as the engine's reference.

The mapping of tensors is in `weight_mapping`; here is that of `config.json`.
"""

from __future__ import annotations

from pathlib import Path

from transformers import GlmConfig, GlmForCausalLM

from extractor.chatglm3.adapters import NO_ADAPTER, Adapter
from extractor.chatglm3.checkpoint import find_device, load_into
from extractor.chatglm3.model_dims import ModelDims


def load_model(
    path: str | Path, precision: str = "half", device: str = "auto", adapter: Adapter = NO_ADAPTER
) -> GlmForCausalLM:
    """Load the checkpoint in folder `path`, in eval mode, without gradients.

    `precision` is `half` (float16 on CUDA, bfloat16 on CPU), `float16`, `bfloat16`, `float32`, `int8` or `int4`; of a
    checkpoint that is stored quantised, `half` means what is stored. `device` is `auto`, `cpu` or `cuda[:n]`. Peak
    memory stays near the size of the loaded model: weights are copied, or quantised, in groups of 64 MB. `adapter`
    (`adapters.read_adapters`) is merged into them before; its prefix, if it has one, is not part of the model.

    Raises CheckpointError (one line, names the file) for a broken checkpoint, ModelError where the device is absent or
    too small, UsageError for an unknown precision or device, or a precision that is not the stored one.
    """
    model = load_into(lambda dims: GlmForCausalLM(glm_config(dims)), path, precision, device, adapter)
    rotary = model.model.rotary_emb  # computed, not learned: the loader left it without values
    model.model.rotary_emb = type(rotary)(config=model.config).to(find_device(device))
    return model


def glm_config(dims: ModelDims) -> GlmConfig:
    """Return the configuration of `GlmForCausalLM` for a ChatGLM3 of these dimensions."""
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0 * dims.rope_ratio,
        "partial_rotary_factor": dims.rotary_factor,
    }
    return GlmConfig(
        vocab_size=dims.vocab_size,
        hidden_size=dims.hidden_size,
        intermediate_size=dims.ffn_size,
        num_hidden_layers=dims.layers,
        num_attention_heads=dims.heads,
        num_key_value_heads=dims.groups,
        head_dim=dims.head_size,
        max_position_embeddings=dims.context,
        rms_norm_eps=dims.norm_eps,
        attention_bias=dims.qkv_bias,
        rope_parameters=rope,
        eos_token_id=dims.stop_ids[0] if len(dims.stop_ids) == 1 else list(dims.stop_ids),
        pad_token_id=dims.pad_token_id,
        tie_word_embeddings=False,
    )
