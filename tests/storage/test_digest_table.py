"""The table behind restarting holds what it was given, in little memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from extractor.storage.digest_table import DigestTable, digest


@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=50))
def test_a_table_is_a_dictionary(pairs: list[tuple[int, int]]) -> None:
    table = DigestTable()
    for key, value in pairs:
        table.set(key, value)
    expected = dict(pairs)
    assert {key: table.get(key) for key in expected} == expected
    assert len(table) == len(expected)


def test_a_hundred_thousand_rows_take_a_few_megabytes() -> None:
    tracemalloc.start()
    table = DigestTable()
    for number in range(100_000):
        table.set(digest(f"inbox/{number}.txt"), number)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(table) == 100_000
    assert all(table.get(digest(f"inbox/{number}.txt")) == number for number in range(0, 100_000, 997))
    assert table.get(digest("inbox/100000.txt")) is None
    assert held < 5_000_000
