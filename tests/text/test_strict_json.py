"""Ranges of values in strict JSON text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from extractor.data import Json
from extractor.text.strict_json import value_ranges

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_value_ranges_point_at_every_scalar() -> None:
    text = '{"a": "x\\"}", "b/c": [1, {"~": null}, []], "d": {}}'
    found = {pointer: text[start:end] for pointer, (start, end) in value_ranges(text).items()}
    assert found == {"/a": '"x\\"}"', "/b~1c/0": "1", "/b~1c/1/~0": "null"}
    assert value_ranges("{a: 1}") == {}


@given(VALUES)
def test_value_ranges_hold_the_values(value: Json) -> None:
    text = json.dumps(value, indent=1)
    for start, end in value_ranges(text).values():
        assert not isinstance(json.loads(text[start:end]), list | dict)
