"""GLM-4's tokenizer as first published: a `tokenizer.model` of lines `BASE64 RANK`, as tiktoken reads them.

Text is cut by a pattern, and in each piece the two neighbours that make the token of the lowest rank are joined first.
The same ids come of a byte-level BPE whose merges are in the order of ranks. Special tokens follow the ranks.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from extractor.chatglm3.chat_template import GLM4_TEMPLATE, ChatTemplate
from extractor.chatglm3.fast_tokenizer import FastTokenizer
from extractor.chatglm3.token_bytes import signs_of_bytes
from extractor.errors import CheckpointError

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
)
"""The special tokens in the order of their ids."""

_PATTERN = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""Cuts text into pieces within which tokens are joined."""

_MAX_BYTES = 64 * 1024**2
_MAX_TOKEN = 1024


def is_glm4_tokenizer(path: Path) -> bool:
    """Tell whether a `tokenizer.model` is of this kind, by its first line."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        encoded, _, rank = stream.readline(4 * _MAX_TOKEN).strip().partition(b" ")
    return bool(encoded) and rank.isdigit() and _decoded(encoded) is not None


def read_glm4_tokenizer(path: Path) -> FastTokenizer:
    """Return the tokenizer with GLM-4's chat format; CheckpointError for a file that is damaged."""
    tokens = _read_tokens(path)
    first_special = len(tokens)
    template = ChatTemplate(path, GLM4_TEMPLATE)
    return FastTokenizer(path.parent, as_tokenizer_json(tokens), template, (first_special,), joined=False)


def as_tokenizer_json(tokens: list[bytes]) -> dict[str, Any]:
    """Return the `tokenizer.json` of tokens in the order of their ranks."""
    signs = signs_of_bytes()
    spelled = ["".join(signs[byte] for byte in token) for token in tokens]
    special = [
        {"id": len(tokens) + number, "content": name, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for number, name in enumerate(SPECIAL_TOKENS)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Isolated", "invert": False}
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model = bpe | {
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": True,
        "vocab": {text: rank for rank, text in enumerate(spelled)},
        "merges": _merges(spelled),
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }


def _merges(spelled: list[str]) -> list[list[str]]:
    """Return every pair of tokens that makes a token, in the order of that token's rank, then of theirs."""
    ranks = {text: rank for rank, text in enumerate(spelled)}
    merges: list[list[str]] = []
    for text in spelled:
        known = [
            (ranks[text[:cut]], ranks[text[cut:]], cut)
            for cut in range(1, len(text))
            if text[:cut] in ranks and text[cut:] in ranks
        ]
        merges += [[text[:cut], text[cut:]] for _, _, cut in sorted(known)]
    return merges


def _read_tokens(path: Path) -> list[bytes]:
    """Return the tokens of a file in the order of their ranks."""
    damaged = CheckpointError(
        f"{path} is damaged: it needs a line BASE64 RANK for each token; download or copy it again"
    )
    if path.stat().st_size > _MAX_BYTES:
        raise damaged
    found: dict[int, bytes] = {}
    for line in path.read_bytes().splitlines():
        encoded, _, rank = line.strip().partition(b" ")
        token = _decoded(encoded)
        if token is None or not rank.isdigit() or len(rank) > 9:
            raise damaged
        found[int(rank)] = token
    if sorted(found) != list(range(len(found))) or len(set(found.values())) != len(found):
        raise damaged
    return [found[rank] for rank in range(len(found))]


def _decoded(encoded: bytes) -> bytes | None:
    try:
        token = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return token if 0 < len(token) <= _MAX_TOKEN else None
