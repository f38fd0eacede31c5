"""An engine in a thread of its own, so that what its caller does between outputs (parsing, writing) stalls no step.

Requests wait for the next `collect`: what is submitted together begins in one step. After a step that completed outputs
the thread gives the caller a moment to submit what follows from them, so that a retry is usually in the next step.

Does not know what a request is, nor what a step does.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Generic, Protocol, TypeVar

Tag = TypeVar("Tag")
Request = TypeVar("Request")
Output = TypeVar("Output")
_Request = TypeVar("_Request", contravariant=True)

_GRACE = 0.1  # of the time that the last step took


class Engine(Protocol[_Request, Output]):
    """What is driven, by one thread only. `step` advances all that was added and returns what is complete, by key."""

    def add(self, request: _Request) -> int: ...

    def step(self) -> list[tuple[int, Output]]: ...

    def close(self) -> None: ...


class EngineThread(Generic[Tag, Request, Output]):
    """A queue in front of an engine; each output comes back with the tag that its request was given.

    It is used by one thread at a time. The engine's thread ends, and closes the engine, on `close`, with the process,
    when nothing refers to this object any more, or with an error, which `submit` and `collect` then raise.
    """

    def __init__(self, engine: Engine[Request, Output], prepare: Callable[[], None] = lambda: None) -> None:
        """Start the thread, which calls `prepare` first."""
        self._new: list[tuple[Tag, Request]] = []  # not handed over yet
        self._in_flight = 0  # submitted and not collected
        self._worker = _Worker[Tag, Request, Output](engine, prepare)
        self._worker.start()
        # `finalize` holds the worker, not this object, and runs at exit of the interpreter as well.
        self._close = weakref.finalize(self, self._worker.stop)

    @property
    def error(self) -> BaseException | None:
        """What ended the thread."""
        return self._worker.error

    def submit(self, tag: Tag, request: Request) -> None:
        """Keep a request for the next `collect`."""
        if self.error is not None:
            raise self.error
        self._new.append((tag, request))
        self._in_flight += 1

    def collect(self, *, wait: bool = True) -> list[tuple[Tag, Output]]:
        """Hand over what was submitted and return complete outputs: with `wait` at least one, if any is in flight."""
        new, self._new = self._new, []
        done = self._worker.exchange(new, wait=wait and self._in_flight > 0)
        self._in_flight -= len(done)
        return done

    def close(self) -> None:
        """End the thread after the step that it is in. What is in flight is dropped."""
        self._close()


class _Worker(threading.Thread, Generic[Tag, Request, Output]):
    """The thread, and what it shares with the caller.

    It does not refer to the `EngineThread`, so that one can be garbage-collected, which stops the thread.
    The lock of `_changed` guards what both use: `error`, `_submitted`, `_done`, `_collecting`, `_stopping`.
    """

    def __init__(self, engine: Engine[Request, Output], prepare: Callable[[], None]) -> None:
        super().__init__(name="engine", daemon=True)
        self.error: BaseException | None = None
        self._engine = engine
        self._prepare = prepare
        self._in_flight_tags: dict[int, Tag] = {}  # by the engine's key
        self._changed = threading.Condition()
        self._submitted: list[tuple[Tag, Request]] = []
        self._done: list[tuple[Tag, Output]] = []
        self._collecting = False  # the caller has come back since the last outputs
        self._stopping = False

    def exchange(self, new: list[tuple[Tag, Request]], *, wait: bool) -> list[tuple[Tag, Output]]:
        """Exchange requests for outputs, for the caller; raise what ended the thread after the last output."""
        with self._changed:
            self._submitted += new  # even if the thread has failed: the error is raised below
            self._collecting = True
            self._changed.notify_all()
            if wait:
                self._changed.wait_for(lambda: self._done or self.error)
            # Outputs of steps before the error are not lost; the error comes with the next call.
            if self.error is not None and not self._done:
                raise self.error
            done, self._done = self._done, []
            return done

    def stop(self) -> None:
        """End the thread and wait for it, for the caller."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if threading.current_thread() is not self:  # a finalizer may run in this thread, in the middle of a step
            self.join()

    def run(self) -> None:
        """Step while there is anything to do, and wait while there is not."""
        try:
            self._prepare()
            while self._add_submitted():
                began = perf_counter()
                if outputs := self._engine.step():
                    done = [(self._in_flight_tags.pop(key), output) for key, output in outputs]
                    self._hand_out(done, perf_counter() - began)
        except BaseException as error:  # raised in the caller: nothing is swallowed
            with self._changed:
                self.error = error
                self._changed.notify_all()
        finally:
            self._engine.close()

    def _add_submitted(self) -> bool:
        """Add what was submitted, once there is anything to do; return False when it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight_tags or self._submitted or self._stopping)
            if self._stopping:
                return False
            submitted, self._submitted = self._submitted, []
        # Outside of the lock: the caller can collect while requests are added.
        for tag, request in submitted:
            self._in_flight_tags[self._engine.add(request)] = tag
        return True

    def _hand_out(self, done: list[tuple[Tag, Output]], seconds: float) -> None:
        """Hand outputs out after a step of so many seconds, and wait a moment for the caller to collect again."""
        with self._changed:
            self._done += done
            self._collecting = False
            self._changed.notify_all()
            # The caller is not collecting now, but may do so soon, with retries that can ride in the next step.
            self._changed.wait_for(lambda: self._collecting or self._stopping, _GRACE * seconds)
