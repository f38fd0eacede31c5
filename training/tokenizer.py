"""Trains the demo model's SentencePiece tokenizer.

Copying is easiest when a value has the same tokens wherever it occurs. So every Chinese character, digit, mark and
space is a piece of its own and only Latin letters are merged; a delimiter between them keeps BPE from doing otherwise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import sentencepiece

from training.prompts import choose
from training.synth.basics import LEVEL_1, TRADITIONAL
from training.synth.documents import Example, example
from training.synth.grammar import words

DELIMITER = "\ue000"
PIECES = 8439
"""With the nine special ids 8,448, a multiple of 64. 3,900 Chinese characters have one each; 4,100 are Latin."""
PROMPTS = 0.1
"""The share of texts with the words of the prompts."""
MARKS = (
    "，。；：！？、“”‘’（）【】《》「」『』〈〉—…～·￥¥€£×√°℃％＋－＝／＠＃＆＊｜→←◆●○■□★☆☑•©®№①②③④⑤⑥⑦⑧⑨⑩㎡　–＞＜＿"
    "０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ" + "".join(map(chr, range(33, 127)))
)


def separated(text: str) -> str:
    """Put the delimiter on both sides of everything but runs of Latin letters."""
    out = []
    for sign in text:
        if sign.isascii() and sign.isalpha():
            out.append(sign)
        elif sign in " \n\t":
            out.append(DELIMITER + " " + DELIMITER)
        else:
            out.append(DELIMITER + sign + DELIMITER)
    return "".join(out)


def corpus(seed: int, count: int, known: frozenset[str]) -> list[str]:
    """What generated examples say around their values, by line, without characters that get no piece (but bytes).

    A word begins a label and ends a programmer's name, so each is there in small letters and with a capital. Values are
    left out: what a stranger's person is called is no word of the generator's.
    """
    out = []
    for number in range(count):
        rng = Random(f"tokenizer/{seed}/{number}")
        found = example(rng)
        text = _around(found)
        prompts = [choose(rng, found)] if rng.random() < PROMPTS else []
        for each in [text.lower(), text.title(), *prompts]:
            out.append(DELIMITER + separated("".join(sign for sign in each if sign in known)))
    return out


def _around(found: Example) -> str:
    """Return the names of an example and its text without what is asked for."""
    text = found.text
    for gold in found.gold.values():
        for each in gold if isinstance(gold, list) else [gold]:
            text = text.replace(each, " ") if isinstance(each, str) and each else text
    return " ".join([text, *(asked.name for asked in found.asked)])


def train(target: Path, seed: int = 1, count: int = 30_000) -> None:
    """Write `tokenizer.model` to a folder."""
    names = "".join(words("surnames")[0] + words("given")[0]) + "".join(words("compound_surnames"))
    required = "".join(dict.fromkeys("".join(LEVEL_1) + "".join(TRADITIONAL) + MARKS + names))
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "corpus.txt"
        source.write_text("\n".join(corpus(seed, count, frozenset(required + " "))), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(source),
            model_prefix=str(Path(scratch) / "tokenizer"),
            model_type="bpe",
            vocab_size=PIECES,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            pretokenization_delimiter=DELIMITER,
            required_chars=required,
            user_defined_symbols=["\n", "\t"],
            character_coverage=1.0,
            num_threads=2,
            minloglevel=2,
            max_sentence_length=100_000,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            allow_whitespace_only_pieces=True,
        )
        target.mkdir(parents=True, exist_ok=True)
        (target / "tokenizer.model").write_bytes((Path(scratch) / "tokenizer.model").read_bytes())


def mixed(path: Path) -> list[str]:
    """Return the pieces that break the rule above: there should be none."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    texts = [pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()) if not pieces.is_byte(i)]
    return [t for t in texts if len(t) > 1 and not (t.isascii() and t.isalpha())]
