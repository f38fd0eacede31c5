"""The dimensions in a ChatGLM3 `config.json`, and what follows from them: parameters and bytes.

All variants (6B, Base, 32K, the tiny ones of the tests) are read by the same rule from their own file; there is no
table of special cases. The keys are those of the original; `transformers_model` maps them to `GlmConfig`. This module
knows no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractor.errors import CheckpointError

CONFIG_FILE = "config.json"

_CONFIG_KEYS = {
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
    "pre_seq_len": (None, 0),
    "quantization_bit": (None, 0),
    "rmsnorm": (True,),
    "tie_word_embeddings": (False,),
}
"""Options of the original code that `GlmForCausalLM` has in one form only: key -> accepted values (or absent)."""


@dataclass(frozen=True, slots=True)
class ModelDims:
    """The dimensions of a ChatGLM3, named after no library: `_CONFIG_KEYS` has the original's names.

    `context` is in tokens, `head_size` in channels; `groups` is the number of key/value heads (multi-query groups);
    `ffn_size` is the width of the MLP after gating, of which `dense_h_to_4h` has twice as many rows.
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
    eos_token_id: int = 2
    pad_token_id: int = 0

    @property
    def query_rows(self) -> int:
        """Rows of the query in `query_key_value`: heads x head_size."""
        return self.heads * self.head_size

    @property
    def key_rows(self) -> int:
        """Rows of the key in `query_key_value`: groups x head_size. The value has as many."""
        return self.groups * self.head_size

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention, gated MLP, two norms."""
        qkv_rows = self.query_rows + 2 * self.key_rows
        attention = qkv_rows * self.hidden_size + self.hidden_size * self.query_rows
        return attention + qkv_rows * self.qkv_bias + 3 * self.ffn_size * self.hidden_size + 2 * self.hidden_size

    @property
    def parameters(self) -> int:
        """Parameters of the whole model; embedding and output layer are not tied."""
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


def read_dims(folder: str | Path) -> ModelDims:
    """Read `config.json` of a checkpoint folder.

    Raises CheckpointError, in one line that names the file, if it is missing, not JSON or not of a ChatGLM3.
    """
    path = Path(folder) / CONFIG_FILE
    config = read_config(path)
    if config.get("model_type") != "chatglm":
        kind = config.get("model_type")
        raise CheckpointError(f"{path}: model_type is {kind!r}, not 'chatglm': pass the folder of a ChatGLM3 model")
    _check_choices(path, config)
    sizes = {field: _positive_int(path, config, key) for field, key in _CONFIG_KEYS.items()}
    _check_consistent(path, sizes)
    return ModelDims(
        **sizes,
        rope_ratio=_positive_number(path, config, "rope_ratio", 1.0),
        norm_eps=_positive_number(path, config, "layernorm_epsilon", 1e-5),
        qkv_bias=bool(config.get("add_qkv_bias", False)),
        eos_token_id=_token_id(path, config, "eos_token_id", 2),
        pad_token_id=_token_id(path, config, "pad_token_id", 0),
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the JSON object in a `config.json`; CheckpointError in one line if there is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing: pass a folder that holds config.json, tokenizer.model and the weights of ChatGLM3"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download or copy it again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} does not hold a JSON object: download or copy it again")
    return config


def _check_choices(path: Path, config: Mapping[str, Any]) -> None:
    for key, accepted in _SUPPORTED_OPTIONS.items():
        if key in config and config[key] not in accepted:
            raise CheckpointError(
                f"{path}: {key} is {config[key]!r}, this loader reads only {accepted[0]!r}: use the unquantised, "
                "full ChatGLM3 checkpoint as published"
            )


def _check_consistent(path: Path, sizes: Mapping[str, int]) -> None:
    if sizes["heads"] % sizes["groups"]:
        raise CheckpointError(
            f"{path}: num_attention_heads ({sizes['heads']}) is not a multiple of multi_query_group_num "
            f"({sizes['groups']}): the file is damaged, download or copy it again"
        )


def _positive_int(path: Path, config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        found = "is missing" if key not in config else f"is {value!r}"
        raise CheckpointError(f"{path}: {key} {found}, expected a positive integer: this is not a ChatGLM3 config")
    return value


def _positive_number(path: Path, config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise CheckpointError(f"{path}: {key} is {value!r}, expected a positive number: download or copy it again")
    return float(value)


def _token_id(path: Path, config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise CheckpointError(f"{path}: {key} is {value!r}, expected a token id: download or copy it again")
    return value
