"""Every number and every date is found in every notation, where it occurs."""

from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.text.moments import clocks, dates
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


ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def _english(number: int) -> str:
    """As it is said in English, with `and` before the last two digits."""
    if number < 20:
        return ENGLISH[number]
    if number < 100:
        ones = f"-{ENGLISH[number % 10]}" if number % 10 else ""
        return TENS[number // 10 - 2] + ones
    for value, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= value:
            rest = number % value
            joint = " and " if 0 < rest < 100 else " "
            return f"{_english(number // value)} {name}" + (joint + _english(rest) if rest else "")
    raise AssertionError


@given(st.integers(0, 10**12 - 1) | st.integers(0, 2000))
def test_every_count_is_found_in_english_words(number: int) -> None:
    written = _english(number)
    assert _places(f"There were {written} of them", number) == [written]


@given(st.integers(1000, 10**11), st.integers(0, 99))
def test_every_price_is_found_as_europe_writes_it(whole: int, cents: int) -> None:
    value = float(f"{whole}.{cents:02}")
    for mark in (".", "\u00a0", "\u202f", "'", "’", " "):
        written = f"{whole:,}".replace(",", mark) + f",{cents:02}"
        assert _places(f"Summe: {written} €", value) == [written]
    assert _places(f"Preis {whole},{cents:02} EUR", value) == [f"{whole},{cents:02}"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1.200,50 €", 1.2),
        ("1.200,50 €", 50),
        ("no one came", 1),
        ("oneself", 1),
        ("10km", 10_000),
        ("5MB", 5_000_000),
        ("the hose is 3m long", 3_000_000),
        ("1,2,3", 1.2),
        ("rooms 12 345", 12345),
        ("two million one million", 3_000_000),
    ],
)
def test_a_number_is_not_read_where_it_means_something_else(text: str, wrong: float) -> None:
    assert _places(text, wrong) == []


def test_a_space_that_does_not_break_may_stand_between_two_numbers() -> None:
    assert _places("5\u00a0200 EUR", 5200) == ["5\u00a0200"]
    assert _places("5\u00a0200 EUR", 200) == ["200"]


def test_time_grows_with_the_length_of_the_text() -> None:
    """What each notation begins with, over and over: nothing is scanned more than a few times."""
    starts = (
        "1 200 ",
        "1.200.",
        "1'200'",
        "1,20,",
        "one hundred and ",
        "a ",
        "one million, ",
        "twenty-",
        "5 de ",
        "民国一百",
    )
    for start in starts:
        text = start * (50_000 // len(start))
        assert sum(1 for _ in numbers(text)) + sum(1 for _ in dates(text)) + sum(1 for _ in clocks(text)) < len(text)


MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "el": "Ιανουαρίου Φεβρουαρίου Μαρτίου Απριλίου Μαΐου Ιουνίου "
    "Ιουλίου Αυγούστου Σεπτεμβρίου Οκτωβρίου Νοεμβρίου Δεκεμβρίου",
    "fi": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta "
    "heinäkuuta elokuuta syyskuuta lokakuuta marraskuuta joulukuuta",
    "uk": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    "tr": "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
}


@pytest.mark.parametrize("language", MONTHS)
def test_every_month_is_known_in(language: str) -> None:
    joint = {"es": " de ", "pt": " de ", "de": ". "}.get(language, " ")
    for month, name in enumerate(MONTHS[language].split(), start=1):
        for spelled in (name, name.upper()) if language != "el" else (name,):
            written = f"5{joint}{spelled}{joint.lstrip('.')}2024"
            assert _places(f"({written})", f"2024-{month:02}-05") == [written]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("2024. március 5.", "2024-03-05"), ("5 tháng 3, 2024", "2024-03-05"), ("5. 3. 2024", "2024-03-05")),
        *(("5 fevrier 2024", "2024-02-05"), ("5 aout 2024", "2024-08-05"), ("15 mrt 2024", "2024-03-15")),
        *(("오후 5:55", "17:55:00"), ("오전 12:01", "00:01:00"), ("1:32\u202fμ.μ.", "13:32:00")),
    ],
)
def test_days_and_times_of_other_languages_are_found(written: str, value: str) -> None:
    assert _places(f"({written})", value) in ([written], [written.rstrip(".")])


@pytest.mark.parametrize(
    "written", ["-€ 8.228.720,12", "EUR-8228720.12", "-EUR8,228,720.12", "-8.228.720,12 €", "(€8,228,720.12)"]
)
def test_a_sign_before_the_currency_belongs_to_the_amount(written: str) -> None:
    assert _places(f"Saldo: {written}", -8228720.12)
    assert not _places(f"Saldo: {written}", 8228720.12) or written.startswith("(")


@given(st.times())
def test_every_time_of_day_is_found_in_every_notation(moment: time) -> None:
    hour, minute = moment.hour, moment.minute
    value = f"{hour:02}:{minute:02}:00"
    half = "am" if hour < 12 else "pm"
    notations = [
        f"{(hour + 11) % 12 + 1}:{minute:02} {half}",
        f"{hour}时{minute:02}分",
        f"{hour}h{minute:02}",
        f"{hour}.{minute:02} Uhr",
    ]
    if minute == 0:
        notations += [f"{(hour + 11) % 12 + 1} {half}", f"{hour} Uhr", f"{hour}点"]
    for written in notations:
        assert _places(f"({written})", value) == [written]


@given(st.text(alphabet="ſKıİiIsSepSixKMARALIK 0123456789twoen-年月日点", max_size=40))
def test_letters_that_are_alike_without_case_break_nothing(text: str) -> None:
    assert all(start < end for (start, end), _ in (*numbers(text), *dates(text), *clocks(text)))
