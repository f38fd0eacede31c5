"""An engine in a thread of its own, so that what its caller does between answers (tokens, judging, writing) stalls no
step.

Requests wait for the next `collect`: what is submitted in one breath begins in one step. After a step that ended
answers the thread gives the caller a moment to hand in what follows from them, so that a retry is usually in the next
step. What a request is this module does not know, nor what a step does.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Generic, Protocol, TypeVar

Tag = TypeVar("Tag")
Request = TypeVar("Request")
Answer = TypeVar("Answer")
_Request = TypeVar("_Request", contravariant=True)

_MOMENT = 0.1  # of the time that the last step took


class Engine(Protocol[_Request, Answer]):
    """What is driven, by one thread only. `step` goes on with all that was added and returns what ended, by key."""

    def add(self, request: _Request) -> int: ...

    def step(self) -> list[tuple[int, Answer]]: ...

    def close(self) -> None: ...


class Stepper(Generic[Tag, Request, Answer]):
    """A queue in front of an engine; each answer comes back with the tag that its request was given.

    It is used by one thread at a time. The engine's thread ends, and closes the engine, on `close`, with the process,
    when nobody has the stepper any more, or with an error, which `submit` and `collect` then raise.
    """

    def __init__(self, engine: Engine[Request, Answer], prepare: Callable[[], None] = lambda: None) -> None:
        """`prepare` is called first in the new thread."""
        self._new: list[tuple[Tag, Request]] = []
        self._in_flight = 0
        self._worker = _Worker[Tag, Request, Answer](engine, prepare)
        self._worker.start()
        self._close = weakref.finalize(self, self._worker.leave)

    def submit(self, tag: Tag, request: Request) -> None:
        """Keep a request for the next `collect`."""
        if self._worker.error is not None:
            raise self._worker.error
        self._new.append((tag, request))
        self._in_flight += 1

    def collect(self, *, wait: bool = True) -> list[tuple[Tag, Answer]]:
        """Hand over what was submitted and return what is answered: with `wait` at least one, if any is in flight."""
        new, self._new = self._new, []
        done = self._worker.exchange(new, wait=wait and self._in_flight > 0)
        self._in_flight -= len(done)
        return done

    def close(self) -> None:
        """End the thread after the step that it is in. What is in flight is dropped."""
        self._close()


class _Worker(threading.Thread, Generic[Tag, Request, Answer]):
    """The thread, and what it shares with the caller: it holds no stepper, so that one can be forgotten."""

    def __init__(self, engine: Engine[Request, Answer], prepare: Callable[[], None]) -> None:
        super().__init__(name="engine", daemon=True)
        self.error: BaseException | None = None
        self._engine = engine
        self._prepare = prepare
        self._flights: dict[int, Tag] = {}
        self._changed = threading.Condition()
        self._handed: list[tuple[Tag, Request]] = []
        self._done: list[tuple[Tag, Answer]] = []
        self._awaited = False
        self._leaving = False

    def exchange(self, new: list[tuple[Tag, Request]], *, wait: bool) -> list[tuple[Tag, Answer]]:
        """For the caller: requests against answers; the error that ended the thread comes behind the last."""
        with self._changed:
            self._handed += new
            self._awaited = True
            self._changed.notify_all()
            if wait:
                self._changed.wait_for(lambda: self._done or self.error)
            if self.error is not None and not self._done:
                raise self.error
            done, self._done = self._done, []
            return done

    def leave(self) -> None:
        """For the caller: end the thread, and wait for that."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
        if threading.current_thread() is not self:  # the stepper may be forgotten in the middle of a step
            self.join()

    def run(self) -> None:
        try:
            self._prepare()
            while self._take():
                began = perf_counter()
                ended = self._engine.step()
                if ended:
                    self._hand_out([(self._flights.pop(key), answer) for key, answer in ended], perf_counter() - began)
        except BaseException as error:  # handed to the caller: nothing is swallowed
            with self._changed:
                self.error = error
                self._changed.notify_all()
        finally:
            self._engine.close()

    def _take(self) -> bool:
        """Add what was handed over, once there is anything to do; False when it is time to leave."""
        with self._changed:
            self._changed.wait_for(lambda: self._flights or self._handed or self._leaving)
            if self._leaving:
                return False
            handed, self._handed = self._handed, []
        for tag, request in handed:
            self._flights[self._engine.add(request)] = tag
        return True

    def _hand_out(self, ended: list[tuple[Tag, Answer]], seconds: float) -> None:
        """Hand answers out and wait a moment for the caller to come back."""
        with self._changed:
            self._done += ended
            self._awaited = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._awaited or self._leaving, _MOMENT * seconds)
