"""Stage 4: prompts go through a backend, a bounded window of them at a time.

A retry is just another prompt: it takes the place in the window that the rejected answer freed, so it rides in the next
batch and stalls nobody. Memory is bounded by the window, whatever the size of the input. This module does not know how
an answer is judged nor what is asked next: both are handed in.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

from extractor.data import Backend, Completion, Document, FailedDocument, Outcome, Prompt, Rejection
from extractor.failures import contain

T = TypeVar("T")
Judge = Callable[[Completion], Outcome]
FollowUp = Callable[[Outcome], Sequence[Prompt]]

_FILL_DELAY = 0.02  # seconds that a batch with room waits for the next document before it goes without
_POLL = 0.1  # seconds between looks at whether to stop


class Stop(threading.Event):
    """Set from outside, it ends a run after what is in flight; `in_flight` says how many documents that is."""

    in_flight = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A document and its first prompts; one that could not be read has none."""

    document: Document | FailedDocument
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A document with the final outcomes of its chunks, in no particular order; `index` is its place in the input."""

    index: int
    document: Document | FailedDocument
    outcomes: tuple[Outcome, ...] = ()


@dataclass(slots=True)
class _Pending:
    """A document with prompts that have no final outcome yet, and how many those are.

    One that has failed waits for the prompts of it that are in flight, whatever their answers are.
    """

    index: int
    document: Document | FailedDocument
    unanswered: int
    outcomes: list[Outcome] = field(default_factory=list)

    def fail(self, document: FailedDocument) -> None:
        self.document = document
        self.outcomes.clear()

    @property
    def has_failed(self) -> bool:
        return isinstance(self.document, FailedDocument)

    def result(self) -> Result:
        return Result(self.index, self.document, tuple(self.outcomes))


def generate(
    jobs: Iterable[Job], backend: Backend, judge: Judge, follow_up: FollowUp, window: int, stop: Stop
) -> Iterator[Result]:
    """Yield each document once all its prompts have a final outcome; documents may overtake each other.

    `follow_up` returns the prompts that an outcome leads to: the retries that replace a rejection, none when it is
    final; or further prompts beside an extraction, which stays. At most `window` prompts are in flight, a few more when
    an answer that was cut off is asked for in parts. After `stop` no new document begins.
    """
    in_flight = _InFlight(backend, judge, follow_up)
    with Prefetcher(_prompts(jobs), window, stop) as prefetched:
        while True:
            # Wait for input only when nothing else is left to do: slow reading never holds up finished answers.
            while len(in_flight) < window and (item := prefetched.get(block=not len(in_flight))) is not None:
                pending, prompt = item
                if prompt is not None:
                    in_flight.submit(prompt, pending)
                if not pending.unanswered:
                    yield pending.result()
            stop.in_flight = in_flight.documents
            if not len(in_flight):
                return
            for completion in backend.collect():
                answered = in_flight.settle(completion)
                if answered is not None and not answered.unanswered:
                    yield answered.result()


class _InFlight:
    """The prompts that the backend works on. What a document makes this program raise fails that document."""

    def __init__(self, backend: Backend, judge: Judge, follow_up: FollowUp) -> None:
        self._backend = backend
        self._judge = judge
        self._follow_up = follow_up
        # By identity: a completion holds the very prompt that was submitted, and equal prompts are different requests.
        # A prompt in flight is kept alive by the backend, so its id is not given to another.
        self._documents: dict[int, _Pending] = {}

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def documents(self) -> int:
        """The number of documents whose prompts these are."""
        return len({id(pending) for pending in self._documents.values()})

    def submit(self, prompt: Prompt, pending: _Pending) -> None:
        """Hand a prompt to the backend, unless its document has failed meanwhile."""
        failed = None if pending.has_failed else contain(pending.document, lambda: self._backend.submit(prompt))
        if failed is not None:
            pending.fail(failed)
        if pending.has_failed:
            pending.unanswered -= 1
        else:
            self._documents[id(prompt)] = pending

    def settle(self, completion: Completion) -> _Pending | None:
        """Take in an answer and submit what follows from it. Return its document; None for one of no interest."""
        pending = self._documents.pop(id(completion.prompt), None)
        if pending is None:  # of a prompt that the backend took and then raised over
            return None
        settled = contain(pending.document, lambda: self._outcome(completion)) if not pending.has_failed else None
        pending.unanswered -= 1
        if isinstance(settled, FailedDocument):
            pending.fail(settled)
        elif settled is not None:
            outcome, prompts = settled
            replaced = bool(prompts) and isinstance(outcome, Rejection)  # the prompts carry it on in `rejected`
            pending.outcomes.extend(() if replaced else (outcome,))
            pending.unanswered += len(prompts)
            for prompt in prompts:
                self.submit(prompt, pending)
        return pending

    def _outcome(self, completion: Completion) -> tuple[Outcome, Sequence[Prompt]]:
        outcome = self._judge(completion)
        return outcome, self._follow_up(outcome)


def in_order(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results in the order of the input, holding back those that overtook: about a window of them."""
    held: dict[int, Result] = {}
    expected = 0
    for result in results:
        held[result.index] = result
        while expected in held:
            yield held.pop(expected)
            expected += 1


def _prompts(jobs: Iterable[Job]) -> Iterator[tuple[_Pending, Prompt | None]]:
    """Yield each prompt with its document; a document without prompts comes once, with None."""
    for index, job in enumerate(jobs):
        pending = _Pending(index, job.document, len(job.prompts))
        yield from ((pending, prompt) for prompt in job.prompts or (None,))


class Prefetcher(Generic[T]):
    """Runs an iterator in a thread, at most `size` items ahead.

    An exception of the iterator is raised by `get`. The thread ends with the iterator, or soon after the `with` block
    or `stop`; it is a daemon, because an iterator that blocks in a read cannot be interrupted.
    """

    def __init__(self, items: Iterable[T], size: int, stop: threading.Event) -> None:
        self._items = items
        self._queue: queue.Queue[T | None] = queue.Queue(size)  # None: the iterator has ended
        self._stop = stop
        self._left = threading.Event()
        self._error: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._fill, name="prefetch", daemon=True)

    def __enter__(self) -> Prefetcher[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()

    def get(self, *, block: bool) -> T | None:
        """Return the next item; None at the end, after `stop`, or (without `block`) when none comes within a moment."""
        while not self._ended and not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL if block else _FILL_DELAY)
            except queue.Empty:
                if not block:
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
        except BaseException as error:  # raised again by `get`, in the thread that uses the items
            self._error = error
        self._put(None)

    def _put(self, item: T | None) -> bool:
        while not (self._left.is_set() or self._stop.is_set()):
            try:
                self._queue.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False
