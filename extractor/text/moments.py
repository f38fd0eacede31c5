"""Dates and times of day as people write them in two dozen languages, and where they occur in a text.

What is ambiguous (`5/3/2024`) is yielded once for each value; what is less than a whole date (`2024年3月`) is not.
Texts are expected to be `narrow`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time, timedelta, timezone

from extractor.data import Span
from extractor.text.month_names import MONTH, MONTHS, folded
from extractor.text.numerals import chinese_number, compiled

_GAP = r"[\s\u00a0\u202f]"
_MONTH = rf"(?P<m>{MONTH})\.?"
_HAN_DAYS = "零〇○一二三四五六七八九十百廿卅壹贰叁肆伍陆柒捌玖拾"
_CHINESE_DAY = f"[{_HAN_DAYS}]"
_ERAS = {"民国": 1911, "民國": 1911, "令和": 2018, "平成": 1988, "昭和": 1925}
_DATES = (
    r"(?<![0-9])(?P<y>[0-9]{4})\s?[-/.年]\s?(?P<m>[0-9]{1,2})\s?[-/.月]\s?(?P<d>[0-9]{1,2})(?![0-9])(?:\s?[日号])?",
    rf"(?P<y>{_CHINESE_DAY}{{4}})年(?P<m>{_CHINESE_DAY}{{1,4}})月(?P<d>{_CHINESE_DAY}{{1,4}})[日号]?",
    r"(?<![0-9])(?P<y>[0-9]{4})년\s?(?P<m>[0-9]{1,2})월\s?(?P<d>[0-9]{1,2})일",
    rf"(?P<era>{'|'.join(_ERAS)})\s?(?P<y>[0-9]{{1,3}}|元|{_CHINESE_DAY}{{1,6}})年\s?"
    rf"(?P<m>[0-9]{{1,2}}|{_CHINESE_DAY}{{1,4}})月\s?(?P<d>[0-9]{{1,2}}|{_CHINESE_DAY}{{1,4}})[日号]?",
    r"(?<![0-9])(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})(?![0-9])",
    rf"(?<![0-9])(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th|er|º|\.)?(?:{_GAP}(?:of|de))?(?:{_GAP}|-){_MONTH}"
    rf"(?:{_GAP}del?)?,?(?:{_GAP}|-)(?P<y>[0-9]{{4}})(?![0-9])",
    rf"(?<!\w)(?=[^\W\d_]+\.?{_GAP}[0-9]){_MONTH}{_GAP}(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?,?{_GAP}(?P<y>[0-9]{{4}})(?![0-9])",
    rf"(?<![0-9])(?P<y>[0-9]{{4}})\.?{_GAP}{_MONTH}{_GAP}(?P<d>[0-9]{{1,2}})(?![0-9])\.?",
    rf"(?<![0-9])(?P<d>[0-9]{{1,2}}){_GAP}(?:tháng|thg){_GAP}(?P<m>[0-9]{{1,2}})(?:,|{_GAP}năm)?{_GAP}(?P<y>[0-9]{{4}})(?![0-9])",
    r"(?<![0-9])(?P<d>[0-9]{1,2})(?:[-/.]|\.\s)(?P<m>[0-9]{1,2})(?:[-/.]|\.\s)(?P<y>[0-9]{4})(?![0-9])",
    r"(?<![0-9])(?P<m>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})[-/.](?P<y>[0-9]{4})(?![0-9])",
)
_ZONE = re.compile(
    r"\s?(?:(?P<utc>Z|UTC|GMT)(?![\w+-])|(?:UTC|GMT)?(?P<sign>[+-])(?P<h>\d{2}):?(?P<m>\d{2})(?!\d))", re.ASCII
)
_HAN = "[零〇一二两三四五六七八九十]"
_PART_OF_DAY = r"(?:(?P<late>下午|晚上|傍晚|午後|오후)|(?P<night>凌晨|午前|오전)|上午|早上|中午)?"
_HALF_OF_DAY = r"(?:(?P<pm>pm|p\.m\.|μ\.μ\.)|(?P<am>am(?!\w)|a\.m\.|π\.μ\.))"
_CLOCKS = (
    rf"""(?<![0-9]){_PART_OF_DAY}\s?(?P<h>[0-9]{{1,2}})\s?(?:[:时点點時]\s?(?P<m>[0-9]{{1,2}}|半|[一三]刻)|[时点點時])
         (?:\s?[:分]\s?(?P<s>[0-9]{{1,2}}))?(?:\s?[分秒])?(?:{_GAP}?{_HALF_OF_DAY})?""",
    rf"(?<!{_HAN}){_PART_OF_DAY}(?P<h>{_HAN}{{1,3}})[时点點時](?:(?P<m>{_HAN}{{2,3}}|{_HAN}(?=分)|半|[一三]刻)分?|整)?",
    rf"(?<![0-9:.])(?P<h>[0-9]{{1,2}})(?:\.(?P<m>[0-9]{{2}}))?\s?{_HALF_OF_DAY}",
    r"(?<![0-9:.])(?P<h>[0-9]{1,2})\s?h\s?(?P<m>[0-9]{2})(?![0-9a-z])",
    r"(?<![0-9:.])(?P<h>[0-9]{1,2})(?:[.:](?P<m>[0-9]{2}))?\s?(?:Uhr|o['’]clock)(?!\w)",
)
_PARTS_OF_HOUR = {"半": 30, "一刻": 15, "三刻": 45}


def dates(text: str) -> Iterator[tuple[Span, date]]:
    """Yield all dates of a text that name year, month and day."""
    for pattern in _DATES:
        for match in compiled(pattern, re.IGNORECASE).finditer(text):
            named = match.groupdict()
            year = (1 if named["y"] == "元" else _count(named["y"])) + _ERAS.get(named.get("era") or "", 0)
            try:
                yield match.span(), date(year, _count(named["m"]), _count(named["d"]))
            except ValueError:  # not a day of the calendar
                continue


def clocks(text: str) -> Iterator[tuple[Span, time]]:
    """Yield all times of day of a text; minutes and seconds that are not named are 0."""
    for pattern in _CLOCKS:
        for match in compiled(pattern, re.VERBOSE | re.IGNORECASE).finditer(text):
            named = match.groupdict()
            part = named.get("late") or named.get("pm"), named.get("night") or named.get("am")
            hour = _on_24_hours(_count(named["h"]), late=bool(part[0]), early=bool(part[1]))
            minute = named["m"] or "0"
            try:
                yield match.span(), time(hour, _PARTS_OF_HOUR.get(minute) or _count(minute), int(named.get("s") or 0))
            except ValueError:  # 25:61
                continue


def _on_24_hours(hour: int, *, late: bool, early: bool) -> int:
    if late:
        return hour + 12 if hour < 12 else hour
    return 0 if early and hour == 12 else hour


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
    """Return the number of a part of a date: digits, a Chinese numeral or the name of a month; 0 where it is none."""
    if text.isdecimal():
        return int(text)
    if text[0] in _HAN_DAYS:
        return int(chinese_number(text) or 0)
    return MONTHS.get(folded(text), 0)
