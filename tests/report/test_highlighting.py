"""Highlights stay on their characters, whatever is cut out of a text or masked in it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.report.highlighting import Excerpt, Highlight, excerpts, hide, merge_spans

TEXTS = st.text(alphabet="abc字😀\n", min_size=1, max_size=200)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Highlight]]:
    text = draw(TEXTS)
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 9))
    spans = draw(st.lists(places, max_size=6))
    return text, [Highlight(at, min(at + size, len(text)), number) for number, (at, size) in enumerate(spans)]


def _marked_text(part: Excerpt) -> list[tuple[int, str]]:
    return [(mark.value, part.text[mark.start : mark.end]) for mark in part.highlights]


@settings(deadline=None)
@given(marked(), st.integers(0, 250))
def test_an_excerpt_shows_what_is_marked_and_says_how_much_is_left_out(
    given_: tuple[str, list[Highlight]], room: int
) -> None:
    text, marks = given_
    parts = excerpts(text, marks, room)
    assert sum(part.skipped + len(part.text) for part in parts) == len(text)
    at = 0
    for part in parts:
        at += part.skipped
        assert text[at : at + len(part.text)] == part.text
        at += len(part.text)
    for value, shown in (pair for part in parts for pair in _marked_text(part)):
        assert shown == text[marks[value].start : marks[value].end]
    if len(text) <= room:
        assert [len(part.highlights) for part in parts] == [len(marks)]


def test_a_long_text_is_cut_down_to_what_stands_around_its_marks() -> None:
    text = "前" * 50_000 + "值" + "后" * 50_000
    parts = excerpts(text, [Highlight(50_000, 50_001, 0)], 2_000)
    assert [(part.skipped, len(part.text)) for part in parts] == [(0, 300), (49_400, 601), (49_700, 0)]
    assert _marked_text(parts[1]) == [(0, "值")]


def test_of_many_marks_as_many_are_shown_as_there_is_room_for() -> None:
    marks = [Highlight(at, at + 10, number) for number, at in enumerate(range(1_000, 100_000, 1_000))]
    parts = excerpts("文" * 100_000, marks, 1_000)
    assert sum(len(part.text) for part in parts) <= 1_100
    assert [value for part in parts for value, _ in _marked_text(part)] == list(range(11))


@settings(deadline=None)
@given(marked(), marked())
def test_a_mask_stands_for_what_is_hidden_and_marks_move_with_their_text(
    given_: tuple[str, list[Highlight]], other: tuple[str, list[Highlight]]
) -> None:
    text, marks = given_
    ranges = merge_spans((min(each.start, len(text)), min(each.end, len(text))) for each in other[1])
    ranges = [(start, end) for start, end in ranges if start < end]
    hidden, moved = hide(text, ranges, "***", marks)
    assert len(hidden) == len(text) + sum(3 - (end - start) for start, end in ranges)
    for before, after in zip(marks, moved, strict=True):
        touched = [span for span in ranges if span[0] < before.end and before.start < span[1]]
        shown = hidden[after.start : after.end]
        if not touched:
            assert shown == text[before.start : before.end]
        else:
            assert shown.count("***") == len(touched)


@settings(deadline=None)
@given(marked())
def test_offsets_count_utf_16_units_as_a_browser_does(given_: tuple[str, list[Highlight]]) -> None:
    text, marks = given_
    units = text.encode("utf-16-le")
    for mark, (start, end, *_) in zip(marks, Excerpt(0, text, tuple(marks)).in_utf16()["highlights"], strict=True):
        assert units[2 * start : 2 * end].decode("utf-16-le") == text[mark.start : mark.end]
