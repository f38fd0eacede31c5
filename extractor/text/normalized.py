"""One notation for what people write in many: ISO 8601 dates, plain numbers, amounts in yuan, E.164 phone numbers.

A text has a normalized form where there is exactly one way to read it, and none where that would take a guess: not
`3/4/2024`, `24-3-5` or `yesterday`, no amount without a currency, no phone number without its area. What stands right
before and after it in the document has a say: `12.5` is an amount in yuan where `万元` follows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from extractor.data import Normalization, Span
from extractor.text.meaning import amount
from extractor.text.moments import clocks, dates, zone_after

REACH = 12
"""Characters before and after a text that have a say."""

LONGEST = 60
MOST_DIGITS = 28
"""Of a number: with so many, `Decimal` is exact."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, and what stands right before and after it, all in narrow characters."""

    text: str
    before: str = ""
    after: str = ""

    @classmethod
    def at(cls, text: str, span: Span) -> Passage:
        """Return the passage at a place of a document."""
        start, end = span
        parts = text[start:end], text[max(0, start - REACH) : start], text[end : end + REACH]
        return cls(*(unicodedata.normalize("NFKC", part) for part in parts))


def normalized(kind: Normalization, passage: Passage) -> str | None:
    """Return the normalized form of a text; None where it is not certain."""
    stripped = Passage(passage.text.strip(), passage.before, passage.after)
    return _READERS[kind](stripped) if 0 < len(stripped.text) <= LONGEST else None


# Dates

_WEEKDAYS = {
    **dict(zip("一二三四五六日", range(7), strict=True)),
    **{"天": 6},
    **dict(zip(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), range(7), strict=True)),
}
_WEEKDAY = re.compile(
    r"[\s,]*\(?(?:(?:星期|周|礼拜)(?P<zh>[一二三四五六日天])|\b(?P<en>mon|tue|wed|thu|fri|sat|sun)(?:[a-z]{3,6})?\b\.?)\)?[\s,]*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:,|\bat\b)?\s*", re.IGNORECASE)
_MIDNIGHT_OR_NOON = re.compile(r"^(?:晚上|傍晚)\s?12|^(?:下午|晚上|傍晚)\s?0|^0?0\D.*p\.?m", re.IGNORECASE)


def _date(passage: Passage) -> str | None:
    """Return a day, or a moment with the time zone that is written, as ISO 8601. A day of the week has to agree."""
    weekday = _WEEKDAY.search(passage.text)
    text = _WEEKDAY.sub(" ", passage.text, count=1).strip() if weekday else passage.text
    found = _day(text) or _moment(text)
    if found is None or (weekday and found.weekday() != _WEEKDAYS[(weekday["zh"] or weekday["en"]).lower()]):
        return None
    return found.isoformat()


def _day(text: str) -> date | None:
    days = {day for span, day in dates(text) if span == (0, len(text))}
    return days.pop() if len(days) == 1 else None


def _moment(text: str) -> datetime | None:
    if ":" in text:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    starts = {(end, day) for (start, end), day in dates(text) if start == 0}
    moments = {datetime.combine(day, clock) for end, day in starts if (clock := _clock(text, end))}
    return moments.pop() if len(moments) == 1 else None


def _clock(text: str, end: int) -> time | None:
    """Return the time of day, with its zone, that a date which ends there is followed by, if nothing else follows."""
    between = _BETWEEN.match(text, end)
    rest = text[between.end() if between else end :]
    if _MIDNIGHT_OR_NOON.match(rest):
        return None
    found: set[time] = set()
    for (start, stop), clock in clocks(rest):
        zone = zone_after(rest, stop)
        if start == 0 and stop == len(rest):
            found.add(clock)
        elif start == 0 and zone and zone[0] == len(rest):
            found.add(clock.replace(tzinfo=zone[1]))
    return found.pop() if len(found) == 1 else None


# Numbers and amounts

_CODE = re.compile(r"[+-]?0\d")
_GOES_ON = re.compile(
    r"\s?(?:[十百千万萬亿億拾佰仟%‰点]|[.,'’]?\d|(?:hundred|thousand|million|billion|trillion|lakh|crore|per\s?cent))"
    r"|[kM]\b|-(?:one|two|three|four|five|six|seven|eight|nine)\b",
    re.IGNORECASE,
)
_CAME_BEFORE = re.compile(r"(?:\d[.,'’]?|[-负]|百分之|千分之|零下|minus )$", re.IGNORECASE)


def _number(passage: Passage) -> str | None:
    if _GOES_ON.match(passage.after) or _CAME_BEFORE.search(passage.before):
        return None
    return _plain(_value(passage.text))


def _value(text: str) -> Decimal | None:
    """Return the number that a text is. One in brackets may be a loss, and digits that begin with 0 are a code."""
    if text.startswith("(") or _CODE.match(text) or sum(map(str.isdecimal, text)) > MOST_DIGITS:
        return None
    return amount(text)


def _plain(value: Decimal | None) -> str | None:
    """Return a number without an exponent, and without zeros at the end of a fraction."""
    if value is None:
        return None
    digits = format(value, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


_SIGN = r"[¥￥]"
_YUAN_BEFORE = re.compile(rf"(?:人民币|RMB|CNY)?\s?(?:\(大写\))?:?\s?(?:{_SIGN}\s?)?", re.IGNORECASE)
_YUAN_AFTER = re.compile(r"\s?(?:元|圆|圓|块钱|块|yuan\b|RMB\b|CNY\b)(?:人民币)?", re.IGNORECASE)
_WHOLE = re.compile(r"[整正]$")
_COINS_FOLLOW = re.compile(r"\s?[\d零〇一二两三四五六七八九壹贰叁肆伍陆柒捌玖]{1,2}\s?[角毛分]")
_SCALE_AFTER = re.compile(r"\s?[十百千万亿]{1,2}(?=\s?[元圆圓块])")
_FOREIGN_BEFORE = re.compile(
    r"(?:[$€£₩]|USD|HKD|TWD|JPY|EUR|GBP|KRW|(?:美|港|日|欧|韩|台|澳|加|新)[元币]|新台币|英镑|卢布|JP¥?)\s?$",
    re.IGNORECASE,
)


def _money(passage: Passage) -> str | None:
    """Return an amount in yuan that names its currency, in its own text or right beside it."""
    text, before, after = passage.text, passage.before, passage.after
    if _FOREIGN_BEFORE.search(before) or _COINS_FOLLOW.match(after):
        return None
    prefix = _YUAN_BEFORE.match(text)
    sign, start = ("-" if text[:1] == "-" else ""), prefix.end() if prefix else 0
    if sign and (signed := _YUAN_BEFORE.match(text, 1)):
        start = signed.end()
    body = text[start:]
    if sign and body.startswith("-"):
        return None
    inside = start > len(sign)
    if scale := _SCALE_AFTER.match(after):
        body, after = body + scale[0].strip(), after[scale.end() :]
    elif _GOES_ON.match(after) or _CAME_BEFORE.search(before):
        return None
    return _yuan(sign + body, inside or _is_yuan_beside(before, after))


def _is_yuan_beside(before: str, after: str) -> bool:
    return re.search(rf"(?:{_SIGN}|人民币|RMB|CNY)\s?$", before, re.IGNORECASE) is not None or (
        _YUAN_AFTER.match(after) is not None
    )


def _yuan(text: str, named: bool) -> str | None:
    """Return an amount; `named` says that its currency is known already."""
    bare = _WHOLE.sub("", text)
    if whole := re.fullmatch(rf"(.+?){_YUAN_AFTER.pattern}", bare, re.IGNORECASE):
        return _plain(_value(whole[1].strip()))
    with_coins = re.search(r"[元圆圓块].*[角分]$", bare) is not None
    return _plain(_value(bare)) if named or with_coins else None


# Phone numbers

_PHONE = re.compile(r"\+?[\d\s().·-]+")
_TRUNK = re.compile(r"\(0\)")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(?:(?:10|2\d)[2-8]\d{7}|[3-9]\d{2}[2-8]\d{6,7})")
_CHINA = "86"
_OTHER_COUNTRY = re.compile(r"\+(?!86\D)\d{1,3}[\s-]*$")


def _phone(passage: Passage) -> str | None:
    """Return an international number, or one of mainland China: of a mobile, or with the area code."""
    text = passage.text
    if not _PHONE.fullmatch(text) or _OTHER_COUNTRY.search(passage.before):
        return None
    digits = "".join(re.findall(r"\d", _TRUNK.sub("", text)))
    if text.startswith("+") or digits.startswith("00"):
        return _international(digits.removeprefix("00") if digits.startswith("00") else digits)
    if digits.startswith(_CHINA) and _MOBILE.fullmatch(digits, 2):
        return f"+{digits}"
    return _chinese(digits)


def _international(digits: str) -> str | None:
    if digits.startswith(_CHINA):
        rest = digits.removeprefix(_CHINA)
        return _chinese(rest) or _chinese(f"0{rest}")
    return f"+{digits}" if 8 <= len(digits) <= 15 and digits[0] != "0" else None


def _chinese(digits: str) -> str | None:
    if _MOBILE.fullmatch(digits):
        return f"+{_CHINA}{digits}"
    return f"+{_CHINA}{digits[1:]}" if _LANDLINE.fullmatch(digits) else None


_READERS: Mapping[Normalization, Callable[[Passage], str | None]] = {
    "date": _date,
    "number": _number,
    "money": _money,
    "phone": _phone,
}
