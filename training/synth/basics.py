"""Characters, digits and made-up words: what values are put together from."""

from __future__ import annotations

import string
from random import Random

from training.synth.grammar import words

LEVEL_1 = tuple(
    bytes([row, cell]).decode("gb2312")
    for row in range(0xB0, 0xD8)
    for cell in range(0xA1, 0xFF)
    if not (row == 0xD7 and cell > 0xF9)
)
LEVEL_2 = tuple(bytes([row, cell]).decode("gb2312") for row in range(0xD8, 0xF8) for cell in range(0xA1, 0xFF))
TRADITIONAL = tuple(
    "東門車馬龍國華陳張劉黃楊趙吳鄭謝許鄧馮蕭葉蘇呂盧鐘譚陸賈韋鄒電話號碼帳戶郵密訂單額貨點區縣鎮鄉樓層"
)
LETTERS, DIGITS = string.ascii_letters, string.digits
LOWER, UPPER = string.ascii_lowercase, string.ascii_uppercase
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def digits(rng: Random, count: int) -> str:
    """Digits, now and then a run, a count or a repeated pair: what copying by the digits before loses its place in."""
    kind = rng.random()
    if count < 4 or kind > 0.12:
        return "".join(rng.choices(DIGITS, k=count))
    if kind < 0.05:
        return rng.choice(DIGITS) * count
    if kind < 0.08:
        return (DIGITS[rng.choice([0, 1, 1, 1, rng.randrange(10)]) :] + DIGITS * 2)[:count]
    return (digits(rng, rng.choice([2, 2, 3])) * count)[:count]


def letters(rng: Random, count: int, alphabet: str = LOWER) -> str:
    return "".join(rng.choices(alphabet, k=count))


def pseudo(rng: Random) -> str:
    """Return a pronounceable made-up Latin word."""
    return "".join(rng.choice("bcdfghjklmnprstvwxyz") + rng.choice("aeiou") for _ in range(rng.randint(1, 3))) + (
        rng.choice(["", "n", "ng", "r", "s", "t"])
    )


def latin(rng: Random) -> str:
    return pseudo(rng) if rng.random() < 0.5 else rng.choice(words("words_en"))


def junk(rng: Random) -> str:
    """Return a made-up Chinese word, so that unknown text is nothing new."""
    source = LEVEL_1 if rng.random() < 0.97 else LEVEL_2
    return "".join(rng.choices(source, k=rng.choice([1, 2, 2, 2, 3])))
