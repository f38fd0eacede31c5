"""Ours, through the public seam: prompts as the pipeline renders them go into the `chatglm3` backend by the window."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache

from benchmarks import workload
from benchmarks.contenders.job import Answer, Item, Job
from extractor import backends
from extractor.config import ModelConfig, RunConfig
from extractor.data import Chunk, Completion, Document, Prompt, Source
from extractor.engine import constraint, platforms
from extractor.stages.prompting import render
from extractor.task.task import Task, make_task

VARIANTS = {"free": None, "schema": None, "verbatim": None, "alone": 16, "unassisted": 16}
"""`alone` is `verbatim` with one document at a time, as `extract` has it; `unassisted` is the same without
speculative decoding, and with a forward pass for each token that the grammar forces."""


class Contender:
    def __init__(self, job: Job, variant: str) -> None:
        self._constrain = variant != "free"
        self._ground = "none" if variant in ("free", "schema") else "verbatim"
        batch = job.batch or ModelConfig().batch_size
        self._window = 1 if variant in ("alone", "unassisted") else max(RunConfig().window, 2 * batch)
        if variant == "unassisted":
            _decode_plainly()
        self._tokens = job.answer_tokens if self._constrain else job.free_tokens
        config = ModelConfig(job.checkpoint, precision=job.precision, offline=True, batch_size=batch)
        self._backend = backends.make("chatglm3", config)
        self._backend.__enter__()

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        began = time.perf_counter()
        return [_answer(completion, time.perf_counter() - began) for completion in self._complete(items)]

    def _complete(self, items: Sequence[Item]) -> Iterator[Completion]:
        """Keep as many prompts in flight as a run does."""
        waiting, flying = iter(items), 0
        while True:
            while flying < self._window and (item := next(waiting, None)) is not None:
                self._backend.submit(self._prompt(item))
                flying += 1
            if not flying:
                return
            completions = self._backend.collect()
            flying -= len(completions)
            yield from completions

    def _prompt(self, item: Item) -> Prompt:
        document = Document("", item.text, Source("", ""))
        chunk = Chunk(document, 0, 0, len(item.text))
        task = _task(item.prompt, self._ground)
        return render(Prompt(chunk, task, (), self._tokens, constrain=self._constrain))


def _decode_plainly() -> None:
    """Turn off, in this process, what makes decoding more than one token a step."""
    platforms.speculative_rows = lambda device: 0
    constraint.Constraint.jump_forward = lambda self: []  # type: ignore[method-assign]


@cache
def _task(prompt: str, ground: str) -> Task:
    return make_task(workload.schema(ground), prompt)


def _answer(completion: Completion, seconds: float) -> Answer:
    return Answer(completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.text, seconds)
