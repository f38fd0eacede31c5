"""An engine in a thread of its own, on engines that only count."""

import gc
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from extractor.engine import engine_thread
from extractor.engine.engine_thread import EngineThread


@dataclass
class Counting:
    """An engine whose requests are numbers of steps to take; the output is the step that ended them."""

    seconds: float = 0.0
    fails_at: int = 0
    threads: set[int] = field(default_factory=set)
    batches: list[list[int]] = field(default_factory=list)
    left: dict[int, int] = field(default_factory=dict)
    added: int = 0
    closed: bool = False

    def add(self, request: int) -> int:
        self.threads.add(threading.get_ident())
        key = 1000 + self.added
        self.added += 1
        self.left[key] = request
        return key

    def step(self) -> list[tuple[int, int]]:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        self.batches.append(list(self.left))
        if len(self.batches) == self.fails_at:
            raise ArithmeticError("the step broke")
        self.left = {key: steps - 1 for key, steps in self.left.items()}
        ended = [key for key, steps in self.left.items() if not steps]
        for key in ended:
            del self.left[key]
        return [(key, len(self.batches)) for key in ended]

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed = True


@contextmanager
def _running(engine: Counting) -> Iterator[EngineThread[str, int, int]]:
    thread = EngineThread[str, int, int](engine)
    try:
        yield thread
    finally:
        thread.close()


def _thread_of(thread: EngineThread[str, int, int]) -> threading.Thread:
    return thread._worker


def _all(thread: EngineThread[str, int, int]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while done := thread.collect():
        found += done
    return found


def test_what_is_submitted_together_begins_in_one_step_and_each_output_has_its_tag() -> None:
    engine = Counting()
    with _running(engine) as thread:
        for name, steps in (("two", 2), ("one", 1), ("four", 4), ("another two", 2)):
            thread.submit(name, steps)
            time.sleep(0.01)
        assert _all(thread) == [("one", 1), ("two", 2), ("another two", 2), ("four", 4)]
        assert thread.collect() == []
    assert [len(batch) for batch in engine.batches] == [4, 3, 1, 1]


def test_only_the_thread_calls_the_engine() -> None:
    engine = Counting()
    with _running(engine) as thread:
        thread.submit("a", 3)
        _all(thread)
    assert engine.closed
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


def test_steps_continue_while_the_caller_is_busy() -> None:
    with _running(Counting()) as thread:
        thread.submit("short", 1)
        thread.submit("long", 50)
        assert thread.collect() == [("short", 1)]
        time.sleep(0.5)
        assert thread.collect(wait=False) == [("long", 50)]


def test_what_follows_from_an_output_is_in_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_thread, "_GRACE", 1e9)
    engine = Counting(seconds=0.001)
    with _running(engine) as thread:
        thread.submit("first", 1)
        thread.submit("beside", 3)
        assert thread.collect() == [("first", 1)]
        time.sleep(0.05)
        thread.submit("retry", 1)
        assert thread.collect() == [("retry", 2)]
        assert _all(thread) == [("beside", 3)]


def test_without_waiting_there_may_be_nothing_yet() -> None:
    with _running(Counting(seconds=0.05)) as thread:
        thread.submit("a", 2)
        assert thread.collect(wait=False) == []
        assert thread.collect() == [("a", 2)]


def test_an_error_in_a_step_is_raised_after_the_outputs_that_came_before_it() -> None:
    engine = Counting(fails_at=2)
    with _running(engine) as thread:
        thread.submit("fine", 1)
        thread.submit("broken", 5)
        assert thread.collect() == [("fine", 1)]
        for _ in range(2):
            with pytest.raises(ArithmeticError, match="the step broke") as raised:
                thread.collect()
        assert "in step" in "".join(traceback.format_exception(raised.value))
        with pytest.raises(ArithmeticError):
            thread.submit("late", 1)
        _thread_of(thread).join(10)
        assert engine.closed


def test_an_error_before_the_first_step_is_raised_as_well() -> None:
    def fail() -> None:
        raise OSError("no such device")

    thread = EngineThread[str, int, int](Counting(), fail)
    _thread_of(thread).join(10)
    with pytest.raises(OSError, match="no such device"):
        thread.submit("a", 1)
    thread.close()


def test_closing_waits_for_the_current_step_and_drops_what_is_in_flight() -> None:
    engine = Counting(seconds=0.1)
    with _running(engine) as thread:
        thread.submit("long", 10**9)
        thread.collect(wait=False)
        time.sleep(0.05)
        began = time.perf_counter()
    assert time.perf_counter() - began < 5
    assert not _thread_of(thread).is_alive()
    assert engine.closed
    thread.close()  # a second time it does nothing


def test_an_interrupt_ends_the_wait_for_an_output() -> None:
    began = time.perf_counter()
    with _running(Counting(seconds=0.01)) as thread:
        thread.submit("endless", 10**9)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            thread.collect()
    assert time.perf_counter() - began < 5
    assert not _thread_of(thread).is_alive()


def test_with_nothing_to_do_the_thread_takes_no_processor_time() -> None:
    with _running(Counting()) as thread:
        thread.submit("a", 1)
        _all(thread)
        ident = _thread_of(thread).ident
        assert ident is not None
        clock = time.pthread_getcpuclockid(ident)
        before = time.clock_gettime(clock)
        time.sleep(0.5)
        assert time.clock_gettime(clock) - before < 0.005


def test_the_thread_ends_when_nothing_refers_to_it() -> None:
    engine = Counting(seconds=0.01)
    thread = EngineThread[str, int, int](engine)
    thread.submit("long", 10**9)
    thread.collect(wait=False)
    worker = _thread_of(thread)
    del thread
    gc.collect()
    assert not worker.is_alive()
    assert engine.closed
