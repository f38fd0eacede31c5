"""Numbers as people write them, in digits, Chinese numerals and English words, and where they occur in a text.

Values are exact (`Decimal`). What is ambiguous (`3万` in a column of 万元) is yielded once for each value. Texts are
expected to be `narrow`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from extractor.data import Span

_MINUS = dict.fromkeys((0x2212, 0xFE63, 0x2011, 0x2010), 0x2D)
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, **_MINUS}


def narrow(text: str) -> str:
    """Return the text with full-width ASCII made narrow, character by character, so that offsets stay."""
    return text.translate(_NARROW)


_DIGITS: dict[str, int] = {
    **dict(zip("零一二三四五六七八九", range(10), strict=True)),
    **dict(zip("〇壹贰叁肆伍陆柒捌玖", range(10), strict=True)),
    **{"○": 0, "两": 2, "貳": 2, "參": 3, "陸": 6},
}
_UNITS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_SCALES = _UNITS | _MYRIADS
_COINS = (Decimal("0.1"), Decimal("0.01"))
_PERCENT = {"%": Decimal("0.01"), "‰": Decimal("0.001")}
_TENS = {"廿": "二十", "卅": "三十"}
_ANY_DIGIT = "".join(_DIGITS)
CHINESE = "".join((*_DIGITS, *_SCALES, *_TENS))

_GAP = r"[\s\u00a0\u2009\u202f]"
_UNIT = (
    rf"{_GAP}?(?:[%‰€£$°℃₽]|zł|Kč|(?:EUR|USD|CHF|PLN|CZK|Euros?|kr|Ft|lei|руб|kg|km|cm|mm|ml|kWh|kW|MB|GB|Mio|Mrd|ha"
    r"|[mglth][²³]?)(?!\w))"
)
_GROUPED = rf"""
        \d{{1,3}}(?:\.\d{{3}})++,\d++ | \d{{1,3}}(?:\.\d{{3}}){{2,}}+        # 1.200,50  1.200.000
    |   \d{{1,3}}(?:['’]\d{{3}})++(?:[.,]\d++)?                              # 1'200.50
    |   \d{{1,3}}(?:[\u00a0\u2009\u202f]\d{{3}})++(?:[.,]\d++)?              # 1 200,50
    |   \d{{1,3}}(?:\x20\d{{3}})++(?:,\d{{1,2}}(?![\d,]) | (?={_UNIT}))      # 1 200,50  1 200 kg, with plain spaces
    |   \d{{1,15}},\d{{1,2}}(?={_UNIT})
    |   (?:(?<=[€£$])|(?<=[€£$]\x20))\d{{1,15}},\d{{2}}(?![\d,])
"""
"""Digits as continental Europe writes them, where they cannot be taken for anything else: `1.200` alone can."""
_INDIAN = r"\d{1,2}(?:,\d{2}(?!\d))++,\d{3}(?:\.\d++)?"
_ENGLISH_SCALES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "lakh": 10**5,
    "crore": 10**7, "k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9,
}  # fmt: skip
_SCALE = rf"""
        \s?[{"".join(_SCALES)}]{{1,3}} | {_GAP}?[%‰] | \s?(?i:percent|per\x20cent)(?![A-Za-z])
    |   [\s-]?(?i:(?:hundred|thousand|million|billion|trillion|lakh|crore)s?)(?![A-Za-z])
    |   (?:[kKM]|[mb]n)(?![A-Za-z0-9])
"""
_NUMERAL = rf"""
        (?:(?<![\d.,'’])(?:(?P<grouped>{_GROUPED})|(?P<indian>{_INDIAN}))(?![\d'’]|[.,]\d)
        |   (?P<arabic>(?:\d{{1,3}}(?:[,_]\d{{3}})++(?![\d_])|\d++)(?:\.\d++)?))
         (?P<scale>{_SCALE})?
    |   (?P<chinese>[{CHINESE}]++(?:点[{_ANY_DIGIT}]++[{"".join(_MYRIADS)}]?)?)
"""
_AMOUNT = rf"(?:(?<![\d.,])(?:\d{{1,3}}(?:,\d{{3}})++|\d++)(?:\.\d++)?|(?<![{CHINESE}])[{CHINESE}]++)"
_MONEY = (
    rf"(?P<yuan>{_AMOUNT})\s?[元圆圓块](?=[\d{_ANY_DIGIT}])"
    rf"(?:(?P<jiao>[\d{_ANY_DIGIT}])角)?(?:[零〇]?(?P<fen>[\d{_ANY_DIGIT}])分)?"
)
_MIXED = rf"(?<![\d.,])\d++[{''.join(_SCALES)}]{{1,3}}(?:\d++[{''.join(_SCALES)}]{{1,3}}){{1,8}}+(?!\d)"
_SIGNED = rf"(?P<sign>负|零下|百分之|千分之|(?<![A-Za-z])[Mm]inus\s)(?P<amount>{_AMOUNT}(?:点[{_ANY_DIGIT}]++)?)"
_FACTORS = {"百分之": Decimal("0.01"), "千分之": Decimal("0.001")}


@cache
def compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: to compile all with the import would take as long as a start may."""
    return re.compile(pattern, flags)


def numbers(text: str) -> Iterator[tuple[Span, Decimal]]:
    """Yield all numbers of a text: `1,200.50`, `3万5千`, `5%`, `一百二十`, `壹佰元伍角`, `负五`, `twenty-five`."""
    for match in compiled(_NUMERAL, re.VERBOSE | re.ASCII).finditer(text):
        if match["chinese"]:
            value = chinese_number(match["chinese"])
            if value is not None:
                yield match.span(), value
            continue
        bare, (begin, stop) = _plain(match), (match.start(), match.start("scale") if match["scale"] else match.end())
        for start, end, sign in _signed(text, begin, stop):
            yield (start, end), sign * bare
        if "\u00a0" in match[0]:  # which is a common space as well
            for part in re.finditer(r"[0-9]+", match[0]):
                yield (begin + part.start(), begin + part.end()), Decimal(part[0])
        scale, over = _short_scale(text, begin, stop) if not match["scale"] else (_scale(match["scale"]), match.end())
        if scale != 1:
            for start, end, sign in _signed(text, begin, over):
                yield (start, end), sign * bare * scale
    yield from _composed(text)
    yield from english_numbers(text)


def _plain(match: re.Match[str]) -> Decimal:
    """Return the value of digits with their separators."""
    grouped = match["grouped"]
    if not grouped:
        return Decimal((match["indian"] or match["arabic"]).replace(",", "").replace("_", ""))
    digits = re.sub(r"[^\d.,]", "", grouped)
    if "," in digits:
        return Decimal(digits.replace(".", "").replace(",", "."))
    return Decimal(digits if digits.count(".") == 1 else digits.replace(".", ""))


def _short_scale(text: str, start: int, end: int) -> tuple[Decimal, int]:
    """Return the scale of an amount of money that a letter shortens (`$3m`), and where it ends."""
    unit, after = text[end : end + 1], text[end + 1 : end + 2]
    priced = text[max(0, start - 2) : start].rstrip()[-1:] in _MONEY_SIGNS
    scale = _ENGLISH_SCALES[unit.lower()] if priced and unit and unit in "mMbB" and not after.isalnum() else 1
    return Decimal(scale), end + 1


_MONEY_SIGNS = frozenset("¥$€£￥")
_CURRENCY = "(?:USD|EUR|GBP|CHF|CNY|RMB|JPY|HKD|CAD|AUD|INR|MXN|BRL)"
_CODE = re.compile(rf"(?<![A-Za-z]){_CURRENCY}$")
_PRICED = re.compile(rf"(?:[¥$€£]|(?<![A-Za-z]){_CURRENCY})[\s\u00a0]?$")
_AFTER_SIGN = re.compile(rf"{_GAP}?[%‰℃°]")


def _signed(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the range of a number with its sign, and the sign as a factor: each way to read it.

    A minus belongs to the number (`-5`, `-¥5`, `EUR-5`, `: -5`), but between digits or letters it is a hyphen (`3-5`,
    `A-5`). After another character, as a Chinese one, it may be either, unless a percentage or a temperature follows.
    A number alone in brackets may be a loss, as accountants write it, or just in brackets.
    """
    priced = _PRICED.search(text, max(0, start - 5), start)
    sign_at = (start if priced is None else priced.start()) - 1
    if sign_at < 0 or text[sign_at] not in "+-":
        sign_at = start - 1
    if sign_at >= 0 and text[sign_at] in "+-":
        before = text[sign_at - 1] if sign_at and not _CODE.search(text, max(0, sign_at - 4), sign_at) else " "
        factor = -1 if text[sign_at] == "-" else 1
        hyphen = before.isascii() and (before.isalnum() or before in ")-")
        if not hyphen:
            yield sign_at, end, factor
        if hyphen or (before.isalpha() and not _AFTER_SIGN.match(text, end)):
            yield start, end, 1
        return
    yield start, end, 1
    opened = start - 1 - (text[start - 1 : start] in _MONEY_SIGNS)
    if text[max(opened, 0) : start][:1] == "(" and text[end : end + 1] == ")":
        yield opened, end + 1, -1


def _composed(text: str) -> Iterator[tuple[Span, Decimal]]:
    """Yield numbers that are composed of several: `12元3角`, `3万5千`, `百分之五`, `负五`."""
    for match in compiled(_MONEY, re.ASCII).finditer(text):
        yuan = _amount(match["yuan"])
        if yuan is not None and (match["jiao"] or match["fen"]):
            coins = (_amount(match[name] or "0") or 0 for name in ("jiao", "fen"))
            yield match.span(), yuan + sum(count * coin for count, coin in zip(coins, _COINS, strict=True))
    for match in compiled(_MIXED, re.ASCII).finditer(text):
        sections = re.findall(r"(\d+)(\D+)", match[0])
        yield match.span(), sum((Decimal(digits) * _scale(units) for digits, units in sections), Decimal(0))
    for match in compiled(_SIGNED, re.ASCII).finditer(text):
        value = _amount(match["amount"])
        if value is not None:
            yield match.span(), value * _FACTORS.get(match["sign"], Decimal(-1))


def _amount(text: str) -> Decimal | None:
    return Decimal(text.replace(",", "")) if text[0] in "0123456789" else chinese_number(text)


def chinese_number(text: str) -> Decimal | None:
    """Return the value of a Chinese numeral, or of digits in a row (`二〇二四`); None if it is neither."""
    whole, _, fraction = text.partition("点")
    scale = _MYRIADS.get(fraction[-1:], 1)
    fraction = fraction if scale == 1 else fraction[:-1]
    for short, tens in _TENS.items():
        whole = whole.replace(short, tens)
    if any(char in _SCALES for char in whole):
        digits = str(_with_units(whole)) if any(char in _DIGITS or char in "十拾" for char in whole) else ""
    else:
        digits = "".join(str(_DIGITS[char]) for char in whole)
    if not digits or len(digits) > 50:
        return None
    return Decimal(f"{digits}.{''.join(str(_DIGITS[char]) for char in fraction)}" if fraction else digits) * scale


def _scale(units: str) -> Decimal:
    """Return what is behind a number as a factor: `万`, `千万`, `%`, `percent`, `million`."""
    units = units.strip(" -\t\n\r\u00a0\u2009\u202f")
    if units[0].isascii() and units[0].isalpha():
        name = units.lower()
        return (
            _PERCENT["%"]
            if name.startswith("per")
            else Decimal(_ENGLISH_SCALES.get(name) or _ENGLISH_SCALES[name[:-1]])
        )
    scale = Decimal(1)
    for unit in units:
        scale *= _PERCENT.get(unit) or _SCALES[unit]
    return scale


def _with_units(text: str) -> int:
    """`一亿二千万零五十`: digits times units, added up below each 万 and 亿. `一万二` leaves out the last unit."""
    total = section = digit = 0
    for char in text[:50]:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _UNITS:
            section += (digit or 1) * _UNITS[char]
            digit = 0
        elif _MYRIADS[char] == 10**8:
            total, section, digit = (total + section + digit) * 10**8, 0, 0
        else:
            total, section, digit = total + (section + digit) * 10**4, 0, 0
    left_out = _SCALES.get(text[-2:-1], 1) // 10 if len(text) <= 50 else 1
    return total + section + digit * max(left_out, 1)


# English words

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS_EN = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS_EN, start=2)
}
_BELOW_20 = "|".join(sorted(_ONES, key=len, reverse=True))
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS_EN)})(?:[\s-](?:{'|'.join(_ONES[1:10])}))?|{_BELOW_20})"
BELOW_1000 = rf"(?:(?:{_BELOW_100}|a)\s(?:hundred(?:\s(?:and\s)?{_BELOW_100})?|dozen)|{_BELOW_100})"
_SCALED = rf"(?:{BELOW_1000}|a)\s(?:thousand|million|billion|trillion)"
_ENGLISH = (
    rf"(?<![A-Za-z])(?=[aefnostz])(?<!no\s)"
    rf"(?:{_SCALED}(?:,?\s{_SCALED}){{0,3}}(?:\s(?:and\s)?{BELOW_1000})?|{BELOW_1000})(?![A-Za-z])"
)


def english_numbers(text: str) -> Iterator[tuple[Span, Decimal]]:
    """Yield the numbers that are written as English words: `twenty-five`, `a hundred and two`, `three million`."""
    for match in compiled(_ENGLISH, re.IGNORECASE | re.ASCII).finditer(text):
        value = _in_words(match[0])
        if value is not None:
            yield match.span(), Decimal(value)


def english_number(text: str) -> Decimal:
    """Return the value of a text that `BELOW_1000` matches."""
    return Decimal(_in_words(text) or 0)


def _in_words(text: str) -> int | None:
    """Return the value of words in order; None where scales do not fall (`two million one million`)."""
    total, part, last = 0, 0, 10**15
    for word in re.findall("[a-z]+", text.lower()):
        if word in _WORDS:
            part += _WORDS[word]
        elif word == "hundred":
            part = (part or 1) * 100
        elif word == "dozen":
            part = (part or 1) * 12
        elif word not in ("a", "and"):
            scale = _ENGLISH_SCALES[word]
            if scale >= last:
                return None
            total, part, last = total + (part or 1) * scale, 0, scale
    return total + part
