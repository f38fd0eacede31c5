"""How spaCy numbers strings: by a table of symbols, and else by a hash (MurmurHash64A, seed 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ORTH, LENGTH, ENT_IOB, ENT_TYPE, SPACY = 65, 71, 77, 78, 81
"""Attributes of tokens."""

_FLAGS = """
IS_ALPHA IS_ASCII IS_DIGIT IS_LOWER IS_PUNCT IS_SPACE IS_TITLE IS_UPPER LIKE_URL LIKE_NUM LIKE_EMAIL IS_STOP
IS_OOV_DEPRECATED IS_BRACKET IS_QUOTE IS_LEFT_PUNCT IS_RIGHT_PUNCT IS_CURRENCY
"""
_ATTRIBUTES = """
ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD SENT_START SPACY PROB LANG
ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X EOL SPACE
"""
_LABELS = """
PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY ORDINAL
CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj csubjpass dep det dobj expl
hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num number oprd obj obl parataxis partmod
pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID IDX _
"""

SYMBOLS: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        [
            "",
            *_FLAGS.split(),
            *(f"FLAG{number}" for number in range(19, 64)),
            *_ATTRIBUTES.split(),
            *(f"DEPRECATED{number:03}" for number in range(1, 277)),
            *_LABELS.split(),
        ]
    )
}

_MASK = (1 << 64) - 1
_FACTOR = 0xC6A4A7935BD1E995
_SHIFT = 47


def string_id(text: str) -> int:
    """Return the number of a string."""
    return SYMBOLS[text] if text in SYMBOLS else _murmur(text.encode("utf-8", "surrogatepass"))


def names(texts: Iterable[str]) -> dict[int, str]:
    """Return strings by their numbers, the symbols among them."""
    return {**{number: name for name, number in SYMBOLS.items()}, **{string_id(text): text for text in texts}}


def _murmur(data: bytes, seed: int = 1) -> int:
    state = (seed ^ (len(data) * _FACTOR)) & _MASK
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        block = _mixed(int.from_bytes(data[at : at + 8], "little"))
        state = ((state ^ block) * _FACTOR) & _MASK
    if rest := data[whole:]:
        state = ((state ^ int.from_bytes(rest, "little")) * _FACTOR) & _MASK
    state = ((state ^ (state >> _SHIFT)) * _FACTOR) & _MASK
    return state ^ (state >> _SHIFT)


def _mixed(block: int) -> int:
    block = (block * _FACTOR) & _MASK
    return ((block ^ (block >> _SHIFT)) * _FACTOR) & _MASK
