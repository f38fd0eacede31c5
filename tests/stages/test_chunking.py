"""Chunks fit, cover the text, and end where a reader would pause."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.data import Chunk
from extractor.stages.chunking import halve, split
from tests.builders import a_chunk, a_document


def _texts(chunks: list[Chunk]) -> list[str]:
    return [chunk.text for chunk in chunks]


def _like_a_tokenizer(text: str) -> int:
    """Count tokens that do not add up: a dummy space in front, merged pairs of letters, rare characters of three."""
    return 1 + sum(3 if char > "\u9fff" else 1 for char in text) - text.count("ab")


def test_a_document_that_fits_is_one_chunk() -> None:
    (chunk,) = split(a_document("今天。明天。"), len, 6)
    assert (chunk.index, chunk.start, chunk.end) == (0, 0, 6)


@pytest.mark.parametrize(
    ("text", "budget", "expected"),
    [
        ("一二三。四五六。", 5, ["一二三。", "四五六。"]),
        ("他说：“好。”走了。", 7, ["他说：“好。”", "走了。"]),
        ("（好！）再来？是。", 5, ["（好！）", "再来？是。"]),
        ("one two. three four.", 12, ["one two. ", "three four."]),
        ("第一行\n第二行\n", 6, ["第一行\n", "第二行\n"]),
        ("第一行\r\n第二行\r\n", 6, ["第一行\r\n", "第二行\r\n"]),
        ("一二，三四，五六七", 7, ["一二，三四，", "五六七"]),
        ("http://a.cn/?q=1;b 完", 12, ["http://a.cn/", "?q=1;b 完"]),
        ("一二三四五六", 4, ["一二三四", "五六"]),
        ("aaaaaaa", 3, ["aaa", "aaa", "a"]),
    ],
)
def test_text_is_cut_after_sentences_else_clauses_else_anywhere(text: str, budget: int, expected: list[str]) -> None:
    assert _texts(split(a_document(text), len, budget)) == expected


def test_whole_sentences_are_repeated_at_the_start_of_the_next_chunk() -> None:
    chunks = split(a_document("甲甲甲。乙乙。丙丙丙。丁丁丁。"), len, 8, overlap=4)
    assert _texts(chunks) == ["甲甲甲。乙乙。", "乙乙。丙丙丙。", "丙丙丙。丁丁丁。"]
    assert [chunk.index for chunk in chunks] == [0, 1, 2]


def test_text_without_sentences_overlaps_by_characters() -> None:
    chunks = split(a_document("0123456789" * 3), len, 12, overlap=4)
    assert all(before.end - after.start == 4 for before, after in zip(chunks, chunks[1:], strict=False))


@pytest.mark.parametrize("cluster", ["e\u0301", "\r\n", "👍🏽", "👩\u200d💻", "\ud83d\ude00"])
def test_a_grapheme_is_never_split(cluster: str) -> None:
    size = len(cluster)
    for chunk in split(a_document(cluster * 40), len, 2 * size + 1):
        assert chunk.text == cluster * (len(chunk.text) // size)


def test_a_budget_too_small_for_one_character_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold the character at 1"):
        split(a_document("ab"), lambda text: len(text) * (9 if "b" in text else 1), 3)


@pytest.mark.parametrize(("budget", "overlap"), [(4, 4), (4, -1), (0, 0)])
def test_an_overlap_that_leaves_no_room_is_refused(budget: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        split(a_document("一二三四五"), len, budget, overlap)


@pytest.mark.parametrize("text", ["字" * 100_000, "!" * 100_000, "a\u0301" * 50_000, "\r\n" * 50_000, "。" * 100_000])
def test_a_hundred_thousand_characters_are_cut_fast(text: str) -> None:
    counted = 0

    def count(part: str) -> int:
        nonlocal counted
        counted += len(part)
        return len(part)

    started = time.perf_counter()
    chunks = split(a_document(text), count, 1000, overlap=64)
    assert chunks[-1].end == len(text)
    assert counted < 12 * len(text)
    assert time.perf_counter() - started < 3


@given(
    st.text(st.sampled_from("ab一龥。！？，,. \n\r\u0301”😀"), max_size=300),
    st.integers(8, 40),
    st.integers(0, 7),
)
def test_chunks_fit_and_cover_the_text(text: str, budget: int, overlap: int) -> None:
    chunks = split(a_document(text), _like_a_tokenizer, budget, overlap)
    assert all(_like_a_tokenizer(chunk.text) <= budget for chunk in chunks) or len(text) == 0
    assert chunks[0].start == 0
    assert chunks[-1].end == len(text)
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert before.start < after.start <= before.end < after.end
        assert _like_a_tokenizer(text[after.start : before.end]) <= max(overlap, 1)
        assert after.index == before.index + 1


@given(
    st.lists(
        st.sampled_from(["a", "一", "。", "a\u0301", "。\u0301\u0301", "\r\n", "\r", "\n"]), min_size=30, max_size=99
    )
)
def test_no_cut_falls_inside_a_grapheme(clusters: list[str]) -> None:
    text = "".join(clusters)
    for chunk in split(a_document(text), len, 20)[1:]:
        before, after = text[chunk.start - 1], text[chunk.start]
        assert after != "\u0301" or before in "\r\n"
        assert before + after != "\r\n"


def test_a_chunk_is_halved_at_the_sentence_end_nearest_its_middle() -> None:
    text = "开头。" + "一" * 10 + "。" + "二" * 12 + "。" + "三" * 8 + "。"
    first, second = halve(a_chunk(text, index=3), len)
    assert first.text == text[:14]
    assert second.text == text[14:]
    assert (first.index, second.index) == (3, 3)


def test_halves_overlap_and_stay_inside_the_chunk() -> None:
    text = "前" * 50 + "一二三四。" * 20 + "后" * 50
    first, second = halve(a_chunk(text, 50, 150), len, overlap=12)
    assert (first.start, second.end) == (50, 150)
    assert (first.end, second.start) == (100, 90)


def test_a_short_chunk_is_not_halved() -> None:
    assert halve(a_chunk("短。" * 10), len) == []


@given(st.text(st.sampled_from("a。\n \u0301"), min_size=32, max_size=400), st.integers(0, 50))
def test_a_half_is_at_most_three_quarters_of_its_chunk(text: str, overlap: int) -> None:
    for half in halve(a_chunk(text), len, overlap):
        assert half.end - half.start < len(text)
        assert half.end - half.start <= len(text) - len(text) // 4
