"""ChatGLM3's tokenizer as the `tokenizer.json` and chat template that transformers and vLLM read without our code.

A chat template is rendered to one string, and a tokenizer finds the role tokens in that string by their spelling. So
that no document can spell one, each is written behind `MARK`, a code point that Unicode keeps free for such use and
that no text interchanged holds: the role token is `MARK<|user|>`, and `<|user|>` in a text is plain pieces. The
template doubles as guard: it writes a mark inside a message as `MARK ESCAPE`, and the normaliser reads that as a mark.
So a prompt made by the template has the ids of `Tokenizer.chat_prompt` whatever its messages hold.

What remains: a text handed to the tokenizer directly differs from `Tokenizer.encode` if it holds MARK followed by
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

from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE
from extractor.chatglm3.sentencepiece_model import Kind, PieceModel, read_pieces
from extractor.chatglm3.tokenizer import SPECIAL_NAMES
from extractor.data import Json
from extractor.errors import CheckpointError

MARK, ESCAPE = "\ufdd0", "\ufdd1"
"""Two of Unicode's noncharacters, which are never part of interchanged text."""

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign for a space."""

TEMPLATE = Path(__file__).parent / "standard_chat.jinja"
"""The chat format of `Tokenizer.chat_prompt` as a template."""


def write_tokenizer(source: Path, folder: Path, context: int) -> None:
    """Write tokenizer, its settings and the chat template of the checkpoint `source` into `folder`.

    Raises CheckpointError for a `tokenizer.model` whose ids a `tokenizer.json` cannot give.
    """
    path = source / TOKENIZER_FILE
    model = read_pieces(path)
    check_convertible(path, model)
    (folder / "tokenizer.json").write_text(fast_tokenizer(model).to_str(pretty=True), "utf-8")
    settings = json.dumps(_settings(model, context), ensure_ascii=True, indent=2)
    (folder / "tokenizer_config.json").write_text(settings + "\n", "utf-8")
    (folder / "chat_template.jinja").write_bytes(TEMPLATE.read_bytes())


def check_convertible(path: Path, model: PieceModel) -> None:
    """Refuse what would give other ids: each condition holds for the tokenizers that ChatGLM3 came with."""
    texts = model.texts(Kind.NORMAL, Kind.USER_DEFINED)
    reasons = {
        "it is no BPE model": not model.bpe,
        "it changes text before splitting it": not model.plain,
        "it has no piece for every byte": len(model.texts(Kind.BYTE)) != 256,
        "it has unused pieces": bool(model.texts(Kind.UNUSED)),
        "a character of a piece is no piece": not {sign for text in texts for sign in text} <= set(texts),
        "two pieces have the same score": _tied(model),
        "a piece goes across a line": any("\n" in text and text != "\n" for text in texts),
        "a piece holds a noncharacter": any(MARK in text for text in texts),
    }
    for reason, holds in reasons.items():
        if holds:
            raise CheckpointError(f"{path} cannot become a tokenizer.json ({reason}): use the one of ChatGLM3")


def fast_tokenizer(model: PieceModel) -> FastTokenizer:
    """The tokenizer that gives the ids of `Tokenizer.encode`, with special tokens that only the template spells."""
    vocabulary = {spelling(model, token): token for token in range(len(model.pieces))}
    fast = FastTokenizer(BPE(vocabulary, _merges(model), byte_fallback=True, fuse_unk=False))
    # Each text between special tokens is normalised for itself: it gets the space in front that every text gets.
    fast.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(MARK + ESCAPE, MARK),
            normalizers.Prepend(SPACE),
            normalizers.Replace(" ", SPACE),
        ]
    )
    indivisible = sorted(map(re.escape, model.texts(Kind.USER_DEFINED)), key=len, reverse=True)
    if indivisible:
        fast.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(indivisible)), "isolated")
    fast.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast.add_special_tokens([AddedToken(name, normalized=False) for name in special_spellings(model)])
    return fast


def spelling(model: PieceModel, token: int) -> str:
    """How a piece is called in the vocabulary: its text, behind a mark if no text may ever give it."""
    piece = model.pieces[token]
    return MARK + piece.text if piece.kind in (Kind.UNKNOWN, Kind.CONTROL) else piece.text


def special_spellings(model: PieceModel) -> list[str]:
    """The special tokens in the order of their ids: the pieces that are no text, then ChatGLM3's own."""
    return [MARK + name for name in [*model.texts(Kind.UNKNOWN, Kind.CONTROL), *SPECIAL_NAMES]]


def _merges(model: PieceModel) -> list[tuple[str, str]]:
    """Every way to make a piece from two, the best score first: SentencePiece merges what has the best score."""
    known = set(model.texts(Kind.NORMAL))
    ranked = sorted((piece for piece in model.pieces if piece.text in known), key=lambda piece: -piece.score)
    return [pair for piece in ranked for pair in _halves(piece.text) if known.issuperset(pair)]


def _halves(text: str) -> Iterable[tuple[str, str]]:
    return ((text[:cut], text[cut:]) for cut in range(1, len(text)))


def _tied(model: PieceModel) -> bool:
    scores = [piece.score for piece in model.pieces if piece.kind is Kind.NORMAL and len(piece.text) > 1]
    return len(set(scores)) != len(scores)


def _settings(model: PieceModel, context: int) -> dict[str, Json]:
    unknown, _, end = (spelling(model, token) for token in range(3))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
        "pad_token": unknown,
        "padding_side": "left",
    }
