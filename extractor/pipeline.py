"""The wiring: which stage follows which. The only module that knows the stages; no policy is in it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

from extractor.config import RunConfig
from extractor.data import Backend, Completion, Document, FailedDocument, Outcome, Prompt, Record, Rejection, RunInfo
from extractor.stages import (
    batching,
    chunking,
    confidence,
    grounding,
    merging,
    parsing,
    sampling,
    thresholds,
)
from extractor.stages.batching import Job, Result
from extractor.stages.budget import Budget
from extractor.stages.passes import PassPolicy
from extractor.stages.prompting import Prompter
from extractor.stages.retry import RetryPolicy
from extractor.storage import fingerprint
from extractor.task.redaction import redact
from extractor.task.task import Task


@dataclass(frozen=True)
class Pipeline:
    """One task on one loaded backend. `run` is the table of contents of the whole program."""

    task: Task
    backend: Backend
    config: RunConfig = RunConfig()
    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def settings(self) -> dict[str, str]:
        return fingerprint.run_settings(self.task, self.backend, self.config)

    @cached_property
    def info(self) -> RunInfo:
        return fingerprint.run_info(self.task, self.backend, self.settings)

    @cached_property
    def prompter(self) -> Prompter:
        return Prompter(self.backend.count_tokens, self.backend.context, self.config.passes)

    @cached_property
    def budget(self) -> Budget:
        counting = self.backend.context, self.backend.count_tokens, self.prompter.instructions
        return Budget(self.task, self.config, *counting)

    @cached_property
    def retries(self) -> RetryPolicy:
        halve = partial(chunking.halve, count_tokens=self.backend.count_tokens, overlap=self.budget.overlap)
        return RetryPolicy(self.config.max_attempts, self.backend.context, self.prompter.size, halve)

    @cached_property
    def passes(self) -> PassPolicy:
        return PassPolicy(self.config.passes, self.budget.answer, merging.unite)

    def run(self, documents: Iterable[Document | FailedDocument]) -> Iterator[Record]:
        """Yield one record per document. Setting `stop` ends it after what is in flight."""
        jobs = (Job(document, self.prompts(document)) for document in documents)
        results = batching.generate(jobs, self.backend, self._judge, self._follow, self.config.window, self.stop)
        for result in batching.in_order(results) if self.config.ordered else results:
            yield self._record(result)

    def check(self) -> None:
        """Raise UsageError where an example is wrong or the prompt leaves no room for text."""
        grounding.check_examples(self.task)
        _ = self.budget.chunk

    def prompts(self, document: Document | FailedDocument) -> tuple[Prompt, ...]:
        """Return the first prompts about a document; none where there is no text."""
        if isinstance(document, FailedDocument):
            return ()
        chunks = chunking.split(document, self.backend.count_tokens, self.budget.chunk, self.budget.overlap)
        asked = ((chunk, task) for chunk in chunks for task in self.budget.tasks(len(chunks)))
        room, constrain = self.budget.answer, self.config.constrain
        return tuple(self._ask(Prompt(chunk, task, (), room, constrain=constrain)) for chunk, task in asked)

    def _judge(self, completion: Completion) -> Outcome:
        outcome = confidence.score(parsing.parse(completion))
        outcome = grounding.ground(outcome, self.config.ungrounded)
        return thresholds.apply(outcome, self.config.min_confidence)

    def _follow(self, outcome: Outcome) -> tuple[Prompt, ...]:
        drafts = self.retries.after(outcome) if isinstance(outcome, Rejection) else self.passes.after(outcome)
        return tuple(map(self._ask, drafts))

    def _ask(self, draft: Prompt) -> Prompt:
        prompt = self.prompter.fit(sampling.by_attempt(draft, self.config))
        return sampling.by_pass(prompt, self.config) if self.prompter.repeats(prompt) else prompt

    def _record(self, result: Result) -> Record:
        record = merging.merge(result.document, result.outcomes, self.info)
        if self.config.all_occurrences:
            record = grounding.all_occurrences(record, result.document, self.task)
        return redact(record, self.task) if self.config.redact else record
