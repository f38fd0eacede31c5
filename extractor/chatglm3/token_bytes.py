"""The bytes that the tokens of a `tokenizer.json` stand for, whichever of the two ways its vocabulary spells them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def spelling_of(tokenizer: Mapping[str, Any]) -> Callable[[str], bytes] | None:
    """Return what gives the bytes of a vocabulary's text; None for a tokenizer of another kind."""
    kinds = _kinds(tokenizer.get("decoder"))
    if "ByteLevel" in kinds:
        return _byte_level
    return _sentencepiece if "ByteFallback" in kinds else None


def _kinds(decoder: Any) -> set[str]:
    if not isinstance(decoder, dict):
        return set()
    inner = decoder.get("decoders", [])
    return {str(decoder.get("type")), *(kind for each in inner if isinstance(inner, list) for kind in _kinds(each))}


def _sentencepiece(text: str) -> bytes:
    byte = _BYTE.fullmatch(text)
    return bytes([int(byte[1], 16)]) if byte else text.replace(_SPACE, " ").encode()


def _byte_level(text: str) -> bytes:
    table = _bytes_of_signs()
    return bytes(table[sign] for sign in text) if all(sign in table for sign in text) else text.encode()


@cache
def signs_of_bytes() -> dict[int, str]:
    """Return the sign of each byte in a byte-level vocabulary: itself if it can be seen, else one above 255 (GPT-2)."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + number) for number, byte in enumerate(unseen)}


@cache
def _bytes_of_signs() -> dict[str, int]:
    return {sign: byte for byte, sign in signs_of_bytes().items()}
