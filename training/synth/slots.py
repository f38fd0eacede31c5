"""What fills the holes of patterns that are nobody's value: names, numbers, places, words."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from training.synth import basics, values
from training.synth.grammar import words

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
