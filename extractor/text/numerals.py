"""Numbers, dates and times as people write them, in Chinese and English, and where they occur in a text.

Values are exact (`Decimal`, calendar days). What is ambiguous (`3万` in a column of 万元, `5/3/2024`) is yielded once
for each value; what is less than a whole date (`2024年3月`) is not. Texts are expected to be `narrow`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time, timedelta, timezone
from decimal import Decimal

from extractor.data import Span

_MINUS = dict.fromkeys((0x2212, 0xFE63, 0x2011, 0x2010), 0x2D)
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, **_MINUS}


def narrow(text: str) -> str:
    """Return the text with full-width ASCII made narrow, character by character, so that offsets stay."""
    return text.translate(_NARROW)


# Numbers

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
_CHINESE = "".join((*_DIGITS, *_SCALES, *_TENS))

_NUMERAL = re.compile(
    rf"""(?P<arabic>(?:\d{{1,3}}(?:[,_]\d{{3}})++(?![\d_])|\d++)(?:\.\d++)?)
         (?P<scale>\s?[{"".join(_SCALES)}]{{1,3}}|[%‰])?
    |   (?P<chinese>[{_CHINESE}]++(?:点[{_ANY_DIGIT}]++[{"".join(_MYRIADS)}]?)?)""",
    re.VERBOSE | re.ASCII,
)
_AMOUNT = rf"(?:(?<![\d.,])(?:\d{{1,3}}(?:,\d{{3}})++|\d++)(?:\.\d++)?|(?<![{_CHINESE}])[{_CHINESE}]++)"
_MONEY = re.compile(
    rf"(?P<yuan>{_AMOUNT})\s?[元圆圓块](?=[\d{_ANY_DIGIT}])(?:(?P<jiao>[\d{_ANY_DIGIT}])角)?(?:[零〇]?(?P<fen>[\d{_ANY_DIGIT}])分)?",
    re.ASCII,
)
_MIXED = re.compile(
    rf"(?<![\d.,])\d++[{''.join(_SCALES)}]{{1,3}}(?:\d++[{''.join(_SCALES)}]{{1,3}}){{1,8}}+(?!\d)", re.ASCII
)
_SIGNED = re.compile(rf"(?P<sign>负|零下|百分之|千分之)(?P<amount>{_AMOUNT}(?:点[{_ANY_DIGIT}]++)?)", re.ASCII)
_FACTORS = {"负": Decimal(-1), "零下": Decimal(-1), "百分之": Decimal("0.01"), "千分之": Decimal("0.001")}


def numbers(text: str) -> Iterator[tuple[Span, Decimal]]:
    """Yield all numbers of a text: `1,200.50`, `3万`, `3万5千`, `5%`, `一百二十`, `壹佰元伍角`, `二〇二四`, `负五`."""
    for match in _NUMERAL.finditer(text):
        if match["chinese"]:
            value = chinese_number(match["chinese"])
            if value is not None:
                yield match.span(), value
            continue
        bare = Decimal(match["arabic"].replace(",", "").replace("_", ""))
        for start, end, sign in _signed(text, *match.span("arabic")):
            yield (start, end), sign * bare
        if match["scale"]:
            for start, end, sign in _signed(text, *match.span()):
                yield (start, end), sign * bare * _scale(match["scale"].strip())
    yield from _composed(text)


_CURRENCIES = "¥$€£￥"
_AFTER_SIGN = re.compile(r"\s?[%‰℃°]")


def _signed(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the range of a number with its sign, and the sign as a factor: each way to read it.

    A minus belongs to the number (`-5`, `-¥5`, `: -5`), but between digits or letters it is a hyphen (`3-5`, `A-5`).
    After another character, as a Chinese one, it may be either, unless what follows is a percentage or a temperature.
    A number alone in brackets may be a loss, as accountants write it, or just in brackets.
    """
    sign_at = start - 1 - (start > 1 and text[start - 1] in _CURRENCIES)
    if sign_at >= 0 and text[sign_at] in "+-":
        before = text[sign_at - 1] if sign_at else " "
        factor = -1 if text[sign_at] == "-" else 1
        hyphen = before.isascii() and (before.isalnum() or before in ")-")
        if not hyphen:
            yield sign_at, end, factor
        if hyphen or (before.isalpha() and not _AFTER_SIGN.match(text, end)):
            yield start, end, 1
        return
    yield start, end, 1
    if text[start - 1 : start] == "(" and text[end : end + 1] == ")":
        yield start - 1, end + 1, -1


def _composed(text: str) -> Iterator[tuple[Span, Decimal]]:
    """Yield numbers that are composed of several: `12元3角`, `3万5千`, `百分之五`, `负五`."""
    for match in _MONEY.finditer(text):
        yuan = _amount(match["yuan"])
        if yuan is not None and (match["jiao"] or match["fen"]):
            coins = (_count(match[name] or "0") for name in ("jiao", "fen"))
            yield match.span(), yuan + sum(count * coin for count, coin in zip(coins, _COINS, strict=True))
    for match in _MIXED.finditer(text):
        sections = re.findall(r"(\d+)(\D+)", match[0])
        yield match.span(), sum((Decimal(digits) * _scale(units) for digits, units in sections), Decimal(0))
    for match in _SIGNED.finditer(text):
        value = _amount(match["amount"])
        if value is not None:
            yield match.span(), value * _FACTORS[match["sign"]]


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


# Dates and times

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<m>{'|'.join(_MONTHS)})[a-z]{{0,6}}\.?"
_CHINESE_DAY = "[零〇○一二三四五六七八九十廿卅壹贰叁肆伍陆柒捌玖拾]"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"(?<!\d)(?P<y>\d{4})\s?[-/.年]\s?(?P<m>\d{1,2})\s?[-/.月]\s?(?P<d>\d{1,2})(?!\d)(?:\s?[日号])?",
        rf"(?P<y>{_CHINESE_DAY}{{4}})年(?P<m>{_CHINESE_DAY}{{1,4}})月(?P<d>{_CHINESE_DAY}{{1,4}})[日号]?",
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?!\d)",
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:\sof)?[\s-]{_MONTH},?[\s-](?P<y>\d{{4}})(?!\d)",
        rf"(?<![a-z]){_MONTH}\s(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<y>\d{{4}})(?!\d)",
        r"(?<!\d)(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<y>\d{4})(?!\d)",
        r"(?<!\d)(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{4})(?!\d)",
    )
)
_ZONE = re.compile(
    r"\s?(?:(?P<utc>Z|UTC|GMT)(?![\w+-])|(?:UTC|GMT)?(?P<sign>[+-])(?P<h>\d{2}):?(?P<m>\d{2})(?!\d))", re.ASCII
)
_CLOCK = re.compile(
    r"""(?<!\d)(?:(?P<late>下午|晚上|傍晚)|(?P<night>凌晨)|上午|早上|中午)?\s?(?P<h>\d{1,2})\s?(?:[:时点點]\s?(?P<m>\d{1,2})|[时点點])
        (?:\s?[:分]\s?(?P<s>\d{1,2}))?(?:\s?[分秒])?(?:\s?(?:(?P<pm>pm|p\.m\.)|(?P<am>am\b|a\.m\.)))?""",
    re.VERBOSE | re.IGNORECASE,
)


def dates(text: str) -> Iterator[tuple[Span, date]]:
    """Yield all dates of a text that name year, month and day."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            try:
                yield match.span(), date(_count(match["y"]), _count(match["m"]), _count(match["d"]))
            except ValueError:  # not a day of the calendar
                continue


def clocks(text: str) -> Iterator[tuple[Span, time]]:
    """Yield all times of day of a text; seconds that are not named are 0."""
    for match in _CLOCK.finditer(text):
        hour = int(match["h"])
        hour += 12 if (match["late"] or match["pm"]) and hour < 12 else 0
        hour = 0 if (match["am"] or match["night"]) and hour == 12 else hour
        try:
            yield match.span(), time(hour, int(match["m"] or 0), int(match["s"] or 0))
        except ValueError:  # 25:61
            continue


def zone_after(text: str, place: int) -> tuple[int, timezone] | None:
    """Return the time zone that is written right after a time, and where it ends; None where there is none."""
    match = _ZONE.match(text, place)
    if match is None:
        return None
    offset = timedelta(hours=int(match["h"] or 0), minutes=int(match["m"] or 0))
    if offset >= timedelta(hours=24):
        return None
    return match.end(), timezone(-offset if match["sign"] == "-" else offset)


def _count(text: str) -> int:
    """Return the number of a part of a date: digits, a Chinese numeral or the name of a month."""
    if text.isdecimal():
        return int(text)
    if text.lower() in _MONTHS:
        return _MONTHS.index(text.lower()) + 1
    value = chinese_number(text)
    return int(value) if value is not None else 0
