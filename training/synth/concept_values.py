"""Values of the kinds that `frames/concept_values.txt` describes with patterns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from training.synth import basics, places, values
from training.synth.grammar import Sequence, expand, lines, parse, words
from training.synth.slots import SIMPLE

_PROVINCES = "京沪粤苏浙鲁川鄂湘冀豫闽皖陕辽赣津渝黑吉"
_SLOTS: dict[str, Callable[[Random], str]] = {
    "y": lambda r: str(r.randint(2012, 2030)),
    "M": lambda r: str(r.randint(1, 12)),
    "d": lambda r: str(r.randint(1, 28)),
    "mm": lambda r: f"{r.randint(1, 12):02}",
    "dd": lambda r: f"{r.randint(1, 28):02}",
    "h": lambda r: str(r.randint(7, 23)) if r.random() < 0.8 else f"{r.randint(0, 9):02}",
    "m": lambda r: f"{r.choice([0, 15, 30, 45, r.randint(0, 59)]):02}",
    "sh": lambda r: str(r.randint(1, 12)),
    "sn": lambda r: str(r.randint(1, 9)),
    "zn": lambda r: r.choice("一二三四五六七八九"),
    "a": lambda r: str(r.randint(1, 95)),
    "T": lambda r: f"{r.randint(1000, 99999):,}",
    "amt": values.amount,
    "zday": lambda r: f"{r.randint(1, 12)}月{r.randint(1, 28)}日",
    "date": lambda r: _date(r),
    "edate": lambda r: values.english_date(r, r.randint(2012, 2030), r.randint(1, 12), r.randint(1, 28)),
    "phone": values.phone,
    "email": values.email,
    "address": places.address,
    "eaddress": places.english_address,
    "ecity": places.english_town,
    "enamefull": values.english_name,
    "name": values.chinese_name,
    "pro": lambda r: r.choice(_PROVINCES),
    "eup": lambda r: basics.pseudo(r).upper() + r.choice(["", basics.pseudo(r).upper()]),
    "epre": lambda r: (basics.pseudo(r) + r.choice(["", basics.pseudo(r)])).capitalize(),
    "kw": lambda r: r.choice([r.choice(words("nouns_zh")), basics.junk(r) + basics.junk(r), values.phrase(r)]),
}


def _date(rng: Random) -> str:
    y, m, d = rng.randint(2010, 2030), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        [f"{y}年{m}月{d}日", f"{y}年{m}月{d}日", f"{y}-{m:02}-{d:02}", f"{y}-{m:02}-{d:02}", f"{y}/{m}/{d}",
         f"{y}.{m:02}.{d:02}", f"{m}月{d}日", f"{y}年{m}月", f"{y}年{m:02}月{d:02}日", values.date(rng),
         f"{y}{m:02}{d:02}", f"{y}年{rng.choice(['春', '秋', '底', '初'])}"]
    )  # fmt: skip


@cache
def _kinds() -> dict[str, tuple[Sequence, Sequence]]:
    rows = [line.split("\t") for line in lines("concept_values")]
    return {kind: (parse(f"({zh})"), parse(f"({en})")) for kind, zh, en in rows}


def kinds() -> frozenset[str]:
    """Return the names of the kinds."""
    return frozenset(_kinds())


def concept_value(rng: Random, kind: str, english: bool) -> str:
    """Return a value of a kind as a document of this language has it."""
    return expand(_kinds()[kind][int(english)], rng, lambda slot: fill(rng, slot)).strip()


def pattern_value(rng: Random, pattern: str) -> str:
    """Return a value of a pattern that has the slots of values."""
    return expand(parse(pattern), rng, lambda slot: fill(rng, slot)).strip()


def fill(rng: Random, slot: str) -> str:
    """Return what stands for a slot of a value: a kind, or one of its parts."""
    if slot in _SLOTS:
        return _SLOTS[slot](rng)
    if slot[0] in "DU" and slot[1:].isdigit():
        count = int(slot[1:])
        if slot[0] == "U":
            return basics.letters(rng, count, basics.UPPER)
        return (rng.choice("123456789") if count < 4 else rng.choice(basics.DIGITS)) + basics.digits(rng, count - 1)
    return SIMPLE[slot](rng) if slot in SIMPLE else concept_value(rng, slot, False)
