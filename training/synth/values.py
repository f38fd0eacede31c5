"""Random values of every kind a document can hold, from phone numbers to whole addresses."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from training.synth.basics import (
    DIGITS,
    LETTERS,
    LEVEL_1,
    LEVEL_2,
    LOWER,
    MONTHS,
    TRADITIONAL,
    UPPER,
    digits,
    junk,
    latin,
    letters,
    pseudo,
)
from training.synth.grammar import words
from training.synth.places import address, english_address


def phone(rng: Random) -> str:
    number = "1" + rng.choice("3456789") + digits(rng, 9)
    style = rng.random()
    if style < 0.78:
        return number
    if style < 0.86:
        sign = rng.choice("- ")
        return f"{number[:3]}{sign}{number[3:7]}{sign}{number[7:]}"
    if style < 0.93:
        return rng.choice(["+86 ", "+86", "+86-", "86-", "(+86)", "+852 ", "0086 "]) + number
    area = rng.choice(["+1 ", "+44 7", "+49 1", "+33 6 ", "07", "07", "+61 4", "+81 90 "])
    return area + " ".join(digits(rng, k) for k in rng.choice([(3, 3, 4), (2, 3, 3), (3, 6), (4, 3, 3)]))


def landline(rng: Random) -> str:
    area = "0" + rng.choice(["10", "2" + rng.choice("123456789"), digits(rng, 3)])
    tail = digits(rng, rng.choice([7, 8]))
    tail = f"{tail[:-4]} {tail[-4:]}" if rng.random() < 0.25 else tail
    return rng.choice([f"{area}-{tail}", f"{area}{tail}", f"({area}){tail}", f"{area} {tail}", tail])


def email(rng: Random) -> str:
    host = rng.choice(words("domains")) if rng.random() < 0.35 else _own_domain(rng)
    return f"{_mailbox(rng)}@{host}"


def _own_domain(rng: Random) -> str:
    parts = [latin(rng) for _ in range(rng.choice([1, 1, 2]))]
    name = rng.choice(["", "", "-"]).join(parts) + (digits(rng, 2) if rng.random() < 0.1 else "")
    prefix = rng.choice(["mail.", "corp.", "lab.", "my."]) if rng.random() < 0.12 else ""
    return f"{prefix}{name}.{rng.choice(words('tlds'))}"


def _mailbox(rng: Random) -> str:
    style = rng.random()
    if style < 0.15:
        return digits(rng, rng.randint(5, 11))
    if style < 0.45:
        return rng.choice([".", "_", "-", ""]).join(latin(rng) for _ in range(2))
    if style < 0.6:
        return rng.choice(LOWER) + rng.choice([".", "", "_"]) + pseudo(rng)
    if style < 0.7:
        return rng.choice([".", "", "_"]).join(
            "".join(sign for sign in rng.choice(words(name)) if sign.isascii() and sign.isalpha())
            for name in ("english_first", "english_last")
        )
    return latin(rng) + rng.choice(["", digits(rng, rng.randint(1, 4)), "_" + digits(rng, 2), "+" + latin(rng)])


def account(rng: Random) -> str:
    style = rng.random()
    if style < 0.12:
        return rng.choice(
            [
                "root",
                "admin",
                "guest",
                "test",
                "user",
                "teacher",
                "student",
                "operator",
                "viewer",
                "sa",
                "postgres",
                "oracle",
                "manager",
            ]
        )
    if style < 0.3:
        return latin(rng) + digits(rng, rng.randint(1, 5))
    if style < 0.6:
        return rng.choice("_-.").join(
            [latin(rng), rng.choice([latin(rng), pseudo(rng), letters(rng, 1), digits(rng, 2)])]
        )
    if style < 0.68:
        return digits(rng, rng.randint(4, 10))
    if style < 0.78:
        return (
            letters(rng, rng.randint(1, 3), LOWER + UPPER)
            + rng.choice("_-")
            + latin(rng)
            + digits(rng, rng.choice([0, 1, 2]))
        )
    if style < 0.84:
        return "".join(pseudo(rng) for _ in range(2)) + rng.choice([".", "_"]) + pseudo(rng)
    if style < 0.88:
        return "".join(rng.choices(LEVEL_1, k=rng.randint(2, 4))) + rng.choice(["", digits(rng, 2)])
    if style < 0.93:
        return letters(rng, rng.randint(4, 9), LETTERS + DIGITS)
    return latin(rng).capitalize() + rng.choice(["", latin(rng).capitalize()]) + rng.choice(["", digits(rng, 2)])


def password(rng: Random) -> str:
    style = rng.random()
    marks = rng.choices("!@#$%^&*_-+=?~.:;,/|<>()[]{}\"'\\`", k=2)
    if style < 0.35:
        return (
            latin(rng).capitalize()
            + rng.choice(["", marks[0]])
            + digits(rng, rng.randint(1, 4))
            + rng.choice(["", marks[1], letters(rng, 1)])
        )
    if style < 0.5:
        return (
            rng.choice(["", digits(rng, 1)])
            + latin(rng)
            + marks[0]
            + rng.choice([latin(rng), latin(rng).capitalize()])
            + rng.choice(["", digits(rng, 1)])
        )
    if style < 0.68:
        alphabet = LETTERS + DIGITS + ("!@#$%^&*-_=+\"'\\?.~" if rng.random() < 0.6 else "")
        return _no_edges(letters(rng, rng.randint(6, 14), alphabet), rng)
    if style < 0.76:
        return digits(rng, rng.randint(4, 10))
    if style < 0.84:
        return pseudo(rng) + rng.choice(["", "@", "#"]) + digits(rng, rng.randint(2, 6))
    if style < 0.9:
        quote = rng.choice(['"', "'", "\\"])
        return (
            latin(rng)
            + quote
            + rng.choice([latin(rng), digits(rng, 2)])
            + rng.choice(["", quote, marks[0] + digits(rng, 1)])
        )
    if style < 0.94:
        return "".join(rng.choices(LEVEL_1, k=rng.randint(2, 4))) + digits(rng, rng.randint(0, 4))
    return "-".join(latin(rng) for _ in range(rng.randint(2, 3)))


def _no_edges(text: str, rng: Random) -> str:
    """Drop a comma or stop at the edge: it would be indistinguishable from the sentence's own."""
    return rng.choice(LETTERS) + text.strip(".?,;:") + rng.choice(LETTERS + DIGITS)


def order(rng: Random) -> str:
    style = rng.random()
    head = letters(rng, rng.choice([1, 2, 2, 2, 3]), UPPER)
    if style < 0.25:
        return f"{head}-{digits(rng, rng.randint(3, 6))}"
    if style < 0.45:
        return head + digits(rng, rng.randint(4, 12))
    if style < 0.58:
        return f"{head}-{digits(rng, rng.randint(2, 4))}-{digits(rng, rng.randint(2, 4))}"
    if style < 0.72:
        return digits(rng, rng.randint(5, 18))
    if style < 0.8:
        day = f"{rng.randint(2015, 2029)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        return day + rng.choice(["", "-", "_"]) + digits(rng, rng.randint(2, 6))
    if style < 0.88:
        return f"{head}{rng.randint(0, 9)}-{digits(rng, 4)}"
    if style < 0.92:
        return (
            f"#{digits(rng, rng.randint(3, 6))}"
            if rng.random() < 0.3
            else letters(rng, rng.randint(6, 10), UPPER + DIGITS)
        )
    return rng.choice("/_#.").join([head, digits(rng, rng.randint(2, 4)), digits(rng, rng.randint(2, 4))])


def date(rng: Random) -> str:
    y, m, d = rng.randint(2008, 2031), rng.randint(1, 12), rng.randint(1, 28)
    style = rng.random()
    if style < 0.2:
        return f"{y}-{m:02}-{d:02}"
    if style < 0.34:
        return f"{y}年{m}月{d}日"
    if style < 0.56:
        return f"{m}月{d}{rng.choice('日号号')}"
    if style < 0.64:
        return rng.choice(
            [f"{y}/{m}/{d}", f"{y}.{m}.{d}", f"{y}.{m:02}.{d:02}", f"{m}/{d}", f"{m}.{d}", f"{y}{m:02}{d:02}"]
        )
    if style < 0.7:
        return rng.choice(
            [f"{y}年{m:02}月{d:02}日", f"{str(y)[2:]}年{m}月{d}号", f"{m:02}月{d:02}日", f"{y} 年 {m} 月 {d} 日"]
        )
    if style < 0.76:
        return _chinese_date(rng, m, d)
    return english_date(rng, y, m, d)


def _chinese_date(rng: Random, month: int, day: int) -> str:
    return _numeral(month) + "月" + _numeral(day) + rng.choice("日号")


def _numeral(number: int) -> str:
    tens, ones = divmod(number, 10)
    head = "" if tens == 0 else "十" if tens == 1 else "〇一二三"[tens] + "十"
    return head + ("" if ones == 0 else "〇一二三四五六七八九"[ones])


def english_date(rng: Random, y: int, m: int, d: int) -> str:
    """Return a day as English writes it, with or without the year."""
    name = rng.choice([MONTHS[m - 1], MONTHS[m - 1][:3], MONTHS[m - 1][:4] if m in {6, 7, 9} else MONTHS[m - 1][:3]])
    suffix = "th" if 4 <= d <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(d % 10, "th")
    return rng.choice(
        [
            f"{d} {name} {y}",
            f"{name} {d}, {y}",
            f"{d} {name}",
            f"{name} {d}",
            f"{name} {d}{suffix}",
            f"{d}-{name}-{y}",
            f"{d}{suffix} {name} {y}",
            f"{d}{suffix} of {name}",
        ]
    )


def amount(rng: Random) -> str:
    whole = rng.choice([rng.randint(1, 99), rng.randint(10, 999), rng.randint(100, 9999), rng.randint(1000, 999999)])
    text = f"{whole:,}" if whole > 999 and rng.random() < 0.45 else str(whole)
    style = rng.random()
    if style < 0.42:
        return f"{text}.{digits(rng, 2)}"
    if style < 0.5:
        return f"{text}.00"
    return f"{text}.{digits(rng, 1)}" if style < 0.65 else text


def chinese_name(rng: Random) -> str:
    surname = rng.choice(words("compound_surnames")) if rng.random() < 0.1 else rng.choice(words("surnames")[0])
    source = rng.random()
    pool = words("given")[0] if source < 0.62 else LEVEL_1 if source < 0.96 else LEVEL_2
    if rng.random() < 0.05:
        surname = rng.choice(LEVEL_1 + TRADITIONAL[:30])
    return surname + "".join(rng.choices(pool, k=rng.choice([1, 2, 2, 2])))


def english_name(rng: Random) -> str:
    first = rng.choice(words("english_first")) if rng.random() < 0.7 else pseudo(rng).capitalize()
    last = rng.choice(words("english_last")) if rng.random() < 0.6 else (pseudo(rng) + pseudo(rng)).capitalize()
    middle = rng.choice(["", "", "", f"{rng.choice(UPPER)}. ", f"{rng.choice(words('english_first'))} ", "de ", "van "])
    return f"{first} {middle}{last}"


def person(rng: Random) -> str:
    style = rng.random()
    if style < 0.86:
        return chinese_name(rng)
    if style < 0.9:
        return rng.choice(words("surnames")[0]) + rng.choice(["先生", "女士", "老师", "阿姨", "师傅", "经理"])
    return english_name(rng)


def company(rng: Random) -> str:
    city = rng.choice(words("cities")) if rng.random() < 0.6 else ""
    name = "".join(rng.choices(LEVEL_1, k=rng.choice([2, 2, 3])))
    form = rng.choice(["有限公司", "有限责任公司", "股份有限公司", "集团", "公司", "厂", "中心"])
    return f"{city}{name}{rng.choice(words('company'))}{form}"


def english_company(rng: Random) -> str:
    tail = rng.choice(["Ltd", "Inc.", "GmbH", "LLC", "& Co.", "Group", "Labs", "Trading", "Works", "Partners"])
    first, second = latin(rng).capitalize(), latin(rng).capitalize()
    return rng.choice([f"{first} {second} {tail}", f"{first} {tail}", f"{first} & {second} {tail}"])


def code(rng: Random) -> str:
    return rng.choice(
        [
            letters(rng, 2, UPPER) + digits(rng, 6),
            digits(rng, rng.randint(5, 12)),
            f"{letters(rng, 3, UPPER)}-{digits(rng, 4)}",
            ":".join(letters(rng, 2, "0123456789ABCDEF") for _ in range(6)),
            f"{rng.choice(UPPER)}{rng.randint(1, 99)}-{rng.randint(1, 99)}",
        ]
    )


def host(rng: Random) -> str:
    if rng.random() < 0.5:
        return ".".join(str(rng.randint(1, 254)) for _ in range(4))
    return rng.choice(["localhost", _own_domain(rng), "db." + _own_domain(rng)])


def number_with_unit(rng: Random) -> str:
    units = ["元", "公斤", "米", "℃", "%", "天", "小时", "人", "次", "㎡", "kg", " mm", "件", "", ""]
    return f"{rng.randint(1, 9999)}{rng.choice(['', '.' + digits(rng, 1)])}{rng.choice(units)}"


def phrase(rng: Random) -> str:
    parts = [
        rng.choice([junk(rng), rng.choice(words("nouns_zh")), rng.choice(words("adj_zh"))])
        for _ in range(rng.randint(1, 3))
    ]
    return "".join(parts)


def english_phrase(rng: Random) -> str:
    return " ".join(latin(rng) for _ in range(rng.randint(1, 3)))


KINDS: dict[str, Callable[[Random], str]] = {
    "phone": phone,
    "email": email,
    "account": account,
    "password": password,
    "order": order,
    "date": date,
    "amount": amount,
    "person": person,
    "address": address,
    "contract_no": order,
    "party_a": company,
    "party_b": company,
    "sign_date": date,
    "sum": amount,
    "term": phrase,
    "code": code,
    "measure": number_with_unit,
    "phrase": phrase,
    "english": english_phrase,
    "company": company,
    "english_company": english_company,
    "landline": landline,
    "host": host,
    "name": chinese_name,
    "english_name": english_name,
    "english_address": english_address,
}
