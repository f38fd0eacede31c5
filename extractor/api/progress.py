"""The progress of a run from Python: a bar of tqdm, which is one of a notebook where it runs in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from extractor.data import STATUSES, Record

R = TypeVar("R", bound=Record)


def with_bar(records: Iterator[R], total: int | None) -> Iterator[R]:
    """Yield records, and show how many are done, partial and failed. One item of the input may be several of them."""
    from tqdm.auto import tqdm

    counts: Counter[str] = Counter()
    with tqdm(total=total, unit="doc") as bar:
        for record in records:
            counts[record.status] += 1
            if bar.total is not None:
                bar.total = max(bar.total, bar.n + 1)
            bar.set_postfix({status: counts[status] for status in STATUSES if status != "ok"}, refresh=False)
            bar.update()
            yield record
