"""Two values mean the same, whatever their notation; and what only looks alike does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.data import Json
from extractor.text.meaning import exact, meaning

SAME = [
    ("Ｈｅｌｌｏ　World", "hello world"),
    ("北京 市", "北京市"),
    ("1,200.50", "1200.5"),
    ("1,200.50", 1200.5),
    ("3万", "30,000"),
    ("138 0000 0000", "13800000000"),
    ("一百二十", 120),
    ("壹佰", "100"),
    ("3万5千", 35000),
    ("叁拾伍元伍角", 35.5),
    ("百分之五", "5%"),
    ("负五", -5),
    ("一万二", "12,000"),
    ("５％", "0.05"),
    ("2024年5月3日", "2024-05-03"),
    ("二〇二四年五月三日", "May 3, 2024"),
    ("下午3点", "15:00"),
    ("2024年5月3日 下午3点", "2024-05-03T15:00:00"),
    ("2024-05-03T15:00:00+08:00", "2024-05-03T07:00:00Z"),
    (True, "true"),
]
DIFFERENT = [
    ("007", "7"),
    ("0571", "571"),
    ("5/3/2024", "2024-05-03"),
    ("2024年5月3日 下午3点", "2024-05-03T15:00:00+08:00"),
    ("2024-05-03T15:00:00+08:00", "2024-05-03T15:00:00Z"),
    ("2024年5月", "2024-05-01"),
    ("3万元", "30000"),
    ("北京", "北京市"),
    ("1.5", "15"),
    ("", "0"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_values_that_mean_the_same_have_one_key(one: Json, other: Json) -> None:
    assert meaning(one) == meaning(other)
    assert hash(meaning(one)) == hash(meaning(other))
    assert exact(one) != exact(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_differ_have_another_key(one: Json, other: Json) -> None:
    assert meaning(one) != meaning(other)


def test_exact_is_equality_as_json() -> None:
    assert exact(3) == exact(3.0)
    assert len({exact(value) for value in (1, "1", True)}) == 3


@settings(deadline=None)
@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans())
def test_the_key_of_a_scalar_does_not_depend_on_white_space_around_it(value: Json) -> None:
    assert hash(meaning(value)) == hash(meaning(value))
    if isinstance(value, str):
        assert meaning(f" {value.upper()}\t") == meaning(value.upper())
