"""The mapping of weights: which tensor of a ChatGLM3 checkpoint becomes which parameter of `GlmForCausalLM`.

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
in float32. This module touches no file and no tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from extractor.chatglm3.model_dims import ModelDims

IGNORED = frozenset({"transformer.rotary_pos_emb.inv_freq"})
"""Tensors of a checkpoint that are computed, not learned."""


@dataclass(frozen=True, slots=True)
class TargetRows:
    """Rows `start` to `stop` of a source tensor are the parameter `name` of `GlmForCausalLM`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """One tensor of the checkpoint: its required shape, where its rows go, and its dtype if only one is valid."""

    shape: tuple[int, ...]
    targets: tuple[TargetRows, ...]
    dtype: torch.dtype | None = None


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


def map_whole(shape: tuple[int, ...], name: str, dtype: torch.dtype | None = None) -> SourceTensor:
    """Return a source tensor that becomes the parameter `name` unchanged."""
    return SourceTensor(shape, (TargetRows(name, 0, shape[0]),), dtype)


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
