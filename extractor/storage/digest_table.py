"""A table from texts to 64-bit values in 16 to 32 bytes an entry: a million rows of an output take 32 MB.

Texts are known by eight bytes of their BLAKE2 hash; among a million of them, two share one with a chance of 3e-8.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

SMALLEST = 1024


def digest(text: str) -> int:
    """Return 64 bits that stand for a text, never 0."""
    data = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(data, "little") or 1


class DigestTable:
    """An open-addressing hash table of keys that are digests already, at most two thirds full."""

    def __init__(self) -> None:
        self._keys = array("Q", bytes(8 * SMALLEST))
        self._values = array("Q", bytes(8 * SMALLEST))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __iter__(self) -> Iterator[int]:
        """Yield the keys."""
        return (key for key in self._keys if key)

    def get(self, key: int) -> int | None:
        """Return the value of a key; None where there is none."""
        slot = self._slot(key)
        return self._values[slot] if self._keys[slot] else None

    def set(self, key: int, value: int) -> None:
        slot = self._slot(key)
        if not self._keys[slot]:
            self._used += 1
        self._keys[slot], self._values[slot] = key, value
        if 3 * self._used > 2 * len(self._keys):
            self._grow()

    def _slot(self, key: int) -> int:
        """Return where the key is, or the free place where it belongs."""
        mask = len(self._keys) - 1
        slot = key & mask
        while self._keys[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = [(key, value) for key, value in zip(self._keys, self._values, strict=True) if key]
        size = 2 * len(self._keys)
        self._keys, self._values = array("Q", bytes(8 * size)), array("Q", bytes(8 * size))
        for key, value in old:
            slot = self._slot(key)
            self._keys[slot], self._values[slot] = key, value
