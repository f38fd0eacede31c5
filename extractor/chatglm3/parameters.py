"""The learned parameters of a ChatGLM3 under the names that `GlmForCausalLM` has for them, without its code."""

from __future__ import annotations

import torch
from torch import nn

from extractor.chatglm3.model_dims import ModelDims
from extractor.precisions._support.float_linear import FloatLinear
from extractor.precisions._support.linear import LinearLayer


class Parameters(nn.Module):
    """`model.embed_tokens`, `model.layers.N...`, `model.norm` and `lm_head`, as in a state dict of `GlmForCausalLM`.

    It computes nothing; the engine has a forward pass of its own. A precision puts layers of its own in place of the
    linear ones (`checkpoint.skeleton`).
    """

    def __init__(self, shape: ModelDims) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Body(shape)
        self.lm_head: LinearLayer = FloatLinear(shape.hidden_size, shape.vocab_size, bias=False)


class _Body(nn.Module):
    def __init__(self, shape: ModelDims) -> None:
        super().__init__()
        self.embed_tokens = _Weight(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = _Weight(shape.hidden_size)


class Layer(nn.Module):
    """A layer: attention and gated MLP, each with its norm."""

    def __init__(self, shape: ModelDims) -> None:
        super().__init__()
        self.input_layernorm = _Weight(shape.hidden_size)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Weight(shape.hidden_size)
        self.mlp = _Gated(shape)


class _Attention(nn.Module):
    def __init__(self, shape: ModelDims) -> None:
        super().__init__()
        self.q_proj: LinearLayer = FloatLinear(shape.hidden_size, shape.query_rows, bias=shape.qkv_bias)
        self.k_proj: LinearLayer = FloatLinear(shape.hidden_size, shape.key_rows, bias=shape.qkv_bias)
        self.v_proj: LinearLayer = FloatLinear(shape.hidden_size, shape.key_rows, bias=shape.qkv_bias)
        self.o_proj: LinearLayer = FloatLinear(shape.query_rows, shape.hidden_size, bias=False)


class _Gated(nn.Module):
    def __init__(self, shape: ModelDims) -> None:
        super().__init__()
        self.gate_up_proj: LinearLayer = FloatLinear(shape.hidden_size, 2 * shape.ffn_size, bias=False)
        self.down_proj: LinearLayer = FloatLinear(shape.ffn_size, shape.hidden_size, bias=False)


class _Weight(nn.Module):
    def __init__(self, *size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
