"""Whether two values mean the same: text without regard to width, case and white space, numbers by amount, dates and
times by the moment.

What is ambiguous (`5/3/2024`) is compared as text. Digits that begin with 0 are a code, not a number, so
that the order `007` is not the order `7`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import lru_cache

from extractor.data import Json, Span
from extractor.text.durations import length
from extractor.text.moments import clocks, dates
from extractor.text.numerals import narrow, numbers
from extractor.text.places import written

_LONGEST = 60
"""Characters: what is longer is neither a number nor a date."""

_CODE = re.compile(r"0\d")
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


def exact(value: Json) -> Hashable:
    """Return a key that two scalars share if they are equal as JSON: 3 is 3.0 but not "3" and not true."""
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    return kind, value


@lru_cache(1 << 16, typed=True)
def meaning(value: Json) -> Hashable:
    """Return a key that two scalars share if they mean the same, whatever their notation or JSON type."""
    text = unicodedata.normalize("NFKC", written(value)).strip()
    folded = "".join(text.casefold().split())
    read = (None,) if len(text) > _LONGEST else (_day(text), _moment(text), _length(text), _amount(folded))
    return next((each for each in read if each is not None), ("text", folded))


def _day(text: str) -> Hashable | None:
    return _only(text, dates) or _only(text, clocks)


def _length(text: str) -> Hashable | None:
    found = length(narrow(text))
    return None if found is None else ("length", found)


def _moment(text: str) -> Hashable | None:
    """Return the date and time that the whole text is: in UTC with a time zone, which makes it another moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    found = {(day, _only(text[end:].strip(), clocks)) for (start, end), day in dates(text) if start == 0}
    moments = {datetime.combine(day, hour) for day, hour in found if isinstance(hour, time)}
    return moments.pop() if len(moments) == 1 else None


def amount(text: str) -> Decimal | None:
    """Return the number that the whole of a text is, in whatever notation: `1,200`, `八万`, `百分之五`."""
    found = {value for span, value in numbers(narrow(text.strip())) if span == (0, len(text.strip()))}
    return found.pop() if len(found) == 1 else None


def _amount(text: str) -> Hashable | None:
    if _CODE.match(text):
        return None
    return Decimal(text) if _PLAIN.fullmatch(text) else _only(text, numbers)


def _only(text: str, readings: Callable[[str], Iterator[tuple[Span, Hashable]]]) -> Hashable | None:
    """Return the value of the whole text, if there is exactly one."""
    found = {value for span, value in readings(text) if span == (0, len(text))}
    return found.pop() if len(found) == 1 else None
