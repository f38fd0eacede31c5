"""A tokenizer from a `tokenizer.json`, with the model's own chat template, as `Tokenizer` is for ChatGLM3.

Special tokens are those that the template writes. Content is encoded without them, so `<|user|>` inside a document
stays text; everything else of a prompt has the ids that transformers gives. This module knows no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from extractor.chatglm3.chat_format import ChatMessage, as_message
from extractor.chatglm3.chat_template import TEMPLATE_FILE, TOKENIZER_CONFIG, ChatTemplate, Part, read_template
from extractor.chatglm3.checkpoint_files import FAST_TOKENIZER_FILE
from extractor.chatglm3.config_file import CONFIG_FILE, ConfigFile, read_config
from extractor.chatglm3.token_bytes import spelling_of
from extractor.chatglm3.tokenizer import ConstraintVocabulary, IncrementalDecoder, well_formed
from extractor.errors import CheckpointError

_STOP_NAMES = ("<|endoftext|>", "<|user|>", "<|observation|>")
"""Where they are special tokens, these end an answer whatever the config says."""

_TURN_TOKENS = 8
"""Tokens: what a turn adds to its content, with a little to spare."""

_MAX_BYTES = 256 * 1024**2


class FastTokenizer:
    """The tokenizer of a folder of transformers. Raises CheckpointError for files that are missing or not read.

    `content` is what a `tokenizer.json` holds; `joined` says whether the content of a message is encoded together with
    the template's text around it, as transformers does.
    """

    def __init__(
        self,
        folder: Path,
        content: dict[str, Any],
        template: ChatTemplate,
        stop_ids: Iterable[int],
        joined: bool = True,
    ) -> None:
        self.path = template.path
        self._content = content
        added = [each for each in content.get("added_tokens") or [] if isinstance(each, dict)]
        self._plain = _tokenizer(folder, content | {"added_tokens": [], "post_processor": None, "truncation": None})
        self._texts = _texts(folder, content, added)
        self._flags = {str(each["content"]): each for each in added if each.get("special")}
        self.special = {name: int(each["id"]) for name, each in self._flags.items()}
        self._special_ids = set(self.special.values())
        self._names = {token: name for name, token in self.special.items()}
        self._joined = joined
        self._template = template
        self.vocab_size = max([*self._texts, *self._special_ids], default=-1) + 1
        named = [self.special[name] for name in _STOP_NAMES if name in self.special]
        self.stop_ids = tuple(dict.fromkeys([*stop_ids, *named]))
        self.eos_id = self.stop_ids[0]
        self._newline = self._plain.encode("\n").ids
        self._adds_space = b"".join(map(self.piece_bytes, self._plain.encode("a").ids)) != b"a"
        self._check_special(folder)

    @classmethod
    def read(cls, folder: Path) -> FastTokenizer:
        """Return the tokenizer of `tokenizer.json` and the files beside it."""
        path = folder / FAST_TOKENIZER_FILE
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise CheckpointError(f"{path} is larger than any tokenizer: download or copy it again")
            source = path.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} is missing or cannot be read: download or copy it again") from error
        return cls(folder, _parsed(folder, source), read_template(folder), _stop_ids(folder))

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, without special tokens."""
        ids: list[int] = self._plain.encode(well_formed(text), add_special_tokens=False).ids
        return ids

    def encode_continuation(self, text: str) -> list[int]:
        """Return the ids of `text` as it continues an answer: without a space that the tokenizer puts first."""
        if not self._adds_space:
            return self.encode(text)
        return self.encode("\n" + text)[len(self._newline) :]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`: special tokens by name, unassigned ids empty, bad UTF-8 as U+FFFD."""
        parts = (self._names[token].encode() if token in self._names else self.piece_bytes(token) for token in ids)
        return b"".join(parts).decode("utf-8", "replace")

    def piece_bytes(self, token: int) -> bytes:
        """Return the UTF-8 bytes that an id adds to a text; none for special and unassigned ids."""
        return b"" if token in self._special_ids else self._texts.get(token, b"")

    def constraint_vocabulary(self, size: int | None = None) -> ConstraintVocabulary:
        """Return the vocabulary for `llguidance`, padded with special ids to `size`, the rows of the output layer."""
        tokens = [self.piece_bytes(token) for token in range(max(size or 0, self.vocab_size))]
        return ConstraintVocabulary(
            eos_token_id=self.eos_id,
            bos_token_id=None,
            tokens=tokens,
            special_token_ids=[token for token, data in enumerate(tokens) if not data],
            tokenizer=self,
        )

    def chat_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the ids of a whole prompt by the chat template, the assistant's turn opened."""
        ids: list[int] = []
        for each in self._segments(self._template.render([as_message(message) for message in messages])):
            ids += [each] if isinstance(each, int) else self.encode(each)
        return ids

    def answer_prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the same with the line break that an answer begins with, unless the template has written it."""
        ids = self.chat_prompt(messages)
        return ids if self.decode(ids[-1:]).endswith("\n") else [*ids, *self._newline]

    def encode_turn(self, message: ChatMessage) -> list[int]:
        """Return about the ids of one turn, for measuring: those of its content, and of what the template adds."""
        return [*self.encode(as_message(message).content), *[0] * _TURN_TOKENS]

    def save(self, folder: Path, context: int) -> None:
        """Write the tokenizer as the files that `read` and transformers read; `context` is in tokens."""
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": False,
            "padding_side": "left",
            **dict(self._template.variables),
        }
        (folder / FAST_TOKENIZER_FILE).write_text(json.dumps(self._content, ensure_ascii=False), "utf-8")
        (folder / TEMPLATE_FILE).write_text(self._template.source, "utf-8")
        (folder / TOKENIZER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")

    def decoder(self) -> IncrementalDecoder:
        """Return a new decoder for ids that come one by one."""
        return IncrementalDecoder(self)

    def _segments(self, parts: Iterable[Part]) -> Iterator[int | str]:
        """Yield special tokens by their ids, and the text between them; texts that belong together are one."""
        pending: list[str] = []
        for piece, special in self._pieces(parts):
            if special is None:
                pending.append(piece)
                continue
            yield from self._texts_of(pending, strip=bool(self._flags[piece].get("lstrip")))
            yield special
            pending = []
        yield from self._texts_of(pending)

    def _pieces(self, parts: Iterable[Part]) -> Iterator[tuple[str, int | None]]:
        """Yield the text of each piece, and its id if the template wrote a special token."""
        for part in parts:
            for piece in [part.text] if part.content else self._split(part.text):
                yield piece, None if part.content else self.special.get(piece)

    def _texts_of(self, pieces: list[str], strip: bool = False) -> list[str]:
        texts = ["".join(pieces)] if self._joined else pieces
        if strip and texts:
            texts = [*texts[:-1], texts[-1].rstrip()]
        return [text for text in texts if text]

    def _split(self, text: str) -> list[str]:
        """Return special tokens and the text between them."""
        names = sorted(self.special, key=len, reverse=True)
        return [piece for piece in re.split(f"({'|'.join(map(re.escape, names))})", text) if piece] if names else [text]

    def _check_special(self, folder: Path) -> None:
        """Raise CheckpointError where plain text could become a special token."""
        forged = next((name for name, token in self.special.items() if token in self.encode(name)), None)
        if forged is not None:
            raise CheckpointError(
                f"{folder / FAST_TOKENIZER_FILE} makes the special token {forged!r} of plain text, so a document could "
                "forge a turn: use the files as published"
            )


def _parsed(folder: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / FAST_TOKENIZER_FILE} is not JSON: download or copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / FAST_TOKENIZER_FILE} holds no JSON object: download or copy it again")
    return content


def _tokenizer(folder: Path, content: dict[str, Any]) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises no narrower class
        raise CheckpointError(
            f"{folder / FAST_TOKENIZER_FILE} is damaged or not a tokenizer: download or copy it again"
        ) from error


def _texts(folder: Path, content: dict[str, Any], added: list[dict[str, Any]]) -> dict[int, bytes]:
    """Return the bytes of each token; an added one's are its text."""
    spelling = spelling_of(content)
    vocabulary = content.get("model", {}).get("vocab")
    if spelling is None or not isinstance(vocabulary, dict):
        raise CheckpointError(
            f"{folder / FAST_TOKENIZER_FILE} is of a kind that is not read (byte-level or SentencePiece BPE are): "
            "serve the model and use --backend openai"
        )
    texts = {int(token): spelling(text) for text, token in vocabulary.items()}
    return texts | {int(each["id"]): str(each["content"]).encode() for each in added}


def _stop_ids(folder: Path) -> tuple[int, ...]:
    """Return what generation or model config give as the end of an answer."""
    ids: list[int] = []
    for name in ("generation_config.json", CONFIG_FILE):
        if (folder / name).is_file():
            config = ConfigFile(folder / name, read_config(folder / name))
            ids += config.token_ids("eos_token_id", ()) if config.values.get("eos_token_id") is not None else ()
    return tuple(ids)
