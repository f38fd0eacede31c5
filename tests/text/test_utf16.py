"""Offsets in UTF-16 units and in characters, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.text.utf16 import Utf16Offsets


@given(st.text("a张😀𠮷", max_size=20))
def test_each_offset_comes_back(text: str) -> None:
    offsets = Utf16Offsets.of(text)
    units = [offsets.encode(at) for at in range(len(text) + 1)]
    assert units == [len(text[:at].encode("utf-16-le")) // 2 for at in range(len(text) + 1)]
    assert [offsets.decode(unit) for unit in units] == list(range(len(text) + 1))


def test_half_a_character_has_no_offset() -> None:
    with pytest.raises(ValueError, match="middle of a character"):
        Utf16Offsets.of("a😀").decode(2)
