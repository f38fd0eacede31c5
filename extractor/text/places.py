"""Where a value occurs in a text: exactly, or in another notation for the same thing.

Places are half-open character ranges of the text as it is, in order. Indexes of a text are computed once, when first
needed, so that many values cost little more than one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TypeVar

from extractor.data import Json, Span
from extractor.text.borders import Borders
from extractor.text.durations import Length, durations, iso_length
from extractor.text.moments import clocks, dates, zone_after
from extractor.text.numerals import narrow, numbers

Places = Sequence[Span]
_Key = TypeVar("_Key", bound=Hashable)

_DATE_TO_TIME = 6
"""Characters between the date and the time of one moment, at most."""

_LONGEST_MOMENT = 40

_CODE = re.compile(r"0\d")
_YUAN = re.compile(r"^(?:人民币)?\s*[¥￥]?\s*|(?<=[^角分])\s*[元圆圓]?[整正]?$|[整正]$")


def written(value: Json) -> str:
    """Return a scalar as it would be written in a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def occurrences(text: str, part: str) -> Iterator[Span]:
    """Yield every place of a part that is not empty, without overlaps."""
    start = text.find(part)
    while part and start >= 0:
        yield start, start + len(part)
        start = text.find(part, start + len(part))


def solid(text: str, places: Iterable[Span]) -> Places:
    """Return the places that are not part of a longer word or number, if there are any; else all of them."""
    found = list(places)
    return [span for span in found if not _is_inside_word(text, *span)] or found


@dataclass(frozen=True)
class TextIndex:
    """A text in which many values are searched for."""

    text: str

    def find_exact(self, value: Json, *, any_border: bool = False) -> Places:
        """Return the places of a value as it is written, those that begin and end at borders (`borders`)."""
        found = occurrences(self.text, written(value))
        return list(found) if any_border else [span for span in found if self._borders.fit(span)]

    def find_by_meaning(self, value: Json, *, any_border: bool = False) -> Places:
        """Return the places of a value whatever its notation; exact ones only, where there are any.

        A string is taken for a date or time, then for text without regard to width, case and white space, then for a
        number. A number is only ever compared as a number.
        """
        part = written(value)
        if not isinstance(value, str):
            return self._amounts(part)
        exact = self.find_exact(part, any_border=any_border)
        return exact or self._moments(part) or self._alike(part, any_border) or self._counts(part)

    def find_equivalent(self, value: Json) -> Places:
        """Return all places of a value, in every notation."""
        part = written(value)
        if not isinstance(value, str):
            return self._amounts(part)
        return _united((self._alike(part) or self.find_exact(part), self._moments(part), self._counts(part)))

    def _alike(self, part: str, any_border: bool = False) -> Places:
        found = self._folded.places(part)
        return list(found) if any_border else [span for span in found if self._borders.fit(span)]

    def _counts(self, part: str) -> Places:
        """Return places of a number that is given as text; digits that begin with 0 are a code: `7` is not `007`."""
        return [(start, end) for start, end in self._amounts(part) if not _CODE.match(self._narrow, start)]

    def _amounts(self, part: str) -> Places:
        """Return places of a number, with or without 元 and the like around it; digits that begin with 0 are a code."""
        part = _YUAN.sub("", narrow(part).strip())
        if _CODE.match(part):
            return ()
        values = _meanings(part, numbers)
        try:
            values = values or [Decimal(part)]
        except InvalidOperation:
            return ()
        return solid(self.text, _united(self._numbers.get(value, ()) for value in values if value.is_finite()))

    def _moments(self, part: str) -> Places:
        """Return places of a date, a time or both, or of a length of time."""
        if len(part) > _LONGEST_MOMENT:
            return ()
        if length := iso_length(part):
            return self._durations.get(length, ())
        on_days = _united(self._dates.get(day, ()) for day in _meanings(part, dates))
        return on_days or _united(self._clocks.get(hour, ()) for hour in _meanings(part, clocks)) or self._in_iso(part)

    def _in_iso(self, part: str) -> Places:
        """Return places of a moment as the formats `time` and `date-time` write it.

        A moment with a time zone is only where the text names one that makes it the same moment; one without is where
        its date and time are, whatever zone the text names.
        """
        try:
            if part[2:3] == ":":
                return self._times(time.fromisoformat(part))
            moment = datetime.fromisoformat(part)
        except ValueError:
            return ()
        if moment.tzinfo is not None:
            return self._zoned.get(moment.astimezone(UTC), ())
        return list(_together(self._dates.get(moment.date(), ()), self._clocks.get(moment.time(), ())))

    def _times(self, wanted: time) -> Places:
        """Return places of a time of day; with a time zone those that name the same one."""
        found = self._clocks.get(wanted.replace(tzinfo=None), ())
        if wanted.tzinfo is None:
            return found
        zones = ((start, end, zone_after(self._narrow, end)) for start, end in found)
        return [(start, zone[0]) for start, _, zone in zones if zone and zone[1].utcoffset(None) == wanted.utcoffset()]

    @cached_property
    def _zoned(self) -> Mapping[datetime, Places]:
        """Every moment of the text that names a time zone, in UTC."""
        found: list[tuple[Span, datetime]] = []
        hours = sorted((span, hour) for hour, spans in self._clocks.items() for span in spans)
        for day, spans in self._dates.items():
            for start, end in spans:
                at = bisect_left(hours, ((end, end), time.min))
                if at == len(hours) or hours[at][0][0] - end > _DATE_TO_TIME:
                    continue
                (_, over), hour = hours[at]
                if zone := zone_after(self._narrow, over):
                    moment = datetime.combine(day, hour, zone[1])
                    found.append(((start, zone[0]), moment.astimezone(UTC)))
        return _by_value(found)

    @cached_property
    def _borders(self) -> Borders:
        return Borders(self.text)

    @cached_property
    def _narrow(self) -> str:
        return narrow(self.text)

    @cached_property
    def _folded(self) -> _Folded:
        return _Folded.of(self.text)

    @cached_property
    def _numbers(self) -> Mapping[Decimal, Places]:
        return _by_value(numbers(self._narrow))

    @cached_property
    def _dates(self) -> Mapping[date, Places]:
        return _by_value(dates(self._narrow))

    @cached_property
    def _durations(self) -> Mapping[Length, Places]:
        return _by_value(durations(self._narrow))

    @cached_property
    def _clocks(self) -> Mapping[time, Places]:
        return _by_value(clocks(self._narrow))


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without differences of width, case and white space, and the range in the original of each character."""

    text: str
    origins: Places

    @classmethod
    def of(cls, text: str) -> _Folded:
        parts: list[str] = []
        origins: list[Span] = []
        for start, end in _clusters(text):
            part = "".join(unicodedata.normalize("NFKC", text[start:end]).casefold().split())
            parts.append(part)
            origins.extend([(start, end)] * len(part))
        return cls("".join(parts), origins)

    def places(self, part: str) -> Iterator[Span]:
        """Yield ranges in the original text that fold to the same; none that begins or ends inside a character."""
        for start, end in occurrences(self.text, _Folded.of(part).text):
            whole_start = start == 0 or self.origins[start - 1] != self.origins[start]
            whole_end = end == len(self.text) or self.origins[end - 1] != self.origins[end]
            if whole_start and whole_end:
                yield self.origins[start][0], self.origins[end - 1][1]


def _clusters(text: str) -> Iterator[Span]:
    """Yield each character with the combining marks after it."""
    start = 0
    for position in range(1, len(text) + 1):
        if position == len(text) or text[position] < "\u0300" or not unicodedata.combining(text[position]):
            yield start, position
            start = position


def _meanings(part: str, readings: Callable[[str], Iterator[tuple[Span, _Key]]]) -> list[_Key]:
    """Return the values that the whole of a part can have."""
    part = narrow(part)
    return [value for span, value in readings(part) if span == (0, len(part))]


def _united(several: Iterable[Places]) -> Places:
    return sorted({span for places in several for span in places})


def _by_value(found: Iterable[tuple[Span, _Key]]) -> Mapping[_Key, Places]:
    index: dict[_Key, list[Span]] = {}
    for span, value in found:
        index.setdefault(value, []).append(span)
    return {value: sorted(set(spans)) for value, spans in index.items()}


def _together(days: Places, hours: Places) -> Iterator[Span]:
    """Yield each date that a time follows closely, with it."""
    for start, end in days:
        at = bisect_left(hours, (end, end))
        if at < len(hours) and hours[at][0] - end <= _DATE_TO_TIME:
            yield start, hours[at][1]


def _is_inside_word(text: str, start: int, end: int) -> bool:
    before = start > 0 and _is_word(text[start - 1]) and _is_word(text[start])
    return before or (end < len(text) and _is_word(text[end - 1]) and _is_word(text[end]))


def _is_word(char: str) -> bool:
    """Return whether a character is part of a word or number: Latin letters and digits, of either width."""
    char = narrow(char)
    return char == "_" or (char < "\u0250" and char.isalnum())
