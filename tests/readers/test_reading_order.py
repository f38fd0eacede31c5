"""The order of reading: rows, the cells of a table in their row, columns of running text one after the other."""

from collections.abc import Sequence

from extractor.readers._support.reading_order import Box, rows_of

HEIGHT = 10


def at(left: int, row: int, width: int = 50) -> Box:
    return (left, 20 * row, left + width, 20 * row + HEIGHT)


def read(boxes: Sequence[Box]) -> list[list[int]]:
    return rows_of(boxes)


def test_lines_are_read_from_the_top_and_pieces_of_a_line_from_the_left() -> None:
    assert read([at(0, 1), at(200, 0), at(0, 0), at(0, 2)]) == [[2, 1], [0], [3]]


def test_pieces_of_a_line_may_be_of_different_heights_and_a_little_off() -> None:
    assert read([(100, 3, 150, 15), (0, 0, 50, 10), (0, 20, 50, 30)]) == [[1, 0], [2]]


def test_cells_of_a_table_stay_in_their_rows() -> None:
    table = [at(left, row, width) for row in range(8) for left, width in ((0, 40 + 5 * row), (200, 30), (300, 20))]
    assert read(table) == [[3 * row, 3 * row + 1, 3 * row + 2] for row in range(8)]


def test_labels_beside_their_values_are_no_columns() -> None:
    form = [at(left, row, width) for row in range(8) for left, width in ((0, 60), (100, 300))]
    assert read(form) == [[2 * row, 2 * row + 1] for row in range(8)]


def test_columns_are_read_one_after_the_other_between_what_goes_across() -> None:
    columns = [at(left, row, 200) for row in range(1, 7) for left in (0, 230)]
    boxes = [at(50, 0, 350), *columns, at(0, 7, 430)]
    left, right = [[index] for index in range(1, 13, 2)], [[index] for index in range(2, 13, 2)]
    assert read(boxes) == [[0], *left, *right, [13]]


def test_a_short_line_ends_a_paragraph_and_not_the_column() -> None:
    columns = [at(left, row, 60 if row == 3 else 200) for row in range(7) for left in (0, 230, 460)]
    assert read(columns) == [[index] for start in range(3) for index in range(start, 21, 3)]


def test_nothing_is_no_lines() -> None:
    assert read([]) == []
