"""Numbers and dates as a spreadsheet shows them: number format codes, as far as people use them.

The grammar is that of ECMA-376 part 1, section 18.8.31. What depends on the locale of whoever looks (the short date) is
shown as an ISO date. Fractions, colours, and the spelled-out numbers of East Asia are not supported: digits come out.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import NamedTuple

Moment = datetime.date | datetime.time

LOCAL_DATES = frozenset(("mm-dd-yy", "[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy"))
GENERAL = frozenset(("", "general", "@"))
STORED_DIGITS = 15
# Groups of both grammars: quoted text, an escaped character, a space as wide as a character, a currency, a placeholder,
# and any other character, which is literal.
LITERAL = r'"([^"]*)"|[\\!](.)|(_).|\*.|\[\$([^\]-]*)[^\]]*\]'
IN_NUMBERS = re.compile(LITERAL + r"|\[[^\]]*\]|(E[+-]0+|[0#?.,%/]|general)|(.)", re.IGNORECASE | re.DOTALL)
IN_DATES = re.compile(
    LITERAL + r"|(\[[hms]+\]|am/pm|a/p|上午/下午|y+|e+|m+|d+|a{3,4}|h+|s+|\.0+)|\[[^\]]*\]|(.)",
    re.IGNORECASE | re.DOTALL,
)
SEPARATOR = re.compile(r'(?<!\\);(?=(?:[^"]*"[^"]*")*[^"]*$)')
CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?[\d.]+)\]")
WEEKDAY = re.compile(r"^(?:\[[^\]]*\])*a{3,4}$", re.IGNORECASE)
EPOCH, LAST_DAY = datetime.date(1899, 12, 30), 2_958_466
WEEKDAYS = "一二三四五六日"
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def shown(value: object, code: str) -> str:
    """Return a cell's value as text in a number format."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.timedelta):
        return _duration(value, code)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return _moment(value, code)
    if isinstance(value, int | float):
        return _number(value, code)
    return str(value)


class Token(NamedTuple):
    """A part of a format: a placeholder for a part of the value, or literal text."""

    is_place: bool
    text: str


@lru_cache(maxsize=256)
def _tokens(section: str, grammar: re.Pattern[str]) -> Sequence[Token]:
    """Split a format by one of the two grammars, which have the same six groups.

    What is quoted or escaped is text, `_` leaves a space, `*` and colours show nothing, `[$¥-804]` is a currency.
    """
    found = []
    for match in grammar.finditer(section):
        quoted, escaped, space, currency, place, other = match.groups()
        if place is not None:
            found.append(Token(True, place.lower()))
        else:
            found.append(Token(False, quoted or escaped or (space and " ") or currency or other or ""))
    return found


# Numbers


def _number(value: float, code: str) -> str:
    if code.lower() in GENERAL or not abs(value) < float("inf"):
        return _general(value)
    section, value = _section(value, code)
    if WEEKDAY.search(section) and 0 <= value < LAST_DAY:  # a date by a format that libraries do not know as one
        return _moment(EPOCH + datetime.timedelta(days=int(value)), section)
    tokens = _tokens(section, IN_NUMBERS)
    places = [token.text for token in tokens if token.is_place]
    if "general" in places or "/" in places:
        text = (_general(value) if token.text in ("general", "/") else token.text for token in tokens)
        return "".join(each for each, token in zip(text, tokens, strict=True) if token.text not in "0#?")
    return _filled(value, tokens)


def _general(value: float) -> str:
    """Return all digits that are stored, without an exponent where there are not more than those."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.{STORED_DIGITS}g}"
    return f"{Decimal(text):f}" if "e" in text and 1e-9 < abs(value) < 1e18 else text


def _section(value: float, code: str) -> tuple[str, float]:
    """Return the section of a format for a value, and the value to show in it.

    Sections are for positive, negative and zero values, or have conditions. The one for negative values has its own
    sign.
    """
    sections = SEPARATOR.split(code)
    for section in sections:
        if (condition := CONDITION.search(section)) and _holds(value, condition[1], float(condition[2])):
            return section, value
    plain = [section for section in sections if not CONDITION.search(section)]
    if len(plain) < len(sections):
        return (plain or sections)[-1], value
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    return sections[2 if value == 0 and len(sections) > 2 else 0], value


def _holds(value: float, relation: str, limit: float) -> bool:
    order = (value > limit) - (value < limit)
    return order in {"<": (-1,), "<=": (-1, 0), "=": (0,), "<>": (-1, 1), ">": (1,), ">=": (0, 1)}[relation]


def _filled(value: float, tokens: Sequence[Token]) -> str:
    """Return the digits of a number in the placeholders of a format. Each comma behind the last one divides by 1000."""
    layout = "".join(token.text for token in tokens if token.is_place)
    whole, _, part = layout.replace("%", "").partition(".")
    if "e" in part or "e" in whole:
        return f"{value:.{len(part.partition('e')[0])}E}"
    places = layout.replace("%", "")
    thousands = len(places) - len(places.rstrip(","))
    part = part.rstrip(",")
    number = (
        Decimal(value if isinstance(value, int) else f"{value:.{STORED_DIGITS}g}")
        * 100 ** layout.count("%")
        / 1000**thousands
    )
    rounded = abs(number).quantize(Decimal(1).scaleb(-len(part)), ROUND_HALF_UP)
    left, _, right = f"{rounded:f}".partition(".")
    point = next((index for index, token in enumerate(tokens) if token == (True, ".")), len(tokens))
    text = _whole(tokens[:point], left.lstrip("0"), "," in whole.rstrip(",")) + _part(tokens[point:], right)
    return f"-{text}" if number < 0 and rounded else text


def _whole(tokens: Sequence[Token], digits: str, grouped: bool) -> str:
    """Fill the placeholders before the decimal point, from right to left; the leftmost takes all remaining digits."""
    places = sum(token.is_place and token.text in "0#?" for token in tokens)
    out: list[str] = []
    count = 0
    for token in reversed(tokens):
        if not token.is_place or token.text == "%":
            out.append(token.text)
        elif token.text in "0#?":
            places -= 1
            digits, taken = (digits[:-1], digits[-1:]) if places else ("", digits)
            for digit in reversed(taken or token.text.strip("#?")):
                out.append("," if grouped and count and count % 3 == 0 else "")
                out.append(digit)
                count += 1
    return "".join(reversed(out))


def _part(tokens: Sequence[Token], digits: str) -> str:
    """Fill the placeholders after the decimal point; zeros at the end are shown where the format has a 0."""
    out: list[str] = []
    for token in tokens:
        if not token.is_place or token.text in ".%":
            out.append(token.text)
        elif token.text in "0#?":
            out.append(digits[:1] if token.text == "0" or digits.strip("0") else "")
            digits = digits[1:]
    return "".join(out)


# Dates and times


def _moment(value: Moment, code: str) -> str:
    if code.lower() in GENERAL or code in LOCAL_DATES:
        return _iso(value)
    tokens = _with_minutes(_tokens(SEPARATOR.split(code)[0], IN_DATES))
    halves = any(token.is_place and token.text in ("am/pm", "a/p", "上午/下午") for token in tokens)
    text = "".join(_field(value, token.text, halves) if token.is_place else token.text for token in tokens)
    return text.strip() or _iso(value)


def _iso(value: Moment) -> str:
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "seconds")
    return value.isoformat()


def _with_minutes(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens with minutes as `n`: an `m` after an hour or before a second is a minute, else a month."""
    places = [index for index, token in enumerate(tokens) if token.is_place]
    out = list(tokens)
    for before, index, after in zip([None, *places], places, [*places[1:], None], strict=False):
        after_hour = before is not None and "h" in tokens[before].text
        before_second = after is not None and "s" in tokens[after].text
        if tokens[index].text in ("m", "mm") and (after_hour or before_second):
            out[index] = Token(True, tokens[index].text.replace("m", "n"))
    return out


def _field(value: Moment, name: str, halves: bool) -> str:
    """Return one part of a date or a time; nothing where the value does not have it."""
    if name[0] in "yedm" or name in ("aaa", "aaaa"):
        return "" if isinstance(value, datetime.time) else _of_date(value, name)
    clock = value.time() if isinstance(value, datetime.datetime) else value
    return _of_time(clock, name, halves) if isinstance(clock, datetime.time) else ""


def _of_date(value: datetime.date, name: str) -> str:
    month, day = MONTHS[value.month - 1], value.weekday()
    if name[0] in "ye":
        return f"{value.year % 100:02}" if name in ("y", "yy") else f"{value.year:04}"
    if name[0] == "m":
        return [str(value.month), f"{value.month:02}", month[:3], month, month[:1]][min(len(name), 5) - 1]
    if name[0] == "d":
        return [str(value.day), f"{value.day:02}", DAYS[day][:3], DAYS[day]][min(len(name), 4) - 1]
    return f"星期{WEEKDAYS[day]}" if name == "aaaa" else WEEKDAYS[day]


def _of_time(value: datetime.time, name: str, halves: bool) -> str:
    if name[0] == ".":
        return f"{value.microsecond / 1e6:.{len(name) - 1}f}"[1:]
    if "/" in name:
        half = "AM/PM A/P 上午/下午".split()[("am/pm", "a/p", "上午/下午").index(name)].split("/")
        return half[value.hour >= 12]
    name = name.strip("[]")
    hour = (value.hour + 11) % 12 + 1 if halves else value.hour
    number = {"h": hour, "n": value.minute, "m": value.minute, "s": value.second}[name[0]]
    return f"{number:02}" if len(name) > 1 else str(number)


def _duration(value: datetime.timedelta, code: str) -> str:
    seconds = round(value.total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{hours}:{rest // 60:02}" + (f":{rest % 60:02}" if "s" in code.lower() else "")
    return f"-{text}" if seconds < 0 else text
