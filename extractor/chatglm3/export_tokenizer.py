"""ChatGLM3's tokenizer as the `tokenizer.json` and chat template that transformers and vLLM read without our code.

A chat template is rendered to one string, in which the tokenizer finds the special tokens by their text. So that no
document can forge one, each is prefixed with `MARK`, a noncharacter that Unicode reserves for internal use: the role
token is `MARK<|user|>`, and `<|user|>` in a document stays plain pieces. A `MARK` inside a message is escaped by the
template as `MARK ESCAPE`, which the normalizer turns back. So a prompt made by the template has the ids of
`Tokenizer.chat_prompt` whatever its messages contain.

Known limits: a text passed to the tokenizer directly differs from `Tokenizer.encode` if it contains MARK followed by
ESCAPE or by the name of a special token. A lone surrogate, which our tokenizer reads as U+FFFD, is refused by the
`tokenizers` library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.models import BPE

from extractor.chatglm3.chat_format import SPECIAL_TOKENS
from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE
from extractor.chatglm3.sentencepiece_model import PieceType, SentencePieceModel, read_sentencepiece_model
from extractor.data import Json
from extractor.errors import CheckpointError

MARK, ESCAPE = "\ufdd0", "\ufdd1"
"""Two of Unicode's noncharacters, which do not occur in interchanged text."""

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign for a space."""

TEMPLATE = Path(__file__).parent / "chat_template.jinja"
"""The chat format of `Tokenizer.chat_prompt` as a template."""


def write_tokenizer(source: Path, folder: Path, context: int) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and the chat template of the checkpoint `source` to `folder`.

    `context` (tokens) becomes `model_max_length`. Raises CheckpointError for a `tokenizer.model` whose ids a
    `tokenizer.json` cannot reproduce.
    """
    path = source / TOKENIZER_FILE
    model = read_sentencepiece_model(path)
    check_convertible(path, model)
    (folder / "tokenizer.json").write_text(fast_tokenizer(model).to_str(pretty=True), "utf-8")
    settings = json.dumps(_tokenizer_config(model, context), ensure_ascii=True, indent=2)
    (folder / "tokenizer_config.json").write_text(settings + "\n", "utf-8")
    (folder / "chat_template.jinja").write_bytes(TEMPLATE.read_bytes())


def check_convertible(path: Path, model: SentencePieceModel) -> None:
    """Raise CheckpointError for a model whose ids would differ. ChatGLM3's own tokenizers meet every condition."""
    texts = model.texts(PieceType.NORMAL, PieceType.USER_DEFINED)
    reasons = {
        "it is not a BPE model": not model.bpe,
        "it normalizes text": not model.identity,
        "it lacks pieces for some bytes": len(model.texts(PieceType.BYTE)) != 256,
        "it has unused pieces": bool(model.texts(PieceType.UNUSED)),
        "a character of a piece is not a piece": not {sign for text in texts for sign in text} <= set(texts),
        "two pieces have the same score": _has_equal_scores(model),
        "a piece contains a line break": any("\n" in text and text != "\n" for text in texts),
        "a piece contains a noncharacter": any(MARK in text for text in texts),
    }
    for reason, holds in reasons.items():
        if holds:
            raise CheckpointError(f"{path} cannot become a tokenizer.json ({reason}): use the one of ChatGLM3")


def fast_tokenizer(model: SentencePieceModel) -> FastTokenizer:
    """Return a tokenizer with the ids of `Tokenizer.encode`, whose special tokens only the template can write."""
    vocabulary = {vocabulary_text(model, token): token for token in range(len(model.pieces))}
    fast = FastTokenizer(BPE(vocabulary, _merges(model), byte_fallback=True, fuse_unk=False))
    # Each text between special tokens is normalized on its own, so each gets the leading space, as in the original.
    fast.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(MARK + ESCAPE, MARK),
            normalizers.Prepend(SPACE),
            normalizers.Replace(" ", SPACE),
        ]
    )
    indivisible = sorted(map(re.escape, model.texts(PieceType.USER_DEFINED)), key=len, reverse=True)
    if indivisible:
        fast.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(indivisible)), "isolated")
    fast.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast.add_special_tokens([AddedToken(name, normalized=False) for name in special_texts(model)])
    return fast


def vocabulary_text(model: SentencePieceModel, token: int) -> str:
    """Return the text of a piece in the vocabulary, prefixed with `MARK` if no text may ever encode to it."""
    piece = model.pieces[token]
    return MARK + piece.text if piece.type in (PieceType.UNKNOWN, PieceType.CONTROL) else piece.text


def special_texts(model: SentencePieceModel) -> list[str]:
    """Return the special tokens in the order of their ids: unknown and control pieces, then ChatGLM3's own."""
    return [MARK + name for name in [*model.texts(PieceType.UNKNOWN, PieceType.CONTROL), *SPECIAL_TOKENS]]


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Return every pair of pieces that makes a piece, by descending score, the order in which SentencePiece merges."""
    known = set(model.texts(PieceType.NORMAL))
    ranked = sorted((piece for piece in model.pieces if piece.text in known), key=lambda piece: -piece.score)
    return [pair for piece in ranked for pair in _halves(piece.text) if known.issuperset(pair)]


def _halves(text: str) -> Iterable[tuple[str, str]]:
    return ((text[:cut], text[cut:]) for cut in range(1, len(text)))


def _has_equal_scores(model: SentencePieceModel) -> bool:
    scores = [piece.score for piece in model.pieces if piece.type is PieceType.NORMAL and len(piece.text) > 1]
    return len(set(scores)) != len(scores)


def _tokenizer_config(model: SentencePieceModel, context: int) -> dict[str, Json]:
    unknown, _, end = (vocabulary_text(model, token) for token in range(3))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
        "pad_token": unknown,
        "padding_side": "left",
    }
