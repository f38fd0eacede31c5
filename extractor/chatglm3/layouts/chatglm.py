"""ChatGLM3, and GLM-4 as first published: the layout of the original code.

    transformer.embedding.word_embeddings                      model.embed_tokens
    transformer.encoder.layers.N.input_layernorm               model.layers.N.input_layernorm
    transformer.encoder.layers.N.self_attention.               model.layers.N.self_attn.
        query_key_value (weight, bias), split by rows              q_proj, k_proj, v_proj
        dense                                                      o_proj
    transformer.encoder.layers.N.post_attention_layernorm      model.layers.N.post_attention_layernorm
    transformer.encoder.layers.N.mlp.                          model.layers.N.mlp.
        dense_h_to_4h                                              gate_up_proj
        dense_4h_to_h                                              down_proj
    transformer.encoder.final_layernorm                        model.norm
    transformer.output_layer                                   lm_head

Names and shapes are the whole difference between the two: with this mapping the logits equal the original's bit for bit
in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extractor.chatglm3.config_file import MAX_SIZE, MAX_SIZES, ConfigFile
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weight_mapping import SourceTensor, TargetRows, map_whole
from extractor.errors import CheckpointError

MODEL_TYPE = "chatglm"

_SIZES = {
    "vocab_size": "padded_vocab_size",
    "hidden_size": "hidden_size",
    "ffn_size": "ffn_hidden_size",
    "layers": "num_layers",
    "heads": "num_attention_heads",
    "groups": "multi_query_group_num",
    "head_size": "kv_channels",
    "context": "seq_length",
}
"""Field of `ModelDims` -> key of the original `config.json`."""

_SUPPORTED_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "add_bias_linear": (False,),
    "apply_residual_connection_post_layernorm": (False,),
    "multi_query_attention": (True,),
    "original_rope": (True,),
    "post_layer_norm": (True,),
    "quantization_bit": (None, 0),
    "rmsnorm": (True,),
    "rope_scaling": (None,),
    "tie_word_embeddings": (False,),
}
"""Options of the original code that `GlmForCausalLM` has in one form only: key -> accepted values (or absent)."""


def read_dims(config: ConfigFile) -> ModelDims:
    """Return the dimensions in a config file; CheckpointError for one that is not read."""
    config.require(_SUPPORTED_OPTIONS)
    sizes = {field: config.size(key, most=MAX_SIZES.get(field, MAX_SIZE)) for field, key in _SIZES.items()}
    _check_consistent(config, sizes)
    return ModelDims(
        **sizes,  # type: ignore[arg-type]  # mypy takes the sizes for any field
        rope_ratio=config.number("rope_ratio", 1.0),
        norm_eps=config.number("layernorm_epsilon", 1e-5, most=1.0),
        qkv_bias=config.flag("add_qkv_bias", False),
        stop_ids=config.token_ids("eos_token_id", (2,)),
        pad_token_id=config.token_ids("pad_token_id", (0,))[0],
        layout="chatglm",
        virtual_tokens=config.size("pre_seq_len", most=4096) if config.values.get("pre_seq_len") else 0,
    )


def _check_consistent(config: ConfigFile, sizes: Mapping[str, int]) -> None:
    if sizes["heads"] % sizes["groups"]:
        raise CheckpointError(
            f"{config.path}: num_attention_heads ({sizes['heads']}) is not a multiple of multi_query_group_num "
            f"({sizes['groups']}): the file is damaged, download or copy it again"
        )
    if sizes["head_size"] % 4:
        raise CheckpointError(
            f"{config.path}: kv_channels ({sizes['head_size']}) is not a multiple of 4: the file is damaged, download "
            "or copy it again"
        )


def weight_mapping(dims: ModelDims) -> dict[str, SourceTensor]:
    """Return every tensor that the original checkpoint must have, with its shape and its place in `GlmForCausalLM`."""
    table = (dims.vocab_size, dims.hidden_size)
    mapping = {
        "transformer.embedding.word_embeddings.weight": map_whole(table, "model.embed_tokens.weight"),
        "transformer.encoder.final_layernorm.weight": map_whole((dims.hidden_size,), "model.norm.weight"),
        "transformer.output_layer.weight": map_whole(table, "lm_head.weight"),
    }
    for layer in range(dims.layers):
        mapping |= _map_layer(dims, f"transformer.encoder.layers.{layer}", f"model.layers.{layer}")
    return mapping


def _map_layer(dims: ModelDims, source: str, target: str) -> dict[str, SourceTensor]:
    hidden, ffn = dims.hidden_size, dims.ffn_size
    qkv, attention = f"{source}.self_attention.query_key_value", f"{target}.self_attn"
    mapping = {
        f"{source}.input_layernorm.weight": map_whole((hidden,), f"{target}.input_layernorm.weight"),
        f"{source}.post_attention_layernorm.weight": map_whole((hidden,), f"{target}.post_attention_layernorm.weight"),
        f"{source}.self_attention.dense.weight": map_whole((hidden, dims.query_rows), f"{attention}.o_proj.weight"),
        f"{source}.mlp.dense_h_to_4h.weight": map_whole((2 * ffn, hidden), f"{target}.mlp.gate_up_proj.weight"),
        f"{source}.mlp.dense_4h_to_h.weight": map_whole((hidden, ffn), f"{target}.mlp.down_proj.weight"),
        f"{qkv}.weight": _split_qkv(dims, (hidden,), f"{attention}.{{}}.weight"),
    }
    if dims.qkv_bias:
        mapping[f"{qkv}.bias"] = _split_qkv(dims, (), f"{attention}.{{}}.bias")
    return mapping


def _split_qkv(dims: ModelDims, columns: tuple[int, ...], template: str) -> SourceTensor:
    """Split query, key and value, stacked by rows: heads x head_size, then twice groups x head_size."""
    key_start, value_start = dims.query_rows, dims.query_rows + dims.key_rows
    stop = value_start + dims.key_rows
    ranges = {"q_proj": (0, key_start), "k_proj": (key_start, value_start), "v_proj": (value_start, stop)}
    return SourceTensor(
        (stop, *columns), tuple(TargetRows(template.format(name), *rows) for name, rows in ranges.items())
    )
