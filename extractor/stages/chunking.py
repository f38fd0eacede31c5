"""A Document becomes Chunks that fit a number of tokens, cut where a reader would pause.

Cuts fall at sentence ends, failing that at commas and white space, failing that between words, failing that between
any two characters. Tokens are counted by a function that is given and need not be additive: that a chunk fits is
measured, never computed. This module does not know what a token is, nor how large the prompt around a chunk is.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from extractor.data import Chunk, Document

CountTokens = Callable[[str], int]

MIN_HALVED = 32
"""A chunk of fewer characters is not halved: an answer that is cut off on so little text is a runaway."""

LONGEST_WORD = 64
"""A cut keeps words and numbers of up to so many characters whole."""

_SENTENCE_END = re.compile(
    r"""(?: [。！？；]+ [”」』’）"')\]】》]*        # Chinese punctuation and what closes behind it
        |   [!?;] ["')\]”」』’）]* (?![!-~])       # ASCII punctuation, unless it stands inside a word or an address
        |   \. ["')\]”」』’）]* (?=\s)
        ) [^\S\r\n]* [\r\n]*
    |   [\r\n]+""",
    re.VERBOSE,
)
_CLAUSE_END = re.compile(r"[，、：]+\s*|[,:;](?![!-~])\s*|\s+")
_JOINERS = "\u200d\u200c"


def split(document: Document, count_tokens: CountTokens, budget: int, overlap: int = 0) -> list[Chunk]:
    """Cut a document into chunks of at most `budget` tokens; one that fits is exactly one chunk.

    The chunks cover the whole text. Each but the first begins with up to `overlap` tokens of the one before it and at
    least about half as many, so that a value of half the overlap is whole in one of them wherever the border falls.
    Raises ValueError when the overlap leaves no room or when the budget cannot hold a single character.
    """
    if not 0 <= overlap < budget:
        raise ValueError(f"The overlap ({overlap}) must be at least 0 and less than the budget ({budget}).")
    text = document.text
    if count_tokens(text) <= budget:
        return [Chunk(document, 0, 0, len(text))]
    spans = _Cutter(text, count_tokens).windows(budget, overlap)
    return [Chunk(document, index, start, end) for index, (start, end) in enumerate(spans)]


def halve(chunk: Chunk, count_tokens: CountTokens, overlap: int = 0) -> list[Chunk]:
    """Cut a chunk in two near its middle, for an answer that was cut off; empty when it is too short for that.

    Both halves keep the index of the chunk they are pieces of; (index, start, end) tells pieces apart and orders them.
    """
    length = chunk.end - chunk.start
    if length < MIN_HALVED:
        return []
    cutter = _Cutter(chunk.document.text, count_tokens)
    low, high = chunk.start + length // 4, chunk.end - length // 4
    middle = cutter.nearest(low, high)
    if middle is None:
        return []
    back = max(low, cutter.overlap_start(chunk.start, middle, overlap))
    return [
        Chunk(chunk.document, chunk.index, chunk.start, middle),
        Chunk(chunk.document, chunk.index, back, chunk.end),
    ]


@dataclass(frozen=True)
class _Cutter:
    """A text, the places where it may be cut, best kind first, and the measure of its parts."""

    text: str
    count_tokens: CountTokens

    @cached_property
    def cuts(self) -> tuple[Sequence[int], ...]:
        """Positions behind sentences and behind clauses, ascending."""
        found = ((match.end() for match in kind.finditer(self.text)) for kind in (_SENTENCE_END, _CLAUSE_END))
        return tuple([cut for cut in cuts if _is_safe(self.text, cut)] for cuts in found)

    @cached_property
    def _chars_per_token(self) -> float:
        return len(self.text) / max(self.count_tokens(self.text), 1)

    def tokens(self, start: int, end: int) -> int:
        return self.count_tokens(self.text[start:end])

    def windows(self, budget: int, overlap: int) -> Iterator[tuple[int, int]]:
        """Ranges that fit, each reaching further than the one before."""
        start = done = 0
        while True:
            end = self._window_end(start, done, budget)
            if end is None:
                start = done  # the overlap leaves no room for progress
                end = self._window_end(start, done, budget)
            if end is None:
                raise ValueError(f"A budget of {budget} tokens cannot hold the character at {start}.")
            yield start, end
            if end == len(self.text):
                return
            start, done = self.overlap_start(start, end, overlap), end

    def overlap_start(self, start: int, end: int, overlap: int) -> int:
        """The last good place behind `start` from which the text up to `end` takes half of `overlap` to all of it."""
        if not overlap:
            return end
        furthest = self._reach_back(start, end, overlap)
        half = (end - self._reach_back(start, end, overlap // 2)) * 17 // 16
        nearest = max(end - half, furthest)
        for cuts in self.cuts:
            at = bisect_right(cuts, nearest) - 1
            if at >= 0 and cuts[at] >= furthest:
                return cuts[at]
        return _safe_forward(self.text, furthest, nearest, end)

    def nearest(self, low: int, high: int) -> int | None:
        """The place in `low..high` nearest its middle where a sentence ends, or a clause, or a character."""
        middle = (low + high) // 2
        for cuts in self.cuts:
            inside = cuts[bisect_left(cuts, low) : bisect_right(cuts, high)]
            if inside:
                return min(inside, key=lambda cut: abs(cut - middle))
        cut = _safe_back(self.text, middle, low)
        return cut if cut > low else None

    def _window_end(self, start: int, done: int, budget: int) -> int | None:
        """The end of the window at `start`: the best place behind `done` within the budget, if there is any."""
        limit = self._reach(start, budget)
        while limit > done:
            end = self._best_cut(done, limit)
            if self.tokens(start, end) <= budget:
                return end
            limit = start + (end - start) * 9 // 10  # a shorter text may take more tokens: measured, so go back
        return None

    def _best_cut(self, done: int, limit: int) -> int:
        """The last sentence end in `done+1..limit`, else the last clause end, else the last whole character."""
        if limit == len(self.text):
            return limit
        for cuts in self.cuts:
            at = bisect_right(cuts, limit) - 1
            if at >= 0 and cuts[at] > done:
                return cuts[at]
        return _safe_back(self.text, limit, done)

    def _reach(self, start: int, budget: int) -> int:
        """How far a text from `start` fits, to within a few per cent of what is possible."""
        rest = len(self.text) - start
        return start + _largest(lambda size: self.tokens(start, start + size) <= budget, self._chars(budget), rest)

    def _reach_back(self, start: int, end: int, budget: int) -> int:
        """As `_reach`, backwards from `end`, and never down to `start`."""
        return end - _largest(lambda size: self.tokens(end - size, end) <= budget, self._chars(budget), end - start - 1)

    def _chars(self, tokens: int) -> int:
        """About how many characters so many tokens make in this text, a little on the safe side."""
        return int(tokens * self._chars_per_token * 0.97)


def _largest(fits: Callable[[int], bool], guess: int, most: int) -> int:
    """Nearly the largest size in 0..most that fits, given that smaller ones tend to fit.

    It gallops away from the guess, then bisects: with a good guess two or three measurements do.
    """
    good, bad = 0, most + 1
    size = min(max(guess, 1), most)
    step = max(size // 16, 1)
    while bad - good > 1 + good // 16:
        if fits(size):
            good = size
        else:
            bad = size
        if good == 0 or bad > most:
            size, step = (max(size - step, 1) if good == 0 else min(size + step, most)), step * 2
        else:
            size = (good + bad) // 2
    return good


def _safe_back(text: str, position: int, lowest: int) -> int:
    """The last place in `lowest+1..position` that splits no word, failing that no character as people see it;
    `position` if none."""
    near = range(position, max(lowest, position - LONGEST_WORD), -1)
    words = (cut for cut in near if _is_safe(text, cut) and not _splits_word(text, cut))
    characters = (cut for cut in range(position, lowest, -1) if _is_safe(text, cut))
    return next(chain(words, characters), position)


def _safe_forward(text: str, position: int, near: int, highest: int) -> int:
    """The first place in `position..near` that splits no word, failing that the first below `highest` that splits no
    character; `highest` if none."""
    first = range(position, min(near, position + LONGEST_WORD) + 1)
    words = (cut for cut in first if _is_safe(text, cut) and not _splits_word(text, cut))
    characters = (cut for cut in range(position, highest) if _is_safe(text, cut))
    return next(chain(words, characters), highest)


def _splits_word(text: str, cut: int) -> bool:
    """Whether a cut falls inside a number, a Latin word or an address: `138|0013`, `a@b|.cn`, but not `甲|乙`."""
    return 0 < cut < len(text) and bool(_WORD.match(text[cut - 1]) and _WORD.match(text[cut]))


_WORD = re.compile(r"[!-~]")


def _is_safe(text: str, cut: int) -> bool:
    """Whether a cut before `text[cut]` leaves combining sequences, surrogate pairs, emoji and `\\r\\n` whole."""
    if not 0 < cut < len(text):
        return True
    before, after = text[cut - 1], text[cut]
    if before in "\r\n":
        return before == "\n" or after != "\n"
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    modifier = unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff"
    return not modifier and after not in _JOINERS and before not in _JOINERS
