"""A text has a normalized form where there is one way to read it, and none where that would take a guess."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.data import NORMALIZATIONS, Normalization
from extractor.text.normalized import Passage, normalized


def _form(kind: Normalization, text: str) -> str | None:
    """Return the form of what is in «», or of the whole text."""
    start, end = (text.index("«"), text.index("»") - 1) if "«" in text else (0, len(text))
    return normalized(kind, Passage.at(re.sub("[«»]", "", text), (start, end)))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2024年3月5日", "2024-03-05"),
        ("2024 年 3 月 5 日", "2024-03-05"),
        ("二〇二四年三月五日", "2024-03-05"),
        ("二零二四年十二月廿五日", "2024-12-25"),
        ("贰零贰肆年零叁月零伍日", "2024-03-05"),
        ("2024/3/5", "2024-03-05"),
        ("２０２４．０３．０５", "2024-03-05"),
        ("20240305", "2024-03-05"),
        ("5 March 2024", "2024-03-05"),
        ("March 5, 2024", "2024-03-05"),
        ("5th of March 2024", "2024-03-05"),
        ("5. März 2024", "2024-03-05"),
        ("民国113年3月5日", "2024-03-05"),
        ("2024年3月5日下午三点半", "2024-03-05T15:30:00"),
        ("March 5, 2024, 9 am", "2024-03-05T09:00:00"),
        ("25/3/2024", "2024-03-25"),
        ("5/5/2024", "2024-05-05"),
        ("2024年3月5日（星期二）", "2024-03-05"),
        ("Tuesday, March 5, 2024", "2024-03-05"),
        ("2024年3月5日下午3点30分", "2024-03-05T15:30:00"),
        ("2024年3月5日 星期二 09:05", "2024-03-05T09:05:00"),
        ("March 5, 2024 at 3:30 PM", "2024-03-05T15:30:00"),
        ("2024-03-05 12:30 am", "2024-03-05T00:30:00"),
        ("2024-03-05T10:00:00+08:00", "2024-03-05T10:00:00+08:00"),
        ("2024-03-05 10:00 UTC", "2024-03-05T10:00:00+00:00"),
        ("Tue, 5 Mar 2024 10:00 +0800", "2024-03-05T10:00:00+08:00"),
    ],
)
def test_a_date_becomes_iso_8601_and_a_moment_keeps_the_zone_that_it_names(text: str, form: str) -> None:
    assert _form("date", text) == form
    assert datetime.fromisoformat(form)


@pytest.mark.parametrize(
    "text",
    [
        *("3/4/2024", "03-04-2024 10:00", "24-3-5", "24年3月5日", "3月5日", "2024年3月", "昨天", "下周二", "today"),
        *("2024-02-30", "2024年13月1日", "2024年3月5日（星期三）", "Monday, March 5, 2024", "2024年3月5日前"),
        *("2024年3月5日晚上12点", "2024年3月5日25:00", "2024-03-05至2024-03-08", "10:00", "", " ", "。"),
    ],
)
def test_what_may_be_several_days_or_is_none_has_no_form(text: str) -> None:
    assert _form("date", text) is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(
            ("1,200", "1200"),
            ("1,234,567.80", "1234567.8"),
            ("3.50", "3.5"),
            ("100", "100"),
            ("0", "0"),
            ("0.5", "0.5"),
        ),
        *(("3万", "30000"), ("3万5千", "35000"), ("1.2亿", "120000000"), ("一百二十", "120"), ("两千", "2000")),
        *(("５％", "0.05"), ("百分之五", "0.05"), ("二〇二四", "2024"), ("-5", "-5"), ("－5", "-5"), ("负五", "-5")),
        *(("twenty-five", "25"), ("3.5 million", "3500000"), ("1'200.50", "1200.5"), ("2 crore", "20000000")),
        *(("约«3»人", "3"), ("共«1,200»。", "1200"), ("«3» 月", "3")),
    ],
)
def test_a_number_is_written_plainly(text: str, form: str) -> None:
    assert _form("number", text) == form


@pytest.mark.parametrize(
    "text",
    [
        *("007", "(500)", "1,20", "12元", "三分之一", "1e5", "3-5", "约300", "3个", "9" * 29, "万"),
        *("约«3»万人", "«3»,000", "降至-«5»度", "负«五»", "«5»%", "百分之«五»", "1.«5»"),
        *(
            "«3.5» million",
            "«35» thousand",
            "«3»M",
            "«twenty»-five",
            "twenty-«five»",
            "1'«200»",
            "minus «5»",
            "«5» per cent",
        ),
    ],
)
def test_what_is_no_number_or_only_part_of_one_has_no_form(text: str) -> None:
    assert _form("number", text) is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(("12.5万元", "125000"), ("人民币壹万贰仟元整", "12000"), ("¥1,200.50", "1200.5"), ("￥1,200", "1200")),
        *(("壹佰元伍角整", "100.5"), ("12元3角4分", "12.34"), ("5块", "5"), ("五百元", "500"), ("3亿元", "300000000")),
        *(("RMB 1,200.00", "1200"), ("1,200.00 CNY", "1200"), ("人民币（大写）：壹万元整", "10000"), ("零元", "0")),
        *(("-¥5", "-5"), ("¥-5", "-5"), ("-5元", "-5"), ("12.5元人民币", "12.5"), ("3万5千元", "35000")),
        *(("金额：«318.50»元", "318.5"), ("共«12.5»万元", "125000"), ("共«12.5万»元", "125000"), ("¥ «12»", "12")),
        *(("人民币«12»", "12"), ("每件«12元»/箱", "12")),
    ],
)
def test_an_amount_is_in_yuan_where_it_or_what_is_beside_it_says_so(text: str, form: str) -> None:
    assert _form("money", text) == form


@pytest.mark.parametrize(
    "text",
    [
        *("1200", "12.5万", "100美元", "100日元", "$5", "US$5", "HK$100", "€5", "500円", "3欧元", "约12元", "12元左右"),
        *(
            "«12»万美元",
            "«12»万",
            "港币«12元»",
            "JP¥«500»",
            "USD «5»元",
            "«12元»5角",
            "1,«200»元",
            "(¥500)",
            "--5元",
            "元",
        ),
    ],
)
def test_no_amount_is_guessed_in_another_currency_or_in_none(text: str) -> None:
    assert _form("money", text) is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(
            ("13800138000", "+8613800138000"),
            ("138-0013-8000", "+8613800138000"),
            ("１３８ ００１３ ８０００", "+8613800138000"),
        ),
        *(
            ("+86 138 0013 8000", "+8613800138000"),
            ("8613800138000", "+8613800138000"),
            ("0086 13800138000", "+8613800138000"),
        ),
        *(
            ("010-62345678", "+861062345678"),
            ("（0755）8234 5678", "+8675582345678"),
            ("+86-0755-82345678", "+8675582345678"),
        ),
        *(
            ("+1 (415) 555-2671", "+14155552671"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("+852 2123 4567", "+85221234567"),
        ),
        ("+86 «13800138000»", "+8613800138000"),
    ],
)
def test_a_phone_number_is_in_e_164_where_its_country_is_certain(text: str, form: str) -> None:
    assert _form("phone", text) == form
    assert re.fullmatch(r"\+[1-9]\d{7,14}", form)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "62345678",
            "400-800-1234",
            "12345678901",
            "010-62345678转801",
            "(415) 555-2671",
            "021-6234567",
            "110",
            "+12",
        ),
        *("13800138000/13900139000", "电话13800138000", "+852 «13800138000»", "+86 12345", "+0123456789"),
    ],
)
def test_no_area_is_guessed_for_a_phone_number(text: str) -> None:
    assert _form("phone", text) is None


@given(st.sampled_from(NORMALIZATIONS), st.text("0123456789年月日元角分万千百.,-/:¥+() 一二三十零整TZ", max_size=24))
def test_any_form_has_itself_as_its_form(kind: Normalization, text: str) -> None:
    form = _form(kind, text)
    again = f"{form}元" if kind == "money" else form
    assert form is None or _form(kind, str(again)) == form
    if form and kind in ("number", "money"):
        assert "E" not in form
        assert Decimal(form).is_finite()


def test_a_long_text_has_no_form_and_costs_no_time() -> None:
    for kind in NORMALIZATIONS:
        assert _form(kind, "1" * 100_000) is None
        assert _form(kind, "«5»" + "万" * 100_000) is None
