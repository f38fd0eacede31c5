"""Stage 2: a Document becomes Chunks that fit a number of tokens, cut where a reader would pause.

Cuts fall at sentence ends, failing that at commas and white space, failing that between words, failing that between
any two characters. Tokens are counted by a function that is handed in and need not be additive: that a chunk fits is
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

from extractor.data import Chunk, Document, FailedDocument

CountTokens = Callable[[str], int]

MIN_HALVED = 32
"""Characters: a shorter chunk is not halved. An answer that is cut off on so little text is a runaway."""

LONGEST_WORD = 64
"""Characters: a cut keeps words and numbers up to this length whole."""

_SENTENCE_END = re.compile(
    r"""(?: [。！？；]+ [”」』’）"')\]】》]*        # Chinese punctuation, and quotes and brackets that close after it
        |   [!?;] ["')\]”」』’）]* (?![!-~])       # ASCII punctuation, unless inside a word or an address
        |   \. ["')\]”」』’）]* (?=\s)
        ) [^\S\r\n]* [\r\n]*
    |   [\r\n]+""",
    re.VERBOSE,
)
_CLAUSE_END = re.compile(r"[，、：]+\s*|[,:;](?![!-~])\s*|\s+")
_WORD_CHARACTER = re.compile(r"[!-~]")
_JOINERS = "\u200d\u200c"


def split(document: Document | FailedDocument, count_tokens: CountTokens, budget: int, overlap: int = 0) -> list[Chunk]:
    """Cut a document into chunks of at most `budget` tokens: exactly one if it fits, none if it could not be read.

    The chunks cover the whole text. Each but the first begins with up to `overlap` tokens of the one before it and at
    least about half as many, so that a value of half the overlap is whole in one of them wherever the border falls.
    Raises ValueError when the overlap leaves no room or when the budget cannot hold a single character.
    """
    if not 0 <= overlap < budget:
        raise ValueError(f"The overlap ({overlap}) must be at least 0 and less than the budget ({budget}).")
    if isinstance(document, FailedDocument):
        return []
    text = document.text
    if count_tokens(text) <= budget:
        return [Chunk(document, 0, 0, len(text))]
    spans = _Splitter(text, count_tokens).windows(budget, overlap)
    return [Chunk(document, index, start, end) for index, (start, end) in enumerate(spans)]


def halve(chunk: Chunk, count_tokens: CountTokens, overlap: int = 0) -> list[Chunk]:
    """Cut a chunk in two near its middle, for an answer that was cut off; empty when it is too short for that.

    Both halves keep the index of their chunk; (index, start, end) tells them apart and orders them. Each is at most
    three quarters of the chunk, so that halving again and again comes to an end.
    """
    length = chunk.end - chunk.start
    if length < MIN_HALVED:
        return []
    splitter = _Splitter(chunk.document.text, count_tokens)
    low, high = chunk.start + length // 4, chunk.end - length // 4
    middle = splitter.nearest_boundary(low, high)
    if middle is None:
        return []
    second = max(low, splitter.overlap_start(chunk.start, middle, overlap))
    return [
        Chunk(chunk.document, chunk.index, chunk.start, middle),
        Chunk(chunk.document, chunk.index, second, chunk.end),
    ]


@dataclass(frozen=True)
class _Splitter:
    """A text, the boundaries at which it may be cut, and the measure of its parts."""

    text: str
    count_tokens: CountTokens

    @cached_property
    def boundaries(self) -> tuple[Sequence[int], ...]:
        """Positions after sentences, then positions after clauses; both ascending."""
        found = ((match.end() for match in kind.finditer(self.text)) for kind in (_SENTENCE_END, _CLAUSE_END))
        return tuple([cut for cut in cuts if _is_safe(self.text, cut)] for cuts in found)

    @cached_property
    def _chars_per_token(self) -> float:
        return len(self.text) / max(self.count_tokens(self.text), 1)

    def tokens(self, start: int, end: int) -> int:
        return self.count_tokens(self.text[start:end])

    def windows(self, budget: int, overlap: int) -> Iterator[tuple[int, int]]:
        """Yield ranges that fit, each reaching further than the one before.

        The text before `covered` is in some range already; a range begins at `start`, an overlap before it.
        """
        start = covered = 0
        while True:
            end = self._window_end(start, covered, budget)
            if end is None:
                start = covered  # the overlap leaves no room for progress: go without
                end = self._window_end(start, covered, budget)
            if end is None:
                raise ValueError(f"A budget of {budget} tokens cannot hold the character at {start}.")
            yield start, end
            if end == len(self.text):
                return
            start, covered = self.overlap_start(start, end, overlap), end

    def overlap_start(self, start: int, end: int, overlap: int) -> int:
        """Return the last good place after `start` from which the text up to `end` takes half of `overlap` to all."""
        if not overlap:
            return end
        furthest = self._furthest_start(start, end, overlap)
        # What is measured is a few per cent short of what fits; 17/16 makes sure of the half.
        half = (end - self._furthest_start(start, end, overlap // 2)) * 17 // 16
        nearest = max(end - half, furthest)
        for boundaries in self.boundaries:
            at = bisect_right(boundaries, nearest) - 1
            if at >= 0 and boundaries[at] >= furthest:
                return boundaries[at]
        return _safe_forward(self.text, furthest, nearest, end)

    def nearest_boundary(self, low: int, high: int) -> int | None:
        """Return the place in `low..high` nearest its middle where a sentence ends, or a clause, or a character."""
        middle = (low + high) // 2
        for boundaries in self.boundaries:
            inside = boundaries[bisect_left(boundaries, low) : bisect_right(boundaries, high)]
            if inside:
                return min(inside, key=lambda cut: abs(cut - middle))
        cut = _safe_back(self.text, middle, low)
        return cut if cut > low else None

    def _window_end(self, start: int, covered: int, budget: int) -> int | None:
        """Return the best end after `covered` for a window from `start` within the budget, if there is any."""
        limit = self._furthest_end(start, budget)
        while limit > covered:
            end = self._best_cut(covered, limit)
            if self.tokens(start, end) <= budget:
                return end
            limit = start + (end - start) * 9 // 10  # a shorter text may take more tokens: measured, so go back
        return None

    def _best_cut(self, covered: int, limit: int) -> int:
        """Return the last sentence end in `covered+1..limit`, else the last clause end, else the last character."""
        if limit == len(self.text):
            return limit
        for boundaries in self.boundaries:
            at = bisect_right(boundaries, limit) - 1
            if at >= 0 and boundaries[at] > covered:
                return boundaries[at]
        return _safe_back(self.text, limit, covered)

    def _furthest_end(self, start: int, budget: int) -> int:
        """Return how far a text from `start` fits, to within a few per cent of what is possible."""
        rest = len(self.text) - start
        return start + _largest_fitting(
            lambda size: self.tokens(start, start + size) <= budget, self._estimated_chars(budget), rest
        )

    def _furthest_start(self, start: int, end: int, budget: int) -> int:
        """Return how far back from `end` a text fits, to within a few per cent, and never down to `start`."""
        return end - _largest_fitting(
            lambda size: self.tokens(end - size, end) <= budget, self._estimated_chars(budget), end - start - 1
        )

    def _estimated_chars(self, tokens: int) -> int:
        """Estimate, a little low, how many characters so many tokens make in this text."""
        return int(tokens * self._chars_per_token * 0.97)


def _largest_fitting(fits: Callable[[int], bool], guess: int, most: int) -> int:
    """Return nearly (to 1/16) the largest size in 0..most that fits, given that smaller ones tend to fit.

    An exponential search from the guess, then a binary one: O(log most) calls of `fits`, two or three with a good
    guess. Each counts the tokens of a text, which is what splitting costs.
    """
    fitting, too_large = 0, most + 1
    size = min(max(guess, 1), most)
    step = max(size // 16, 1)
    while too_large - fitting > 1 + fitting // 16:
        if fits(size):
            fitting = size
        else:
            too_large = size
        if fitting == 0 or too_large > most:  # one bound is still unknown: go on towards it in doubling steps
            size, step = (max(size - step, 1) if fitting == 0 else min(size + step, most)), step * 2
        else:
            size = (fitting + too_large) // 2
    return fitting


def _safe_back(text: str, position: int, lowest: int) -> int:
    """Return the last place in `lowest+1..position` that splits no word, failing that no character, else `position`.

    A character is what people see as one: an emoji with its modifiers, a letter with its accents.
    """
    near = range(position, max(lowest, position - LONGEST_WORD), -1)
    words = (cut for cut in near if _is_safe(text, cut) and not _splits_word(text, cut))
    characters = (cut for cut in range(position, lowest, -1) if _is_safe(text, cut))
    return next(chain(words, characters), position)


def _safe_forward(text: str, position: int, near: int, highest: int) -> int:
    """Return the first place in `position..near` that splits no word, failing that the first that splits no character.

    The latter is below `highest`; `highest` if there is none.
    """
    first = range(position, min(near, position + LONGEST_WORD) + 1)
    words = (cut for cut in first if _is_safe(text, cut) and not _splits_word(text, cut))
    characters = (cut for cut in range(position, highest) if _is_safe(text, cut))
    return next(chain(words, characters), highest)


def _splits_word(text: str, cut: int) -> bool:
    """Tell whether a cut falls inside a number, a Latin word or an address: `138|0013`, `a@b|.cn`, but not `甲|乙`."""
    return 0 < cut < len(text) and bool(_WORD_CHARACTER.match(text[cut - 1]) and _WORD_CHARACTER.match(text[cut]))


def _is_safe(text: str, cut: int) -> bool:
    """Tell whether a cut before `text[cut]` leaves combining sequences, surrogate pairs, emoji and `\\r\\n` whole."""
    if not 0 < cut < len(text):
        return True
    before, after = text[cut - 1], text[cut]
    if before in "\r\n":
        return before == "\n" or after != "\n"
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    modifier = unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff"
    return not modifier and after not in _JOINERS and before not in _JOINERS
