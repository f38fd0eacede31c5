"""Stage 4: prompts go through a backend, a bounded window of them at a time.

A retry is just another prompt: a rejected answer is asked for again in the place that it freed, so it rides in the
next batch and stalls nobody. Memory is bounded by the window, whatever the size of the input. This module does not
know how an answer is judged nor what is asked next: both are handed in.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

from extractor.data import Backend, Completion, Document, FailedDocument, Outcome, Prompt, Rejection

T = TypeVar("T")
Judge = Callable[[Completion], Outcome]
Follow = Callable[[Outcome], Sequence[Prompt]]

_MOMENT = 0.02  # seconds that a batch waits for input before it goes with what there is


@dataclass(frozen=True, slots=True)
class Job:
    """A document and its first prompts; one that could not be read has none."""

    document: Document | FailedDocument
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A document with the final outcomes of its chunks, in no particular order; `place` counts the input."""

    place: int
    document: Document | FailedDocument
    outcomes: tuple[Outcome, ...] = ()


@dataclass(slots=True)
class _Open:
    """A document that is under way and the number of answers it still waits for."""

    place: int
    document: Document | FailedDocument
    waiting: int
    outcomes: list[Outcome] = field(default_factory=list)

    def close(self) -> Result:
        return Result(self.place, self.document, tuple(self.outcomes))


def generate(
    jobs: Iterable[Job], backend: Backend, judge: Judge, follow: Follow, window: int, stop: threading.Event
) -> Iterator[Result]:
    """Yield each document once all its prompts are answered for good; documents may overtake each other.

    `follow` returns the prompts that follow an outcome: the retries that replace a rejection, none when it is final,
    or further questions beside an extraction, which stays. At most `window` prompts are in flight,
    a few more when an answer that was cut off is asked for in parts. After `stop` no new document begins.
    """
    flights: dict[int, _Open] = {}

    def launch(prompt: Prompt, opened: _Open) -> None:
        flights[id(prompt)] = opened
        backend.submit(prompt)

    with ReadAhead(_numbered(jobs), window, stop) as feed:
        while True:
            while len(flights) < window and (item := feed.take(wait=not flights)) is not None:
                opened, prompt = item
                if prompt is None:
                    yield opened.close()
                else:
                    launch(prompt, opened)
            if not flights:
                return
            for completion in backend.collect():
                opened = flights.pop(id(completion.prompt))
                outcome = judge(completion)
                next_ones = follow(outcome)
                for prompt in next_ones:
                    launch(prompt, opened)
                opened.waiting += len(next_ones) - 1
                opened.outcomes.extend(() if next_ones and isinstance(outcome, Rejection) else (outcome,))
                if not opened.waiting:
                    yield opened.close()


def in_order(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results in the order of the input, holding back those that overtook: about a window of them."""
    held: dict[int, Result] = {}
    expected = 0
    for result in results:
        held[result.place] = result
        while expected in held:
            yield held.pop(expected)
            expected += 1


def _numbered(jobs: Iterable[Job]) -> Iterator[tuple[_Open, Prompt | None]]:
    """Each prompt with its document; a document without prompts comes once, with none."""
    for place, job in enumerate(jobs):
        opened = _Open(place, job.document, len(job.prompts))
        yield from ((opened, prompt) for prompt in job.prompts or (None,))


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread, at most `size` items ahead, so that slow input never holds up finished work.

    An exception of the iterator is raised by `take`. The thread ends with the iterator or soon after leaving.
    """

    def __init__(self, items: Iterable[T], size: int, stop: threading.Event) -> None:
        self._items = items
        self._queue: queue.Queue[T | None] = queue.Queue(size)
        self._stop = stop
        self._left = threading.Event()
        self._error: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()

    def take(self, *, wait: bool) -> T | None:
        """The next item; None when there is none, or (without `wait`) none within a moment."""
        while not self._ended and not self._stop.is_set():
            try:
                item = self._queue.get(timeout=0.1 if wait else _MOMENT)
            except queue.Empty:
                if not wait:
                    return None
                continue
            self._ended = item is None
            if self._error is not None and self._ended:
                raise self._error
            return item
        return None

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # handed to the thread that takes: nothing is swallowed
            self._error = error
        self._put(None)

    def _put(self, item: T | None) -> bool:
        while not (self._left.is_set() or self._stop.is_set()):
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
