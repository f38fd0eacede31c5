"""What the engine's backend and the chat ask of a tokenizer, and which one the files of a folder hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from extractor.chatglm3.chat_format import ChatMessage
from extractor.chatglm3.checkpoint_files import FAST_TOKENIZER_FILE, TOKENIZER_FILE, tokenizer_files
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.tokenizer import ConstraintVocabulary, IncrementalDecoder, Tokenizer
from extractor.errors import CheckpointError


class ChatTokenizer(Protocol):
    """Text to ids and back, and prompts in a model's own format; `Tokenizer` says what each method does."""

    path: Path
    eos_id: int
    stop_ids: tuple[int, ...]
    vocab_size: int

    @property
    def special(self) -> Mapping[str, int]: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def piece_bytes(self, token: int) -> bytes: ...

    def constraint_vocabulary(self, size: int | None = None) -> ConstraintVocabulary: ...

    def chat_prompt(self, messages: Sequence[ChatMessage]) -> list[int]: ...

    def answer_prompt(self, messages: Sequence[ChatMessage]) -> list[int]: ...

    def encode_turn(self, message: ChatMessage) -> list[int]: ...

    def decoder(self) -> IncrementalDecoder: ...


def load_tokenizer(folder: Path, dims: ModelDims | None = None) -> ChatTokenizer:
    """Return the tokenizer of a checkpoint folder.

    Raises CheckpointError where its files are missing or damaged, or where it has more tokens than a model of these
    dimensions has rows.
    """
    tokenizer = _read(folder)
    if dims is not None and tokenizer.vocab_size > dims.vocab_size:
        raise CheckpointError(
            f"{tokenizer.path} has {tokenizer.vocab_size} tokens, the weights only {dims.vocab_size}: tokenizer and "
            "weights do not match; download the model again"
        )
    return tokenizer


def _read(folder: Path) -> ChatTokenizer:
    if tokenizer_files(folder)[0].name == FAST_TOKENIZER_FILE:
        from extractor.chatglm3.fast_tokenizer import FastTokenizer

        return FastTokenizer.read(folder)
    from extractor.chatglm3.glm4_tokenizer import is_glm4_tokenizer, read_glm4_tokenizer

    path = folder / TOKENIZER_FILE
    return read_glm4_tokenizer(path) if is_glm4_tokenizer(path) else Tokenizer(folder)
