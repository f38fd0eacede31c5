"""A plain `GlmForCausalLM` folder of transformers: our own export, GLM-4-9B-chat-hf, GLM-Edge.

Tensors have the names of the model's parameters already. A key that `config.json` leaves out has the default of
transformers' `GlmConfig`, which writes only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extractor.chatglm3.config_file import MAX_SIZE, MAX_SIZES, ConfigFile
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weight_mapping import SourceTensor, TargetRows, map_whole
from extractor.errors import CheckpointError

MODEL_TYPE = "glm"

_SIZES = {
    "vocab_size": ("vocab_size", 151552),
    "hidden_size": ("hidden_size", 4096),
    "ffn_size": ("intermediate_size", 13696),
    "layers": ("num_hidden_layers", 40),
    "heads": ("num_attention_heads", 32),
    "groups": ("num_key_value_heads", 2),
    "head_size": ("head_dim", 128),
    "context": ("max_position_embeddings", 131072),
}
"""Field of `ModelDims` -> key of `config.json`, and its default."""

_SUPPORTED_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "rope_scaling": (None, {"rope_type": "default"}, {"type": "default"}),
    "quantization_config": (None,),
}
_BASE = 10000.0
"""Of the rotary frequencies; `ModelDims.rope_ratio` multiplies it."""


def read_dims(config: ConfigFile) -> ModelDims:
    """Return the dimensions in a config file; CheckpointError for one that is not read."""
    config.require(_SUPPORTED_OPTIONS)
    rope = config.section("rope_parameters")
    rope.require({"rope_type": ("default",)})
    sizes = {
        field: config.size(key, default, MAX_SIZES.get(field, MAX_SIZE)) for field, (key, default) in _SIZES.items()
    }
    theta = rope.number("rope_theta", config.number("rope_theta", _BASE))
    factor = rope.number("partial_rotary_factor", config.number("partial_rotary_factor", 0.5, most=1.0), most=1.0)
    dims = ModelDims(
        **sizes,
        rope_ratio=theta / _BASE,
        norm_eps=config.number("rms_norm_eps", 1.5625e-07, most=1.0),
        qkv_bias=config.flag("attention_bias", True),
        stop_ids=config.token_ids("eos_token_id", (151329, 151336, 151338)),
        pad_token_id=config.token_ids("pad_token_id", (151329,))[0],
        rotary_factor=factor,
        layout="glm",
        tied=config.flag("tie_word_embeddings", False),
    )
    _check_consistent(config, dims)
    return dims


def weight_mapping(dims: ModelDims) -> dict[str, SourceTensor]:
    """Return every tensor that a checkpoint must have, with its shape and its place in `GlmForCausalLM`."""
    table = (dims.vocab_size, dims.hidden_size)
    names = ("model.embed_tokens.weight", "lm_head.weight")
    if dims.tied:
        both = tuple(TargetRows(name, 0, dims.vocab_size) for name in names)
        tables = {names[0]: SourceTensor(table, both), names[1]: SourceTensor(table, (), required=False)}
    else:
        tables = {name: map_whole(table, name) for name in names}
    mapping = tables | _unchanged({"model.norm.weight": (dims.hidden_size,)})
    for layer in range(dims.layers):
        mapping |= _unchanged(_layer_shapes(dims, f"model.layers.{layer}"))
    return mapping


def _layer_shapes(dims: ModelDims, layer: str) -> dict[str, tuple[int, ...]]:
    hidden, ffn = dims.hidden_size, dims.ffn_size
    rows = {"q_proj": dims.query_rows, "k_proj": dims.key_rows, "v_proj": dims.key_rows}
    shapes: dict[str, tuple[int, ...]] = {
        f"{layer}.input_layernorm.weight": (hidden,),
        f"{layer}.post_attention_layernorm.weight": (hidden,),
        f"{layer}.self_attn.o_proj.weight": (hidden, dims.query_rows),
        f"{layer}.mlp.gate_up_proj.weight": (2 * ffn, hidden),
        f"{layer}.mlp.down_proj.weight": (hidden, ffn),
    }
    for name, count in rows.items():
        shapes[f"{layer}.self_attn.{name}.weight"] = (count, hidden)
        if dims.qkv_bias:
            shapes[f"{layer}.self_attn.{name}.bias"] = (count,)
    return shapes


def _unchanged(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, SourceTensor]:
    return {name: map_whole(shape, name) for name, shape in shapes.items()}


def _check_consistent(config: ConfigFile, dims: ModelDims) -> None:
    if dims.heads % dims.groups:
        raise CheckpointError(
            f"{config.path}: num_attention_heads ({dims.heads}) is not a multiple of num_key_value_heads "
            f"({dims.groups}): the file is damaged, download or copy it again"
        )
    if not dims.rotary_channels or dims.rotary_channels % 2:
        raise CheckpointError(
            f"{config.path}: partial_rotary_factor {dims.rotary_factor:g} rotates {dims.rotary_channels} of "
            f"{dims.head_size} channels, not an even number: the file is damaged, download or copy it again"
        )
