"""Every number and every date is found in every notation, where it occurs."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.text.numerals import narrow, numbers
from extractor.text.places import TextIndex

PLAIN = ("零一二三四五六七八九", "十百千")
BANKING = ("零壹贰叁肆伍陆柒捌玖", "拾佰仟")
WIDE = {ord("0") + digit: "０１２３４５６７８９"[digit] for digit in range(10)} | {ord(","): "，", ord("."): "．"}


def _section(number: int, digits: str, units: str) -> str:
    """Four digits: `1050` is `一千零五十`."""
    written, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            written += ("零" if gap and written else "") + digits[digit] + (units[place - 1] if place else "")
        gap = not digit
    return written


def _chinese(number: int, digits: str, units: str) -> str:
    """As it is said, section by section of 万 and 亿."""
    if not number:
        return digits[0]
    written, gap = "", False
    for place, name in ((8, "亿"), (4, "万"), (0, "")):
        section = number // 10**place % 10_000
        if section:
            zero = "零" if written and (gap or section < 1000) else ""
            written += zero + _section(section, digits, units) + name
        gap = bool(written) and section % 10 == 0
    return written


def _places(text: str, value: float | str) -> list[str]:
    return [text[start:end] for start, end in TextIndex(text).find_by_meaning(value)]


@given(st.integers(0, 10**12 - 1) | st.integers(0, 100_000))
def test_every_count_is_found_in_every_notation(number: int) -> None:
    notations = [
        f"{number:,}",
        f"{number:,}".translate(WIDE),
        _chinese(number, *PLAIN),
        _chinese(number, *BANKING),
    ]
    for written in notations:
        assert _places(f"共计{written}元整。", number) == [written]


@given(st.integers(1, 10**8), st.integers(1, 9), st.integers(0, 9))
def test_every_amount_of_money_is_found_in_every_notation(yuan: int, jiao: int, fen: int) -> None:
    value = Decimal(yuan) + Decimal(jiao) / 10 + Decimal(fen) / 100
    digits = BANKING[0]
    spoken = f"{_chinese(yuan, *BANKING)}元{digits[jiao]}角" + (f"{digits[fen]}分" if fen else "")
    written = f"{yuan}元{jiao}角" + (f"{fen}分" if fen else "")
    for notation in (f"{value:,.2f}", f"{value:,.2f}".translate(WIDE), spoken, written):
        assert ((2, 2 + len(notation)), value) in set(numbers(narrow(f"共计{notation}。")))


@given(st.dates(date(1000, 1, 1)))
def test_every_day_is_found_in_every_notation(day: date) -> None:
    months = ("January February March April May June July August September October November December").split()
    chinese = "".join(PLAIN[0][int(digit)] for digit in str(day.year)).replace("零", "〇")
    parts = [_chinese(part, *PLAIN).replace("一十", "十") for part in (day.month, day.day)]
    notations = [
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}年{day.month:02}月{day.day:02}日".translate(WIDE),
        f"{chinese}年{parts[0]}月{parts[1]}日",
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}.{day.month:02}.{day.day:02}",
        f"{months[day.month - 1]} {day.day}, {day.year}",
        f"{day.day} {months[day.month - 1][:3]} {day.year}",
    ]
    for written in notations:
        assert _places(f"（{written}）", day.isoformat()) == [written]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("一万二", 12000),
        ("三千五", 3500),
        ("一百二十三", 123),
        ("两亿三", 230_000_000),
        ("一万零二", 10002),
        ("廿五", 25),
    ],
)
def test_numerals_in_short_form_have_their_full_value(text: str, value: int) -> None:
    assert set(numbers(text)) == {((0, len(text)), Decimal(value))}
