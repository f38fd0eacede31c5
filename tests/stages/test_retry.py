"""What is asked after a rejected answer."""

from dataclasses import replace

import pytest

from extractor.data import Chunk, Completion, Extraction, Prompt, Rejection
from extractor.errors import Code, Problem
from extractor.stages import retry
from tests.builders import STRING, a_chunk, a_prompt, a_task

TASK = a_task(["a"], a=STRING)
PROMPT = a_prompt(a_chunk("0123456789"), TASK)


def _halve(chunk: Chunk) -> list[Chunk]:
    return [replace(chunk, end=5), replace(chunk, start=5)]


def _rejected(code: Code, prompt: Prompt = PROMPT) -> Rejection:
    return Rejection.of(Completion(prompt, "?"), code, "no")


def _after(outcome: Rejection | Extraction, context: int = 1000, max_attempts: int = 3) -> tuple[Prompt, ...]:
    return retry.after(outcome, max_attempts, lambda prompt: prompt.max_tokens <= context, _halve)


@pytest.mark.parametrize("code", ["parse", "schema", "ungrounded", "error"])
def test_a_bad_answer_is_asked_for_again_with_its_rejection(code: Code) -> None:
    rejection = _rejected(code)
    assert _after(rejection) == (replace(PROMPT, rejected=(rejection,)),)


@pytest.mark.parametrize(
    ("codes", "attempt", "asked_again"),
    [
        (["required"], 1, True),
        (["required", "required"], 2, False),
        (["required", "schema"], 2, True),
        (["ungrounded"], 2, True),
    ],
)
def test_an_answer_that_only_lacks_required_values_is_repeated_once(
    codes: list[Code], attempt: int, asked_again: bool
) -> None:
    prompt = replace(PROMPT, rejected=(_rejected("parse"),) * (attempt - 1))
    problems = tuple(Problem(code, f"/{number}: no") for number, code in enumerate(codes))
    assert bool(_after(Rejection(Completion(prompt, "?"), problems), max_attempts=5)) == asked_again


def test_an_answer_that_was_cut_off_gets_twice_the_tokens() -> None:
    rejection = _rejected("length")
    assert _after(rejection, context=200) == (replace(PROMPT, max_tokens=200, rejected=(rejection,)),)


@pytest.mark.parametrize(("code", "context"), [("length", 199), ("overflow", 1000)])
def test_what_does_not_fit_is_asked_about_in_halves_that_need_not_hold_required_fields(
    code: Code, context: int
) -> None:
    rejection = _rejected(code)
    halves = _after(rejection, context)
    assert [(half.chunk.start, half.chunk.end, half.max_tokens) for half in halves] == [(0, 5, 100), (5, 10, 100)]
    assert [half.rejected for half in halves] == [(rejection,)] * 2
    assert all(half.task.validate({"a": None}) == () for half in halves)
    assert TASK.validate({"a": None}) != ()


def test_nothing_follows_the_last_attempt_or_an_extraction() -> None:
    second = replace(PROMPT, rejected=(_rejected("parse"),))
    assert len(_after(_rejected("parse", second), max_attempts=3)) == 1
    assert _after(_rejected("parse", second), max_attempts=2) == ()
    assert _after(Extraction(Completion(PROMPT, "{}"), {})) == ()
