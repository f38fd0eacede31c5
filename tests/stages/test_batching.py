"""Many prompts, a bounded window, and retries that take the place of what they retry."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from extractor.backends.scripted import Backend
from extractor.data import (
    Chunk,
    Completion,
    Document,
    Extraction,
    FailedDocument,
    Message,
    Outcome,
    Prompt,
    Rejection,
    Source,
)
from extractor.errors import Problem
from extractor.stages.batching import Job, Prefetcher, Result, Stop, generate, in_order
from extractor.task.task import Task, make_task

TASK: Task = make_task({"type": "object", "properties": {"a": {"type": "string"}}})


def _document(number: int) -> Document:
    return Document(f"d{number}", f"text {number}", Source(f"d{number}", str(number)))


def _prompt(document: Document, rejected: tuple[Rejection, ...] = (), index: int = 0) -> Prompt:
    return Prompt(Chunk(document, index, 0, 4), TASK, (Message("user", "?"),), 8, rejected=rejected)


def _jobs(count: int, chunks: int = 1) -> Iterator[Job]:
    for number in range(count):
        document = _document(number)
        yield Job(document, tuple(_prompt(document, index=index) for index in range(chunks)))


def _accept(completion: Completion) -> Outcome:
    return Extraction(completion, {"a": None})


def _never(outcome: Outcome) -> Sequence[Prompt]:
    return ()


def _ids(results: Sequence[Result]) -> list[str]:
    return [result.document.id for result in results]


def test_every_document_comes_back_once() -> None:
    results = list(generate(_jobs(50), Backend(batch=7), _accept, _never, 16, Stop()))
    assert sorted(_ids(results)) == sorted(f"d{number}" for number in range(50))


def test_documents_that_overtake_are_put_back_in_input_order() -> None:
    results = list(generate(_jobs(40), Backend(batch=3, lifo=True), _accept, _never, 16, Stop()))
    assert _ids(results) != [f"d{number}" for number in range(40)]
    assert _ids(list(in_order(results))) == [f"d{number}" for number in range(40)]


def test_no_more_than_a_window_is_in_flight() -> None:
    backend = Backend(batch=2)
    landed, most = 0, 0
    for _ in generate(_jobs(100), backend, _accept, _never, 10, Stop()):
        most = max(most, backend.submitted - landed)
        landed += 1
    assert landed == 100
    assert most <= 10


def test_a_document_of_many_chunks_waits_for_all_of_them() -> None:
    results = list(generate(_jobs(3, chunks=25), Backend(batch=4), _accept, _never, 5, Stop()))
    assert [len(result.outcomes) for result in results] == [25, 25, 25]


def test_a_rejection_is_asked_again_and_only_the_last_outcome_counts() -> None:
    def judge(completion: Completion) -> Outcome:
        return _accept(completion) if completion.prompt.attempt == 3 else Rejection.of(completion, "parse", "no")

    def retry(outcome: Outcome) -> Sequence[Prompt]:
        if isinstance(outcome, Extraction):
            return ()
        asked = outcome.completion.prompt
        return (_prompt(asked.chunk.document, (*asked.rejected, outcome)),)

    results = list(generate(_jobs(10), Backend(), judge, retry, 4, Stop()))
    assert len(results) == 10
    for result in results:
        (outcome,) = result.outcomes
        assert isinstance(outcome, Extraction)
        assert [earlier.code for earlier in outcome.completion.prompt.rejected] == ["parse", "parse"]


def test_a_document_waits_for_all_parts_of_an_answer_that_is_asked_in_parts() -> None:
    def judge(completion: Completion) -> Outcome:
        return _accept(completion) if completion.prompt.rejected else Rejection.of(completion, "length", "cut off")

    def retry(outcome: Outcome) -> Sequence[Prompt]:
        if isinstance(outcome, Extraction):
            return ()
        return tuple(_prompt(outcome.chunk.document, (outcome,), index) for index in range(3))

    results = list(generate(_jobs(5), Backend(), judge, retry, 2, Stop()))
    assert [len(result.outcomes) for result in results] == [3] * 5


def test_a_further_prompt_is_waited_for_and_counts_beside_the_answer() -> None:
    def further(outcome: Outcome) -> Sequence[Prompt]:
        asked = outcome.completion.prompt
        if asked.found or not isinstance(outcome, Extraction):
            return ()
        return (replace(asked, found=(outcome,)),)

    results = list(generate(_jobs(7, chunks=2), Backend(batch=3), _accept, further, 4, Stop()))
    for result in results:
        assert sorted(outcome.completion.prompt.pass_number for outcome in result.outcomes) == [1, 1, 2, 2]
        assert len({outcome.chunk.document.id for outcome in result.outcomes}) == 1


def test_an_unreadable_document_passes_through() -> None:
    failure = FailedDocument("x", Source("x", ""), Problem("binary", "not text"))
    jobs = [Job(failure), *_jobs(1)]
    results = list(generate(jobs, Backend(), _accept, _never, 4, Stop()))
    assert _ids(list(in_order(results))) == ["x", "d0"]


def test_after_stop_prompts_in_flight_finish_and_no_document_begins() -> None:
    stop = Stop()
    seen, in_flight = [], 0
    for result in generate(_jobs(1000), Backend(batch=2), _accept, _never, 8, stop):
        seen.append(result)
        in_flight = in_flight or stop.in_flight
        stop.set()
    assert 1 <= len(seen) == in_flight <= 8


def test_documents_in_flight_are_counted_whatever_the_number_of_their_prompts() -> None:
    stop = Stop()
    results = generate(_jobs(2, chunks=3), Backend(batch=1), _accept, _never, 16, stop)
    next(results)
    assert stop.in_flight == 2
    assert len(list(results)) == 1
    assert stop.in_flight == 0


def test_an_error_of_the_input_is_raised_to_the_caller() -> None:
    def broken() -> Iterator[Job]:
        yield from _jobs(2)
        raise ZeroDivisionError("the reader broke")

    with pytest.raises(ZeroDivisionError, match="the reader broke"):
        list(generate(broken(), Backend(), _accept, _never, 4, Stop()))


def test_prefetching_is_bounded_and_keeps_order() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    with Prefetcher(numbers(), 5, threading.Event()) as prefetched:
        first = [prefetched.get(block=True) for _ in range(10)]
        assert first == list(range(10))
        assert len(read) <= 10 + 5 + 2


def test_slow_input_does_not_hold_up_finished_documents() -> None:
    gate = threading.Event()

    def slow() -> Iterator[Job]:
        yield from _jobs(1)
        gate.wait(10)
        yield from _jobs(1)

    results = generate(slow(), Backend(), _accept, _never, 4, Stop())
    assert next(results).document.id == "d0"  # would hang until the gate opens if input were waited for
    assert not gate.is_set()
    gate.set()
    assert len(list(results)) == 1
