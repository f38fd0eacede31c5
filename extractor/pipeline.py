"""The wiring: which stage follows which. The only module that knows the stages; no policy is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

from extractor.config import RunConfig
from extractor.data import Backend, Completion, Document, FailedDocument, Outcome, Prompt, Record, RunInfo
from extractor.failures import contain
from extractor.stages import (
    batching,
    chunking,
    confidence,
    grounding,
    merging,
    normalizing,
    parsing,
    passes,
    prompting,
    references,
    retry,
    sampling,
    thresholds,
)
from extractor.stages.batching import Job, Result, Stop
from extractor.stages.budget import Budget
from extractor.stages.prompting import Prompter
from extractor.storage import fingerprint
from extractor.task.redaction import redact
from extractor.task.task import Task


@dataclass(frozen=True)
class Pipeline:
    """One task on one loaded backend. `run` is the table of contents of the whole program."""

    task: Task
    backend: Backend
    config: RunConfig = RunConfig()
    stop: Stop = field(default_factory=Stop)

    def run(self, documents: Iterable[Document | FailedDocument]) -> Iterator[Record]:
        """Yield one record per document. Setting `stop` ends it after what is in flight."""
        return (record for _, record in self.run_with_documents(documents))

    def run_with_documents(
        self, documents: Iterable[Document | FailedDocument]
    ) -> Iterator[tuple[Document | FailedDocument, Record]]:
        """Yield the same, each record with its document, whose text it does not hold."""
        jobs = map(self._job, documents)
        results = batching.generate(jobs, self.backend, self._judge, self._follow_up, self.config.window, self.stop)
        for result in batching.in_order(results) if self.config.ordered else results:
            yield result.document, self._record(result)

    def _job(self, document: Document | FailedDocument) -> Job:
        prompts = contain(document, lambda: self.prompts(document))
        return Job(prompts) if isinstance(prompts, FailedDocument) else Job(document, prompts)

    def prompts(self, document: Document | FailedDocument) -> tuple[Prompt, ...]:
        """Return the first prompts about a document; none where there is no text."""
        chunks = chunking.split(document, self.backend.count_tokens, self.budget.chunk, self.budget.overlap)
        drafts = prompting.drafts(chunks, self.budget.tasks(len(chunks)), self.budget.answer, self.config.constrain)
        return tuple(map(self._render, drafts))

    def _judge(self, completion: Completion) -> Outcome:
        grounded = grounding.ground(confidence.score(parsing.parse(completion)), self.config.ungrounded)
        return references.check(thresholds.apply(grounded, self.config.min_confidence))

    def _follow_up(self, outcome: Outcome) -> tuple[Prompt, ...]:
        halve = partial(chunking.halve, count_tokens=self.backend.count_tokens, overlap=self.budget.overlap)
        retries = retry.after(outcome, self.config.max_attempts, self.prompter.fits, halve)
        further = passes.after(outcome, self.config.passes, self.budget.answer, merging.merge_data)
        return tuple(map(self._render, (*retries, *further)))

    def _render(self, draft: Prompt) -> Prompt:
        prompt = self.prompter.fit(draft)
        return sampling.assign(prompt, self.config, repeated=self.prompter.repeats(prompt))

    def _record(self, result: Result) -> Record:
        record = contain(result.document, lambda: self._merge(result))
        return Record.failed(record, self.info) if isinstance(record, FailedDocument) else record

    def _merge(self, result: Result) -> Record:
        record = merging.merge(result.document, result.outcomes, self.info)
        if self.config.all_occurrences:
            record = grounding.all_occurrences(record, result.document, self.task)
        record = normalizing.normalize(record, result.document, self.task)
        return redact(record, self.task) if self.config.redact else record

    def check(self) -> None:
        """Raise UsageError where an example is wrong or the prompt leaves no room for text."""
        grounding.check_examples(self.task)
        _ = self.budget.chunk

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
        return Budget(self.task, self.config, self.backend, self.prompter.instructions)
