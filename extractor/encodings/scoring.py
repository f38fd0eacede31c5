"""How likely bytes are in an encoding: they are decoded, and the characters scored in each language written in it.

The score is a log-probability (in nats) of the same bytes under every candidate, so scores compare. Knows no list of
encodings: that is `detect`'s.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from extractor.encodings.languages import CJK, CONTROL, SCRIPTS, Profile, profile

RARER_LANGUAGE = -1.0
MIXED_SCRIPTS = -4.0
CAPITAL_INSIDE = -3.5
DOUBLED_ACCENTS = -1.5
MARK_INSIDE = -4.0
LONE_IDEOGRAPH = -6.0
LONE_LETTER = -2.0
CONSONANTS = -5.0
BROKEN = -14.0
LIKELY = -10.0
"""Mean log-probability of a non-ASCII character above which an encoding is believed: real text has -4 to -9 (the lower
end where single symbols occur in English text), bytes that are not text of that encoding -11 and below."""
LIKELY_LETTERS = -6.0
"""The same for alphabets apart from Latin, whose real text has -3 to -5: every byte is some letter of theirs."""


SURROGATE = re.compile("[\ud800-\udfff]")
LONE = re.compile(r"[a-z][^\x00-\x7f](?=[a-z])")
MARKED = re.compile(r"[^\W\d_][\u00a1-\u00bf\u2010-\u2018\u201a-\u2122](?=[^\W\d_])")
UNSPEAKABLE = re.compile(r"[бвгджзклмнпрстфхцчшщБВГДЖЗКЛМНПРСТФХЦЧШЩ]{4,}|\b[α-ω]{5,}\b|[ךםןףץ](?=\w)")
LETTER = re.compile(r"(?<!\w)[^\W\d_\x00-\x7f](?!\w)")
STRAY = frozenset(map(chr, range(0x80)))
ASCII_BYTES = bytes(range(0x80))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding family: codecs from narrow to wide, the languages written in it (the usual one first), and a prior
    in nats."""

    codecs: tuple[str, ...]
    languages: tuple[str, ...]
    prior: float


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a sample in one encoding, as text of its likeliest language."""

    candidate: Candidate
    encoding: str
    score: float


@dataclass(frozen=True, slots=True)
class Guess:
    """A score before oddities are taken off, so an upper bound. `counts` are of the sample's characters."""

    candidate: Candidate
    sample: Sample
    counts: Mapping[str, int]
    language: Profile
    score: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample as text, without the characters that are broken."""

    text: str
    encoding: str
    broken: int = 0


def best(samples: Iterable[tuple[Candidate, bytes]], slack: float) -> list[Score]:
    """Return the scores of samples that are text at all, the best first, down to `slack` nats below it.

    Oddities, the costly part, are weighed for the best guesses only: the others could not reach them any more.
    """
    guesses = (_guess(candidate, sample) for candidate, sample in samples)
    found: list[Score] = []
    floor = float("-inf")
    for guess in sorted((it for it in guesses if it), key=lambda it: -it.score):
        if guess.score < floor:
            break
        oddities = _oddities(guess.sample.text, guess.language)
        if _is_text(guess.counts, guess.language, oddities):
            found.append(Score(guess.candidate, guess.sample.encoding, guess.score + oddities))
            floor = max(floor, found[-1].score - slack)
    return sorted((it for it in found if it.score >= floor), key=lambda it: -it.score)


def scored(candidate: Candidate, sample: bytes, least: float) -> Iterator[Score]:
    """Yield the score of a sample of which nothing is broken, if its mean log-probability is at least so high."""
    guess = _guess(candidate, sample)
    if guess is None or guess.sample.broken:
        return
    oddities = _oddities(guess.sample.text, guess.language)
    if _mean(guess.counts, guess.language, oddities) >= least:
        yield Score(candidate, guess.sample.encoding, guess.score + oddities)


def is_text(text: str, language: Profile) -> bool:
    """Return whether a text can be of a language at all."""
    return _is_text(Counter(text), language, _oddities(text, language))


def mean(text: str, language: Profile) -> float:
    """Return the mean log-probability of the characters beyond ASCII, or of all where there is none."""
    return _mean(Counter(text), language, 0.0)


def _is_text(counts: Mapping[str, int], language: Profile, oddities: float) -> bool:
    if language.name not in CJK and any(language.of(character) <= CONTROL for character in counts.keys() - STRAY):
        return False
    return _mean(counts, language, oddities) > (LIKELY_LETTERS if language.name in SCRIPTS else LIKELY)


def _mean(counts: Mapping[str, int], language: Profile, oddities: float) -> float:
    weighed = {character: count for character, count in counts.items() if character > "\x7f"} or counts
    total = sum(language.of(character) * count for character, count in weighed.items())
    return (total + oddities) / sum(weighed.values())


def _guess(candidate: Candidate, data: bytes) -> Guess | None:
    sample = _decode(data, candidate.codecs)
    if sample is None:
        return None
    counts = Counter(sample.text)
    languages = [profile(name) for name in candidate.languages]
    totals = [
        sum(language.of(character) * count for character, count in counts.items()) + RARER_LANGUAGE * min(index, 3)
        for index, language in enumerate(languages)
    ]
    total, best = max(zip(totals, range(len(totals)), strict=True))
    score = total + candidate.prior + BROKEN * sample.broken
    return Guess(candidate, sample, counts, languages[best], score)


def _decode(data: bytes, names: tuple[str, ...]) -> Sample | None:
    for name in names:
        try:
            text = codecs.getincrementaldecoder(name)().decode(data, final=False)
        except UnicodeDecodeError:
            continue
        if text:
            return Sample(text, codecs.lookup(name).name)
    return _without_damage(data, names[0])


def _without_damage(data: bytes, name: str) -> Sample | None:
    """Return the sample without its broken bytes if those are few: damaged text is to win over another encoding."""
    try:
        text = data.decode(name, "surrogateescape")
    except UnicodeDecodeError:
        return None
    good = SURROGATE.sub("", text)
    broken = len(text) - len(good)
    few = 4 * broken <= len(data.translate(None, ASCII_BYTES))
    return Sample(good, codecs.lookup(name).name, broken) if good and few else None


def _oddities(text: str, language: Profile) -> float:
    """Return the penalty for what no text has, at most 0.

    Capitals or quotation marks inside words, two scripts in one word, accents in a row, four Cyrillic consonants in a
    row, a long Greek word without an accent, a Hebrew final letter inside a word, a single ideograph inside an ASCII
    word.
    """
    if language.name in CJK:
        return LONE_IDEOGRAPH * len(LONE.findall(text))
    total = (
        CONSONANTS * len(UNSPEAKABLE.findall(text))
        + MARK_INSIDE * len(MARKED.findall(text))
        + LONE_LETTER * len(LETTER.findall(text))
    )
    for left, right in pairwise(text):
        if left > "\x7f" or right > "\x7f":
            total += _odd_pair(left, right, language)
    return total


def _odd_pair(left: str, right: str, language: Profile) -> float:
    if not (left.isalpha() and right.isalpha()):
        return 0.0
    if not language.latin:
        mixed = (left <= "\x7f") != (right <= "\x7f")
        return MIXED_SCRIPTS if mixed else CAPITAL_INSIDE * (left.islower() and right.isupper())
    if left.islower() and right.isupper():
        return CAPITAL_INSIDE
    return DOUBLED_ACCENTS if left > "\x7f" and right > "\x7f" else 0.0
