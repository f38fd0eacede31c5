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
from extractor.engine.engine_thread import Stepper


@dataclass
class Counting:
    """An engine whose requests are numbers of steps to take; the answer is the step that ended them."""

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
def _stepping(engine: Counting) -> Iterator[Stepper[str, int, int]]:
    stepper = Stepper[str, int, int](engine)
    try:
        yield stepper
    finally:
        stepper.close()


def _thread_of(stepper: Stepper[str, int, int]) -> threading.Thread:
    return stepper._worker


def _all(stepper: Stepper[str, int, int]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while done := stepper.collect():
        found += done
    return found


def test_what_is_submitted_in_one_breath_begins_in_one_step_and_each_answer_has_its_tag() -> None:
    engine = Counting()
    with _stepping(engine) as stepper:
        for name, steps in (("two", 2), ("one", 1), ("four", 4), ("another two", 2)):
            stepper.submit(name, steps)
            time.sleep(0.01)
        assert _all(stepper) == [("one", 1), ("two", 2), ("another two", 2), ("four", 4)]
        assert stepper.collect() == []
    assert [len(batch) for batch in engine.batches] == [4, 3, 1, 1]


def test_only_the_thread_calls_the_engine() -> None:
    engine = Counting()
    with _stepping(engine) as stepper:
        stepper.submit("a", 3)
        _all(stepper)
    assert engine.closed
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


def test_steps_go_on_while_the_caller_is_busy() -> None:
    with _stepping(Counting()) as stepper:
        stepper.submit("short", 1)
        stepper.submit("long", 50)
        assert stepper.collect() == [("short", 1)]
        time.sleep(0.5)
        assert stepper.collect(wait=False) == [("long", 50)]


def test_what_follows_from_an_answer_is_in_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_thread, "_MOMENT", 1e9)
    engine = Counting(seconds=0.001)
    with _stepping(engine) as stepper:
        stepper.submit("first", 1)
        stepper.submit("beside", 3)
        assert stepper.collect() == [("first", 1)]
        time.sleep(0.05)
        stepper.submit("retry", 1)
        assert stepper.collect() == [("retry", 2)]
        assert _all(stepper) == [("beside", 3)]


def test_without_waiting_there_may_be_nothing_yet() -> None:
    with _stepping(Counting(seconds=0.05)) as stepper:
        stepper.submit("a", 2)
        assert stepper.collect(wait=False) == []
        assert stepper.collect() == [("a", 2)]


def test_an_error_in_a_step_is_raised_behind_the_answers_that_came_before_it() -> None:
    engine = Counting(fails_at=2)
    with _stepping(engine) as stepper:
        stepper.submit("fine", 1)
        stepper.submit("broken", 5)
        assert stepper.collect() == [("fine", 1)]
        for _ in range(2):
            with pytest.raises(ArithmeticError, match="the step broke") as raised:
                stepper.collect()
        assert "in step" in "".join(traceback.format_exception(raised.value))
        with pytest.raises(ArithmeticError):
            stepper.submit("late", 1)
        _thread_of(stepper).join(10)
        assert engine.closed


def test_an_error_before_the_first_step_is_raised_as_well() -> None:
    def fail() -> None:
        raise OSError("no such device")

    stepper = Stepper[str, int, int](Counting(), fail)
    _thread_of(stepper).join(10)
    with pytest.raises(OSError, match="no such device"):
        stepper.submit("a", 1)
    stepper.close()


def test_leaving_waits_for_the_step_under_way_and_drops_what_is_in_flight() -> None:
    engine = Counting(seconds=0.1)
    with _stepping(engine) as stepper:
        stepper.submit("long", 10**9)
        stepper.collect(wait=False)
        time.sleep(0.05)
        began = time.perf_counter()
    assert time.perf_counter() - began < 5
    assert not _thread_of(stepper).is_alive()
    assert engine.closed
    stepper.close()  # once more does nothing


def test_an_interrupt_ends_the_wait_for_an_answer() -> None:
    began = time.perf_counter()
    with _stepping(Counting(seconds=0.01)) as stepper:
        stepper.submit("endless", 10**9)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            stepper.collect()
    assert time.perf_counter() - began < 5
    assert not _thread_of(stepper).is_alive()


def test_with_nothing_to_do_the_thread_takes_no_processor_time() -> None:
    with _stepping(Counting()) as stepper:
        stepper.submit("a", 1)
        _all(stepper)
        thread = _thread_of(stepper).ident
        assert thread is not None
        clock = time.pthread_getcpuclockid(thread)
        before = time.clock_gettime(clock)
        time.sleep(0.5)
        assert time.clock_gettime(clock) - before < 0.005


def test_a_stepper_that_nobody_has_any_more_ends_its_thread() -> None:
    engine = Counting(seconds=0.01)
    stepper = Stepper[str, int, int](engine)
    stepper.submit("long", 10**9)
    stepper.collect(wait=False)
    thread = _thread_of(stepper)
    del stepper
    gc.collect()
    assert not thread.is_alive()
    assert engine.closed
