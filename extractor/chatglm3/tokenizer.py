"""Text to ids and back as the original ChatGLM3 tokenizer does it, and its chat format.

Content is always plain pieces: `<|user|>` inside a document stays text, because special ids are only ever put in by
`chat_prompt`. Any Python string can be encoded: surrogate pairs are joined and a lone surrogate, which no UTF-8 text
can hold, is read as U+FFFD; U+2581, SentencePiece's sign for a space, is read as a space. This module knows no torch.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sentencepiece

from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE
from extractor.data import Message
from extractor.errors import CheckpointError, UsageError

SPECIAL_NAMES = (
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
)
"""The special tokens in the order of their ids, which follow the pieces of the SentencePiece model."""

ROLES = ("system", "user", "assistant", "observation")

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign for a space."""

ChatMessage = Message | Mapping[str, Any]
"""A turn: a `Message` or a dict `{"role", "content", "metadata"?, "tools"?}`."""


@dataclass(frozen=True)
class ConstraintVocabulary:
    """The vocabulary as `llguidance.TokenizerWrapper` wants it.

    `tokens[id]` are the bytes an id stands for; control, special and unassigned ids are empty and listed in
    `special_token_ids`, so that no text constraint can ever produce them. Calling it tokenises a continuation.
    """

    eos_token_id: int
    bos_token_id: int | None
    tokens: list[bytes] = field(repr=False)
    special_token_ids: list[int] = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("text must be a str: llguidance then splits bytes itself")
        return self.tokenizer.encode_continuation(text)


class Tokenizer:
    """ChatGLM3's tokenizer from a checkpoint folder or a `tokenizer.model` file.

    Raises CheckpointError if the file is missing or is no SentencePiece model.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = _model_file(Path(path))
        self._pieces = _load_pieces(self.path)
        count = self._pieces.get_piece_size()
        self.special: dict[str, int] = {name: count + offset for offset, name in enumerate(SPECIAL_NAMES)}
        self.eos_id: int = self._pieces.eos_id()
        self.bos_id: int = self._pieces.bos_id()
        self.pad_id: int = self._pieces.unk_id()
        self.stop_ids = (self.eos_id, self.special["<|user|>"], self.special["<|observation|>"])
        self.vocab_size = count + len(SPECIAL_NAMES)
        self._names = {token: name for name, token in self.special.items()}
        self._newline = self._encode("\n")

    def encode(self, text: str) -> list[int]:
        """Ids of the plain pieces of `text`. A leading space is added as the original does; empty text gives none."""
        return self._encode(text)

    def encode_continuation(self, text: str) -> list[int]:
        """Ids of `text` as it continues an answer: encoded behind a newline, so that no leading space is added."""
        return self._encode("\n" + text)[len(self._newline) :]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`: special tokens by name, control and unassigned ids as nothing, broken UTF-8 as U+FFFD."""
        pieces = [self._names.get(token) or self._pieces.id_to_piece(token) for token in ids if self._is_known(token)]
        text: str = self._pieces.decode_pieces(pieces) if pieces else ""
        return text

    def piece_bytes(self, token: int) -> bytes:
        """UTF-8 bytes that an id adds to a text; none for control, special and unassigned ids.

        A byte piece is a single byte, so the bytes of one id need not be valid UTF-8.
        """
        if not self._is_text(token) or self._pieces.is_unknown(token):
            return b""
        piece: str = self._pieces.id_to_piece(token)
        return bytes([int(piece[3:5], 16)]) if self._pieces.is_byte(token) else piece.replace(_SPACE, " ").encode()

    def is_special(self, token: int) -> bool:
        """Whether an id stands for no text: control, special or beyond the vocabulary."""
        return not self._is_text(token) or self._pieces.is_unknown(token)

    def constraint_vocabulary(self, size: int | None = None) -> ConstraintVocabulary:
        """The vocabulary for `llguidance.TokenizerWrapper`, filled up with special ids to the model's `size`."""
        ids = range(max(size or 0, self.vocab_size))
        return ConstraintVocabulary(
            eos_token_id=self.eos_id,
            bos_token_id=self.bos_id if self.bos_id >= 0 else None,
            tokens=[self.piece_bytes(token) for token in ids],
            special_token_ids=[token for token in ids if self.is_special(token)],
            tokenizer=self,
        )

    def chat_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Ids of a whole prompt: `[gMASK] sop`, the turns in order, and the assistant's turn opened.

        Raises UsageError for an unknown role or a message without content.
        """
        ids = [self.special["[gMASK]"], self.special["sop"]]
        for message in messages:
            ids += self.turn(message)
        return [*ids, self.special["<|assistant|>"]]

    def turn(self, message: ChatMessage) -> list[int]:
        """Ids of one turn: the role's id, the metadata line, the content with its tools as indented JSON below."""
        turn = as_message(message)
        content = turn.content
        if turn.tools:
            content += "\n" + json.dumps([dict(tool) for tool in turn.tools], indent=4, ensure_ascii=False)
        return [self.special[f"<|{turn.role}|>"], *self.encode(f"{turn.metadata}\n"), *self.encode(content)]

    def decoder(self) -> IncrementalDecoder:
        """A new decoder for ids that come one by one."""
        return IncrementalDecoder(self)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._pieces.encode(_well_formed(text))
        return ids

    def _is_known(self, token: int) -> bool:
        return token in self._names or self._is_text(token)

    def _is_text(self, token: int) -> bool:
        return 0 <= token < self._pieces.get_piece_size() and not self._pieces.is_control(token)


class IncrementalDecoder:
    """Turns ids into text as they come and never emits half a character.

    It decodes a continuation: no leading space is dropped. Bytes that cannot become a character are U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The text that is complete now; empty while a character is still under way."""
        return self._utf8.decode(self._tokenizer.piece_bytes(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was cut off."""
        return self._utf8.decode(b"", final=True)


def as_message(message: ChatMessage) -> Message:
    """A `Message` from a message or a dict; UsageError says what is wrong with a dict."""
    if isinstance(message, Message):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise UsageError(f"a message has role {role!r}: use one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise UsageError(f"a {role} message has no text as its content: give a string")
    return Message(role, content, str(message.get("metadata") or ""), tuple(message.get("tools") or ()))


def _model_file(path: Path) -> Path:
    return path / TOKENIZER_FILE if path.is_dir() else path


def _load_pieces(path: Path) -> sentencepiece.SentencePieceProcessor:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: download the model again or copy {TOKENIZER_FILE} there")
    try:  # no bytes at all would give an empty processor instead of an error
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes() or b"empty")
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} is no SentencePiece model or damaged: download or copy it again") from error


def _well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates by U+FFFD; other text is returned as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
