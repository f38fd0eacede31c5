"""A checkpoint in the original layout as a plain GlmForCausalLM folder with a fast tokenizer, for other engines.

    python -m benchmarks.plain_model CHECKPOINT FOLDER

The weights are saved in bfloat16. The fast tokenizer splits text as SentencePiece does; special tokens that are plain
words (`sop`, `eop`) go under names in brackets, since an added token would be found inside words ("people").
"""

from __future__ import annotations

import sys
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from extractor.chatglm3 import load_model
from extractor.chatglm3.layout import TOKENIZER_FILE
from extractor.chatglm3.tokenizer import SPECIAL_NAMES

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def write_plain_model(checkpoint: Path, folder: Path) -> None:
    """Write config, weights and tokenizer."""
    load_model(checkpoint, "bfloat16", "cpu").save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=fast_tokenizer(checkpoint / TOKENIZER_FILE),
        unk_token="<unk>",
        pad_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)


def fast_tokenizer(path: Path) -> Tokenizer:
    """The SentencePiece model as a `tokenizers` BPE of the same ids: merges follow from the pieces' scores."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    vocabulary = {pieces.id_to_piece(token): token for token in range(pieces.get_piece_size())}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, _merges(pieces, vocabulary), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    names = [name if name.startswith(("<|", "[")) else f"<|{name}|>" for name in SPECIAL_NAMES]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def _merges(pieces: sentencepiece.SentencePieceProcessor, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, the best score first."""
    found: list[tuple[float, int, str, str]] = []
    for piece, token in vocabulary.items():
        if pieces.is_byte(token) or pieces.is_control(token) or pieces.is_unknown(token):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((-pieces.get_score(token), token, left, right))
    return [(left, right) for _, _, left, right in sorted(found)]


if __name__ == "__main__":
    write_plain_model(Path(sys.argv[1]), Path(sys.argv[2]))
