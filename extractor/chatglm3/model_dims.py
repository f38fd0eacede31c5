"""The dimensions of a model, and what follows from them: parameters and bytes.

All variants (6B, Base, 32K, GLM-4, the tiny ones of the tests) are read from their own `config.json` (`layouts`); there
is no table of special cases. This module knows no file and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelDims:
    """The dimensions of a model, named after no library: the files of `layouts` have the names of each.

    `context` is in tokens, `head_size` in channels, of which the first `rotary_channels` are rotated; `groups` is the
    number of key/value heads (multi-query groups); `ffn_size` is the width of the MLP after gating, of which
    `dense_h_to_4h` has twice as many rows. `stop_ids` end an answer, the first is the end of the text. `layout` is the
    file of `layouts` that names the tensors; with `tied` the embedding is the output layer as well. `virtual_tokens`
    is the length of a P-Tuning prefix that belongs to the model.
    """

    vocab_size: int
    hidden_size: int
    ffn_size: int
    layers: int
    heads: int
    groups: int
    head_size: int
    context: int
    rope_ratio: float = 1.0
    norm_eps: float = 1e-5
    qkv_bias: bool = True
    stop_ids: tuple[int, ...] = (2,)
    pad_token_id: int = 0
    rotary_factor: float = 0.5
    layout: str = "chatglm"
    tied: bool = False
    virtual_tokens: int = 0

    @property
    def query_rows(self) -> int:
        """Rows of the query in `query_key_value`: heads x head_size."""
        return self.heads * self.head_size

    @property
    def key_rows(self) -> int:
        """Rows of the key in `query_key_value`: groups x head_size. The value has as many."""
        return self.groups * self.head_size

    @property
    def rotary_channels(self) -> int:
        """Channels of a head that are rotated by their position."""
        return int(self.head_size * self.rotary_factor)

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention, gated MLP, two norms."""
        qkv_rows = self.query_rows + 2 * self.key_rows
        attention = qkv_rows * self.hidden_size + self.hidden_size * self.query_rows
        return attention + qkv_rows * self.qkv_bias + 3 * self.ffn_size * self.hidden_size + 2 * self.hidden_size

    @property
    def parameters(self) -> int:
        """Parameters of the whole model as it is held; embedding and output layer count both."""
        return 2 * self.table_parameters + self.layers * self.layer_parameters + self.hidden_size

    @property
    def table_parameters(self) -> int:
        """Parameters of the embedding; the output layer has as many."""
        return self.vocab_size * self.hidden_size

    def cache_bytes(self, tokens: int, bytes_per_value: float = 2) -> int:
        """Return the size of the KV cache of `tokens` tokens in bytes (6B in half precision: 28 KiB a token)."""
        return int(2 * self.layers * self.key_rows * tokens * bytes_per_value)


CHATGLM3_6B = ModelDims(
    vocab_size=65024, hidden_size=4096, ffn_size=13696, layers=28, heads=32, groups=2, head_size=128, context=8192
)
"""The published 6B, for estimates before a model is downloaded; afterwards its own config.json is read."""
