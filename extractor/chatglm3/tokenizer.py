"""Text to ids and back as the original ChatGLM3 tokenizer does it, and prompts in the format of `chat_format`.

Content is always encoded as plain pieces: `<|user|>` inside a document stays text, because only `chat_prompt` inserts
special ids. Any Python string can be encoded: surrogate pairs are joined and a lone surrogate, which UTF-8 cannot
encode, becomes U+FFFD; U+2581, SentencePiece's sign for a space, is read as a space. This module knows no torch.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sentencepiece

from extractor.chatglm3.chat_format import (
    ASSISTANT,
    PROMPT_START,
    SPECIAL_TOKENS,
    STOP_TOKENS,
    ChatMessage,
    as_message,
    format_turn,
)
from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE
from extractor.errors import CheckpointError

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign for a space."""


class Continuing(Protocol):
    """A tokenizer that encodes text which continues another."""

    def encode_continuation(self, text: str) -> list[int]:
        """Return the ids of `text` as it continues an answer."""
        ...


class Spelling(Protocol):
    """A tokenizer that knows the bytes of an id."""

    def piece_bytes(self, token: int) -> bytes:
        """Return the UTF-8 bytes that an id adds to a text."""
        ...


@dataclass(frozen=True)
class ConstraintVocabulary:
    """The vocabulary in the form that `llguidance.TokenizerWrapper` takes.

    `tokens[id]` are the bytes of a token; control, special and unassigned ids are empty and listed in
    `special_token_ids`, so that no text constraint can ever produce them. Calling it tokenizes a continuation.
    """

    eos_token_id: int
    bos_token_id: int | None
    tokens: list[bytes] = field(repr=False)
    special_token_ids: list[int] = field(repr=False)
    tokenizer: Continuing = field(repr=False)

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("text must be a str: llguidance then splits bytes itself")
        return self.tokenizer.encode_continuation(text)


class Tokenizer:
    """ChatGLM3's tokenizer from a checkpoint folder or a `tokenizer.model` file.

    Raises CheckpointError if the file is missing or is not a SentencePiece model.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = _model_file(Path(path))
        self._pieces = _load_pieces(self.path)
        self._count = count = self._pieces.get_piece_size()
        self.special: dict[str, int] = {name: count + offset for offset, name in enumerate(SPECIAL_TOKENS)}
        self.eos_id: int = self._pieces.eos_id()
        self.bos_id: int = self._pieces.bos_id()
        self.pad_id: int = self._pieces.unk_id()
        self.stop_ids = (self.eos_id, *(self.special[name] for name in STOP_TOKENS))
        self.vocab_size = count + len(SPECIAL_TOKENS)
        self._names = {token: name for name, token in self.special.items()}
        self._newline = self._encode("\n")

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` as plain pieces, with the leading space that the original adds (unless empty)."""
        return self._encode(text)

    def encode_continuation(self, text: str) -> list[int]:
        """Return the ids of `text` as it continues an answer: encoded after a newline, so without a leading space."""
        return self._encode("\n" + text)[len(self._newline) :]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`: special tokens by name, control and unassigned ids empty, bad UTF-8 as U+FFFD."""
        pieces = [self._names.get(token) or self._pieces.id_to_piece(token) for token in ids if self._is_known(token)]
        text: str = self._pieces.decode_pieces(pieces) if pieces else ""
        return text

    def piece_bytes(self, token: int) -> bytes:
        """Return the UTF-8 bytes that an id adds to a text; none for control, special and unassigned ids.

        A byte piece is a single byte, so the bytes of one id need not be valid UTF-8.
        """
        if not self._is_text(token) or self._pieces.is_unknown(token):
            return b""
        piece: str = self._pieces.id_to_piece(token)
        return bytes([int(piece[3:5], 16)]) if self._pieces.is_byte(token) else piece.replace(_SPACE, " ").encode()

    def constraint_vocabulary(self, size: int | None = None) -> ConstraintVocabulary:
        """Return the vocabulary for `llguidance`, padded with special ids to `size`, the rows of the output layer."""
        tokens = [self.piece_bytes(token) for token in range(max(size or 0, self.vocab_size))]
        return ConstraintVocabulary(
            eos_token_id=self.eos_id,
            bos_token_id=self.bos_id if self.bos_id >= 0 else None,
            tokens=tokens,
            special_token_ids=[token for token, data in enumerate(tokens) if not data],
            tokenizer=self,
        )

    def chat_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the ids of a whole prompt: `[gMASK] sop`, the turns in order, and the assistant's turn opened.

        Raises UsageError for an unknown role or a message without content.
        """
        ids = [self.special[name] for name in PROMPT_START]
        for message in messages:
            ids += self.encode_turn(message)
        return [*ids, self.special[ASSISTANT]]

    def answer_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the same with the line break that an answer begins with."""
        return [*self.chat_prompt(messages), *self._newline]

    def encode_turn(self, message: ChatMessage) -> list[int]:
        """Return the ids of one turn: the role's id, the metadata line, the content with its tools.

        Metadata and content are encoded apart, so each gets a leading space.
        """
        role, metadata, content = format_turn(as_message(message))
        return [self.special[role], *self.encode(metadata), *self.encode(content)]

    def decoder(self) -> IncrementalDecoder:
        """Return a new decoder for ids that come one by one."""
        return IncrementalDecoder(self)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._pieces.encode(well_formed(text))
        return ids

    def _is_known(self, token: int) -> bool:
        return token in self._names or self._is_text(token)

    def _is_text(self, token: int) -> bool:
        return 0 <= token < self._count and not self._pieces.is_control(token)


class IncrementalDecoder:
    """A decoder for ids that come one by one; it never emits half a character.

    It decodes a continuation: no leading space is dropped. Bytes that cannot become a character are U+FFFD.
    """

    def __init__(self, tokenizer: Spelling) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """Return the text that is complete now; empty while the bytes of a character are incomplete."""
        return self._utf8.decode(self._tokenizer.piece_bytes(token))

    def flush(self) -> str:
        """Return what is left at the end: U+FFFD for a character that was cut off."""
        return self._utf8.decode(b"", final=True)


def _model_file(path: Path) -> Path:
    return path / TOKENIZER_FILE if path.is_dir() else path


def _load_pieces(path: Path) -> sentencepiece.SentencePieceProcessor:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: download the model again or copy {TOKENIZER_FILE} there")
    try:  # no bytes at all would give an empty processor instead of an error
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes() or b"empty")
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a SentencePiece model: download or copy it again") from error


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates by U+FFFD; return other text unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
