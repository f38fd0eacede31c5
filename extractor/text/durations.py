"""Lengths of time as people write them in Chinese and English, and where they occur in a text.

A length is a number of months and of seconds: no month is a number of days. Texts are expected to be `narrow`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from extractor.data import Span
from extractor.text.numerals import BELOW_1000, CHINESE, chinese_number, compiled, english_number

Length = tuple[Decimal, Decimal]
"""Months and seconds."""

_UNITS: dict[str, tuple[int, int]] = {
    "年|years?|yrs?": (12, 0),
    "季度|quarters?": (3, 0),
    "[个個]月|(?<=[个個]半)月|months?": (1, 0),
    "周|星期|礼拜|weeks?|wks?": (0, 604_800),
    "天|days?|d": (0, 86_400),
    "小时|小時|钟头|鐘頭|hours?|hrs?|h(?!\\s?[0-9])": (0, 3600),
    "分钟|分鐘|分|minutes?|mins?": (0, 60),
    "秒钟|秒|seconds?|secs?|s": (0, 1),
}
_SIZES = tuple(_UNITS.values())
_ONLY_AFTER_ANOTHER = frozenset("分")
"""Units that are something else where they stand alone (10分 are marks as well)."""
_UNIT = "|".join(f"(?P<u{at}>{unit})" for at, unit in enumerate(_UNITS))
_PART = rf"""
        (?:(?<![A-Za-z0-9.,])(?P<digits>[0-9]{{1,9}}(?:\.[0-9]{{1,6}})?)
         |  (?<![{CHINESE}])(?P<chinese>[{CHINESE}]{{1,9}})
         |  (?P<half>半|(?<![A-Za-z])half\x20an?\b)
         |  (?<![A-Za-z])(?P<words>{BELOW_1000}|an?)(?![A-Za-z])
         )(?P<more>[个個]半|\x20and\x20a\x20half)?[\s-]?(?:[个個](?!月))?(?:{_UNIT})(?![A-Za-z])(?P<after>\x20and\x20a\x20half\b|半(?![年天小]))?
"""
_JOINT = re.compile(r",?\s?(?:and\s)?|[零又]")
_HOURS = re.compile(r"(?<![0-9A-Za-z:.])([0-9]{1,3})\s?h\s?([0-5][0-9])(?![0-9A-Za-z])")
_ISO = re.compile(
    r"P(?=.)(?:([0-9.]{1,12})Y)?(?:([0-9.]{1,12})M)?(?:([0-9.]{1,12})W)?(?:([0-9.]{1,12})D)?"
    r"(?:T(?=.)(?:([0-9.]{1,12})H)?(?:([0-9.]{1,12})M)?(?:([0-9.]{1,12})S)?)?"
)
_ISO_SIZES = ((12, 0), (1, 0), (0, 604_800), (0, 86_400), (0, 3600), (0, 60), (0, 1))
_HALF = Decimal("0.5")


def iso_length(text: str) -> Length | None:
    """Return the length that a text of ISO 8601 says (`P1Y2M`, `PT1H30M`); None where it is none."""
    match = _ISO.fullmatch(text)
    numbers = [each or "0" for each in match.groups()] if match else []
    if not numbers or any(each.count(".") > 1 or each.strip(".") == "" for each in numbers):
        return None
    return _sum((Decimal(each), size) for each, size in zip(numbers, _ISO_SIZES, strict=True))


def length(text: str) -> Length | None:
    """Return the length that the whole of a text says, in ISO 8601 or as people write it; None where it is none."""
    return iso_length(text) or next((found for span, found in durations(text) if span == (0, len(text))), None)


def iso_form(months: Decimal, seconds: Decimal) -> str:
    """Return a length as ISO 8601 has it: `P1Y6M`, `P2DT1H30M`, `PT0S`."""
    years, months = divmod(months, 12)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    day, clock = (
        "".join(f"{count.normalize():f}{unit}" for count, unit in parts if count)
        for parts in (((years, "Y"), (months, "M"), (days, "D")), ((hours, "H"), (minutes, "M"), (rest, "S")))
    )
    return f"P{day}T{clock}" if clock else f"P{day}" if day else "PT0S"


def durations(text: str) -> Iterator[tuple[Span, Length]]:
    """Yield all lengths of a text: `90 minutes`, `1小时30分`, `两个半小时`, `half an hour`, `1h30`; each as a whole."""
    for match in _HOURS.finditer(text):
        yield match.span(), (Decimal(0), Decimal(int(match[1]) * 3600 + int(match[2]) * 60))
    run: list[re.Match[str]] = []
    for part in compiled(_PART, re.VERBOSE | re.IGNORECASE).finditer(text):
        if run and not _goes_on(text, run[-1], part):
            yield from _whole(run)
            run = []
        run.append(part)
    yield from _whole(run)


def _goes_on(text: str, last: re.Match[str], part: re.Match[str]) -> bool:
    """Tell whether a part belongs to the one before it: little between them, and a smaller unit."""
    return _JOINT.fullmatch(text, last.end(), part.start()) is not None and _unit(last) < _unit(part)


def _whole(run: list[re.Match[str]]) -> Iterator[tuple[Span, Length]]:
    if run and (len(run) > 1 or run[0][f"u{_unit(run[0])}"] not in _ONLY_AFTER_ANOTHER):
        counted = [(count, _SIZES[_unit(part)]) for part in run if (count := _count(part)) is not None]
        if len(counted) == len(run):
            yield (run[0].start(), run[-1].end()), _sum(iter(counted))


def _unit(part: re.Match[str]) -> int:
    return next(at for at in range(len(_SIZES)) if part[f"u{at}"])


def _count(part: re.Match[str]) -> Decimal | None:
    more = _HALF if part["more"] or part["after"] else 0
    if part["half"]:
        return _HALF
    if part["digits"]:
        return Decimal(part["digits"]) + more
    if part["chinese"]:
        value = chinese_number(part["chinese"])
        return None if value is None else value + more
    return (Decimal(1) if part["words"].lower() in ("a", "an") else english_number(part["words"])) + more


def _sum(counted: Iterator[tuple[Decimal, tuple[int, int]]]) -> Length:
    months = seconds = Decimal(0)
    for count, (of_months, of_seconds) in counted:
        months, seconds = months + count * of_months, seconds + count * of_seconds
    return months, seconds
