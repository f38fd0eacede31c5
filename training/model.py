"""ChatGLM3's architecture in its own layout, small enough to train on two cores.

The parameters carry the original checkpoint's tensor names, so that export is a plain `state_dict`. Embedding and
output layer are one matrix during training (which makes copying of rare characters generalise) and are written twice
on export, as ChatGLM3 unties them. There is no cache and no mask: sequences are padded on the right, where
causal attention never looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, library, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; the names are those of ChatGLM3's `config.json`."""

    padded_vocab_size: int
    hidden_size: int = 256
    ffn_hidden_size: int = 640
    num_layers: int = 6
    num_attention_heads: int = 4
    kv_channels: int = 64
    multi_query_group_num: int = 2
    seq_length: int = 2048
    layernorm_epsilon: float = 1e-5


def rope_table(length: int, channels: int) -> Tensor:
    """Angles' cosine and sine, shape (length, channels / 4, 2): only the first half of the channels turns."""
    half = channels // 2
    frequency = 1.0 / 10000 ** (torch.arange(0, half, 2).float() / half)
    angle = torch.outer(torch.arange(length).float(), frequency)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn neighbouring channel pairs of the first half of (batch, length, heads, channels)."""
    turned, plain = x.chunk(2, dim=-1)
    pairs = turned.reshape(*turned.shape[:-1], -1, 2)
    cos, sin = table[:, None, :, 0], table[:, None, :, 1]
    first, second = pairs[..., 0], pairs[..., 1]
    out = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return torch.cat([out.flatten(-2).to(x.dtype), plain], dim=-1)


@library.custom_op("training::attend", mutates_args=())
def attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Causal attention of q, k and v, each (batch, heads, length, channels), with the logarithms of its sums.

    The gradients are plain products, which have matrix instructions on a CPU: those of torch's fused attention take a
    third of a step there.
    """
    out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)
    return out, sums.contiguous()


@attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)


def _scores_back(scores: Tensor, later: Tensor, sums: Tensor, grad: Tensor, dots: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.exp(scores.float() + later - sums[..., None])
    return weights.to(scores.dtype), (weights * (grad.float() - dots[..., None])).to(scores.dtype)


@cache
def _compiled() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `_scores_back` compiled: of all of attention it alone works number by number."""
    return torch.compile(_scores_back, dynamic=True)


@library.custom_op("training::attend_back", mutates_args=())
def attend_back(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v."""
    length, scale = q.shape[2], q.shape[3] ** -0.5
    later = torch.full((length, length), -torch.inf, device=q.device).triu_(1)
    dots = (grad.float() * out.float()).sum(-1)
    weights, back = _compiled()((q * scale) @ k.mT, later, sums, grad @ v.mT, dots)
    return (back @ k) * scale, (back.mT @ q) * scale, weights.mT @ grad


@attend_back.register_fake
def _(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _back(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = attend_back(grad, *ctx.saved_tensors)
    return found


attend.register_autograd(_back, setup_context=_keep)


class RMSNorm(nn.Module):
    """Root-mean-square norm computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Causal attention with grouped keys and values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.groups, self.channels = (
            shape.num_attention_heads, shape.multi_query_group_num, shape.kv_channels
        )  # fmt: skip
        width = self.heads * self.channels
        self.query_key_value = nn.Linear(shape.hidden_size, width + 2 * self.groups * self.channels)
        self.dense = nn.Linear(width, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        batch, length, _ = x.shape
        mixed = self.query_key_value(x).view(batch, length, -1, self.channels)
        q, k, v = mixed.split([self.heads, self.groups, self.groups], dim=2)
        share = self.heads // self.groups
        q, k = rotate(q, table), rotate(k, table)
        k, v = k.repeat_interleave(share, dim=2), v.repeat_interleave(share, dim=2)
        out, _ = attend(q.transpose(1, 2).contiguous(), k.transpose(1, 2).contiguous(), v.transpose(1, 2).contiguous())
        return self.dense(out.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """SwiGLU, gate first."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(shape.hidden_size, 2 * shape.ffn_hidden_size, bias=False)
        self.dense_4h_to_h = nn.Linear(shape.ffn_hidden_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.dense_h_to_4h(x).chunk(2, dim=-1)
        return self.dense_4h_to_h(F.silu(gate) * up)  # type: ignore[no-any-return]


class Layer(nn.Module):
    """One block with norms before attention and MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.layernorm_epsilon)
        self.self_attention = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.layernorm_epsilon)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = x + self.self_attention(self.input_layernorm(x), table)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class ChatGLM(nn.Module):
    """The stack; `forward` gives normed hidden states and `head` turns chosen rows into logits."""

    table: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.word_embeddings = nn.Embedding(shape.padded_vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_layers))
        self.final_layernorm = RMSNorm(shape.hidden_size, shape.layernorm_epsilon)
        self.register_buffer("table", rope_table(shape.seq_length, shape.kv_channels), persistent=False)
        self.apply(self._initialise)
        for layer in self.layers:
            for module in (layer.self_attention.dense, layer.mlp.dense_4h_to_h):  # type: ignore[union-attr]
                nn.init.normal_(module.weight, std=0.02 / (2 * shape.num_layers) ** 0.5)  # type: ignore

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02 if isinstance(module, nn.Embedding) else 0.04)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.word_embeddings(ids)
        table = self.table[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, table)
        out: Tensor = self.final_layernorm(x)
        return out

    def head(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.word_embeddings.weight)

    def loss(self, hidden: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of the cross-entropies of some rows."""
        return (F.cross_entropy(self.head(hidden).float(), targets, reduction="none") * weights).sum()

    def original(self) -> dict[str, Tensor]:
        """Return the weights under the names of the original checkpoint."""
        body = {k: v for k, v in self.state_dict().items() if k.startswith(("layers.", "final_"))}
        names: dict[str, Tensor] = {f"transformer.encoder.{k}": v for k, v in body.items()}
        names["transformer.embedding.word_embeddings.weight"] = self.word_embeddings.weight.detach()
        names["transformer.output_layer.weight"] = self.word_embeddings.weight.detach().clone()
        return names

    def load_original(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights with the names of the original checkpoint; its output layer is the embedding here."""
        self.load_state_dict(
            {
                name.removeprefix("transformer.").removeprefix("encoder.").removeprefix("embedding."): value.float()
                for name, value in weights.items()
                if "output_layer" not in name
            }
        )


def checkpoint_config(shape: Shape) -> dict[str, Any]:
    """`config.json` of the exported model."""
    return {
        "_name_or_path": "demo", "model_type": "chatglm", "architectures": ["ChatGLMModel"],
        "add_bias_linear": False, "add_qkv_bias": True, "apply_residual_connection_post_layernorm": False,
        "attention_dropout": 0.0, "hidden_dropout": 0.0, "ffn_hidden_size": shape.ffn_hidden_size,
        "hidden_size": shape.hidden_size, "kv_channels": shape.kv_channels,
        "layernorm_epsilon": shape.layernorm_epsilon, "multi_query_attention": True,
        "multi_query_group_num": shape.multi_query_group_num, "num_attention_heads": shape.num_attention_heads,
        "num_layers": shape.num_layers, "original_rope": True, "padded_vocab_size": shape.padded_vocab_size,
        "post_layer_norm": True, "rmsnorm": True, "seq_length": shape.seq_length, "use_cache": True,
        "torch_dtype": "bfloat16", "tie_word_embeddings": False, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
