"""What fills the holes of filler sentences and traps: everything that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from training.synth import basics, places, values
from training.synth.grammar import expand, patterns, words

SIMPLE: dict[str, Callable[[Random], str]] = {
    "name": lambda r: values.chinese_name(r) if r.random() < 0.9 else values.english_name(r),
    "sur": lambda r: r.choice(words("surnames")[0]),
    "n": lambda r: str(r.choice([r.randint(1, 9), r.randint(1, 30), r.randint(10, 99)])),
    "N": lambda r: str(r.randint(50, 9999)),
    "dec": lambda r: f"{r.randint(0, 99)}.{r.randint(1, 9)}",
    "pct": lambda r: f"{r.randint(1, 99)}{r.choice(['', '.5', '.95', '.9'])}%",
    "year": lambda r: str(r.randint(1985, 2027)),
    "noun": lambda r: r.choice(words("nouns_zh")) if r.random() < 0.8 else basics.junk(r),
    "place": lambda r: r.choice(words("places_zh")) if r.random() < 0.85 else basics.junk(r) + r.choice("室房楼馆院店"),
    "adj": lambda r: r.choice(words("adj_zh")),
    "junk": basics.junk,
    "eword": basics.latin,
    "ewfn": lambda r: r.choice(words("en_function")),
    "ename": lambda r: r.choice(words("english_first")),
    "elast": lambda r: r.choice(words("english_last")),
    "co": values.company,
    "eco": values.english_company,
    "city": lambda r: r.choice(words("cities")),
    "landline": values.landline,
    "landline_en": lambda r: r.choice(
        [
            f"+{r.randint(1, 99)} {basics.digits(r, 2)} {basics.digits(r, 4)} {basics.digits(r, 4)}",
            f"0{basics.digits(r, 3)} {basics.digits(r, 6)}",
        ]
    ),
    "hotline": lambda r: (
        r.choice(["400-", "800-", "400", "95", "400 "])
        + f"{basics.digits(r, 3)}{r.choice(['-', ' ', ''])}{basics.digits(r, 4)}"
    ),
    "phone0": values.phone,
    "card": lambda r: r.choice(["", " "]).join(basics.digits(r, 4) for _ in range(r.randint(3, 5))),
    "idcard": lambda r: basics.digits(r, 17) + r.choice("0123456789X"),
    "version": lambda r: r.choice(["V", "v", ""]) + ".".join(str(r.randint(0, 30)) for _ in range(r.choice([2, 3]))),
    "host": values.host,
    "port": lambda r: r.choice(["3306", "5432", "8080", "27017", "6379", "21", str(r.randint(1000, 65000))]),
    "url": lambda r: f"{r.choice(['https://', 'http://', 'www.'])}{values.host(r)}/{r.choice(['', basics.latin(r)])}",
    "code": values.code,
    "qq": lambda r: basics.digits(r, r.randint(6, 10)),
    "pin": lambda r: basics.digits(r, r.randint(4, 6)),
    "zip": lambda r: basics.digits(r, 6),
    "letter": lambda r: r.choice(basics.UPPER),
    "weekday": lambda r: r.choice("一二三四五六日"),
    "weekday_en": lambda r: r.choice(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]),
    "time": lambda r: r.choice(
        [
            f"{r.randint(0, 23)}:{r.randint(0, 59):02}",
            f"{r.choice(['上午', '下午', '晚上', '早上'])}{r.randint(1, 12)}点{r.choice(['', '半'])}",
        ]
    ),
}


def fill(name: str, rng: Random) -> str:
    """Return the text of a filler slot, or of a decoy `{!kind}`."""
    if name.startswith("!"):
        return decoy(name[1:], rng)
    return SIMPLE[name](rng)


def decoy(kind: str, rng: Random, english: bool = False) -> str:
    """Return a value that looks right and is not meant."""
    if kind == "address" and english:
        return places.english_address(rng)
    return values.KINDS[kind](rng)


def sentence(rng: Random, english: bool) -> str:
    """One sentence that says nothing anybody asks for."""
    chosen = rng.choice(patterns("fill_en" if english else "fill_zh"))
    return expand(chosen, rng, lambda name: fill(name, rng))


def trap(rng: Random, topic: str, english: bool) -> str:
    """Return a sentence with a number, mail or name that must not be taken for a value."""
    language = "en" if english else "zh"
    chosen = rng.choice(patterns(f"traps_{topic}_{language}"))
    return expand(chosen, rng, lambda name: fill(name, rng))


def stray_label(rng: Random, english: bool) -> str:
    """Return a label nobody asks for."""
    if english:
        return rng.choice([basics.latin(rng).capitalize(), f"{basics.latin(rng).capitalize()} {basics.latin(rng)}"])
    return rng.choice(
        [
            rng.choice(words("nouns_zh")),
            basics.junk(rng) + basics.junk(rng),
            rng.choice(words("stray_labels")),
            rng.choice(words("stray_labels")),
        ]
    )


def stray_value(rng: Random, english: bool) -> str:
    """Return a value for such a label."""
    if english:
        return rng.choice(
            [
                values.english_phrase,
                values.code,
                values.english_company,
                SIMPLE["url"],
                values.number_with_unit,
                SIMPLE["n"],
            ]
        )(rng)
    return rng.choice(
        [
            values.phrase,
            values.phrase,
            values.code,
            values.company,
            values.number_with_unit,
            SIMPLE["n"],
            SIMPLE["place"],
            SIMPLE["url"],
            SIMPLE["version"],
        ]
    )(rng)
