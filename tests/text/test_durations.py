"""Lengths of time are found in every notation, as a whole."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.text.durations import durations, iso_form, iso_length, length
from extractor.text.places import TextIndex


def _places(text: str, value: str) -> list[str]:
    return [text[start:end] for start, end in TextIndex(text).find_by_meaning(value)]


@given(st.integers(0, 99), st.integers(1, 23), st.integers(1, 59))
def test_every_length_is_found_in_every_notation(days: int, hours: int, minutes: int) -> None:
    value = iso_form(Decimal(0), Decimal(int(timedelta(days=days, hours=hours, minutes=minutes).total_seconds())))
    zh, en = (f"{days}天" if days else ""), (f"{days} days, " if days else "")
    notations = [
        f"{zh}{hours}小时{minutes}分钟",
        f"{zh}{hours}小时{minutes}分",
        f"{en}{hours} hours and {minutes} minutes",
        f"{en}{hours} hr {minutes} min",
        *([] if days else [f"{hours}h{minutes:02}"]),
    ]
    for written in notations:
        assert _places(f"（用时{written}。）", value) == [written]


@given(st.integers(0, 10_000), st.integers(0, 10**8))
def test_the_form_of_a_length_says_the_same(months: int, seconds: int) -> None:
    assert iso_length(iso_form(Decimal(months), Decimal(seconds))) == (months, seconds)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(("两个半小时", "PT2H30M"), ("半小时", "PT30M"), ("half an hour", "PT30M"), ("an hour and a half", "PT1H30M")),
        *(("一个半月", "P1.5M"), ("一年半", "P1Y6M"), ("三个月", "P3M"), ("2 years and 3 months", "P2Y3M")),
        *(
            ("2 weeks", "P14D"),
            ("twenty-five days", "P25D"),
            ("30-day", "P30D"),
            ("PT90M", "PT1H30M"),
            ("2 quarters", "P6M"),
        ),
    ],
)
def test_a_length_has_one_form(text: str, form: str) -> None:
    found = length(text)
    assert found is not None
    assert iso_form(*found) == form


@pytest.mark.parametrize(
    "text",
    ["3月5日", "10分", "P", "PT", "P1DT", "P1.D.2", "P9999999999999Y", "a day's work of art", "hours", "at 5 d'oro"],
)
def test_what_is_no_length_has_none(text: str) -> None:
    assert length(text) is None


def test_a_part_of_a_length_is_not_found() -> None:
    assert _places("1小时30分钟", "PT30M") == []
    assert _places("2 hours 30 minutes", "PT2H") == []
    assert _places("3 hours. 20 minutes later", "PT20M") == ["20 minutes"]


def test_time_grows_with_the_length_of_the_text() -> None:
    for start in ("1小时", "a ", "half an ", "1 h", "一", "two hours and ", "1h30 ", "半个"):
        assert sum(1 for _ in durations(start * (150_000 // len(start)))) <= 150_000
