"""A SentencePiece model read as plain data: its pieces with scores and kinds, and how it treats text beforehand.

The processor of `sentencepiece` tells neither which pieces are user-defined nor the settings of the normaliser, and
the message classes that come with it each demand one release of protobuf: the few fields are read here from the wire
format. Source: `sentencepiece_model.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from extractor.errors import CheckpointError

Value = int | bytes


class Kind(IntEnum):
    """What a piece is for, numbered as in the file."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place in the file. Merges of a higher score go first."""

    text: str
    score: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class PieceModel:
    """A whole model. `plain` says that text is taken as it is, but for a space put in front of it."""

    pieces: tuple[Piece, ...]
    bpe: bool
    plain: bool

    def texts(self, *kinds: Kind) -> list[str]:
        """The pieces of these kinds, in the order of their ids."""
        return [piece.text for piece in self.pieces if piece.kind in kinds]


_BPE = 2
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE, _SPACE_BEHIND = 3, 24
_CHARSMAP, _SPACE_IN_FRONT, _SQUEEZE, _ESCAPE = 2, 3, 4, 5


def read_pieces(path: Path) -> PieceModel:
    """Read a `tokenizer.model`; CheckpointError in one line if it is missing or damaged."""
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = tuple(_piece(value) for number, value in fields if number == _PIECES)
    except (OSError, LookupError, ValueError, TypeError, struct.error) as error:
        raise CheckpointError(f"{path} is no SentencePiece model or damaged: download or copy it again") from error
    trainer, normalizer = (_message(fields, number) for number in (_TRAINER, _NORMALIZER))
    settings = [normalizer.get(_SPACE_IN_FRONT, 1), normalizer.get(_ESCAPE, 1)]
    unwanted = [normalizer.get(_CHARSMAP), normalizer.get(_SQUEEZE, 1), trainer.get(_SPACE_BEHIND)]
    return PieceModel(pieces, trainer.get(_MODEL_TYPE) == _BPE, all(settings) and not any(unwanted))


def _piece(value: Value) -> Piece:
    fields = dict(_fields(_bytes(value)))
    (score,) = struct.unpack("<f", _bytes(fields.get(2, bytes(4))))
    kind = fields.get(3, Kind.NORMAL)
    if not isinstance(kind, int):
        raise ValueError("a kind that is no number")
    return Piece(_bytes(fields[1]).decode(), score, Kind(kind))


def _message(fields: list[tuple[int, Value]], number: int) -> dict[int, Value]:
    """The last message of this number, as a parser takes it; empty where there is none."""
    found = [value for key, value in fields if key == number]
    return dict(_fields(_bytes(found[-1]))) if found else {}


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where text is expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message: integers as they are, everything else as its bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, place = _varint(data, place)
        if size is None or place + size > len(data):
            raise ValueError("no message")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, least first, and where it ends."""
    number = shift = 0
    while data[place] & 0x80:
        number |= (data[place] & 0x7F) << shift
        shift, place = shift + 7, place + 1
    return number | data[place] << shift, place + 1
