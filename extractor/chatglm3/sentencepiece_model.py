"""A SentencePiece model read as plain data: its pieces with scores and types, and how it normalizes text.

The processor of `sentencepiece` exposes neither which pieces are user-defined nor the settings of the normalizer, and
its message classes each require one release of protobuf: the few fields are read here from the protobuf wire format.
Source: `sentencepiece_model.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from extractor.errors import CheckpointError

Value = int | bytes


class PieceType(IntEnum):
    """The type of a piece, numbered as `ModelProto.SentencePiece.Type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its index. Merges of a higher score come first."""

    text: str
    score: float
    type: PieceType


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """A whole model. `identity` says that the normalizer changes nothing but adds a leading space."""

    pieces: tuple[Piece, ...]
    bpe: bool
    identity: bool

    def texts(self, *types: PieceType) -> list[str]:
        """Return the texts of the pieces of these types, in the order of their ids."""
        return [piece.text for piece in self.pieces if piece.type in types]


# Field numbers of sentencepiece_model.proto, message by message.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # ModelProto
_TEXT, _SCORE, _TYPE = 1, 2, 3  # ModelProto.SentencePiece
_MODEL_TYPE, _SPACE_AS_SUFFIX = 3, 24  # TrainerSpec
_CHARSMAP, _DUMMY_PREFIX, _SQUEEZE_SPACES, _ESCAPE_SPACES = 2, 3, 4, 5  # NormalizerSpec
_BPE = 2  # TrainerSpec.ModelType


def read_sentencepiece_model(path: Path) -> SentencePieceModel:
    """Read a `tokenizer.model`; CheckpointError in one line if it is missing or damaged."""
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = tuple(_piece(value) for number, value in fields if number == _PIECES)
    except (OSError, LookupError, ValueError, TypeError, struct.error) as error:
        raise CheckpointError(f"{path} is damaged or not a SentencePiece model: download or copy it again") from error
    trainer, normalizer = (_message(fields, number) for number in (_TRAINER, _NORMALIZER))
    wanted = [normalizer.get(_DUMMY_PREFIX, 1), normalizer.get(_ESCAPE_SPACES, 1)]
    unwanted = [normalizer.get(_CHARSMAP), normalizer.get(_SQUEEZE_SPACES, 1), trainer.get(_SPACE_AS_SUFFIX)]
    return SentencePieceModel(pieces, trainer.get(_MODEL_TYPE) == _BPE, all(wanted) and not any(unwanted))


def _piece(value: Value) -> Piece:
    fields = dict(_fields(_bytes(value)))
    (score,) = struct.unpack("<f", _bytes(fields.get(_SCORE, bytes(4))))
    kind = fields.get(_TYPE, PieceType.NORMAL)
    if not isinstance(kind, int):
        raise ValueError("the type of a piece is not a number")
    return Piece(_bytes(fields[_TEXT]).decode(), score, PieceType(kind))


def _message(fields: list[tuple[int, Value]], number: int) -> dict[int, Value]:
    """Return the last message with this field number, as protobuf parsers do; empty where there is none."""
    found = [value for key, value in fields if key == number]
    return dict(_fields(_bytes(found[-1]))) if found else {}


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where text is expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message: varints as integers, everything else as its bytes.

    A field is a varint `number << 3 | wire type`, then the value: a varint (0), 8 bytes (1), a length and as many
    bytes (2), or 4 bytes (5). Source: protobuf.dev/programming-guides/encoding.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire_type)
        if wire_type == 2:
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("not a protobuf message")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at` (seven bits a byte, least significant first) and the position after it."""
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return number | data[at] << shift, at + 1
