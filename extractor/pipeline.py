"""The wiring: which stage follows which. The only module that knows the stages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from extractor.config import RunConfig
from extractor.data import (
    GREEDY,
    Backend,
    Chunk,
    Completion,
    Document,
    Extraction,
    Outcome,
    Prompt,
    Record,
    Rejection,
    RunInfo,
    Sampling,
    Unreadable,
)
from extractor.errors import UsageError
from extractor.stages import batching, chunking, grounding, merging, parsing, prompting
from extractor.stages.batching import Job, Result
from extractor.stages.thresholds import withhold_unsure
from extractor.task import field_groups
from extractor.task.redaction import redact
from extractor.task.task import Task

_TURN_TOKENS = 8  # what a chat turn adds to its content, and a little to spare
_SMALLEST_CHUNK = 32  # tokens: a prompt that leaves less room for the document is refused
_LEAST_OVERLAP = 64  # tokens, where the schema asks for no more


@dataclass(frozen=True)
class Pipeline:
    """One task on one loaded backend. `run` is the table of contents of the whole program."""

    task: Task
    backend: Backend
    config: RunConfig = RunConfig()
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, documents: Iterable[Document | Unreadable]) -> Iterator[Record]:
        """Yield one Record per document. Setting `stop` ends it after what is in flight."""
        jobs = (Job(document, self.questions(document)) for document in documents)
        results = batching.generate(jobs, self.backend, self._judge, self._follow, self.config.window, self.stop)
        for result in batching.in_order(results) if self.config.ordered else results:
            yield self._record(result)

    def check(self) -> None:
        """Raise UsageError where the prompt does not render or leaves no room for text: before a model is loaded."""
        check_examples(self.task)
        _ = self.chunk_budget

    @cached_property
    def settings(self) -> dict[str, str]:
        """Everything that can change a result, by name."""
        return {"model": self.backend.identity, **self.task.settings, **self.config.settings}

    @cached_property
    def info(self) -> RunInfo:
        text = json.dumps(self.settings, ensure_ascii=False, sort_keys=True)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        parts = self.task.settings
        return RunInfo(
            fingerprint, self.backend.name, self.task.name, self.task.prompt, parts["schema"], parts["prompt"]
        )

    @cached_property
    def answer_budget(self) -> int:
        """Tokens of an answer: an eighth of the context, at least 256 and at most 1,024, where nothing is asked for."""
        return self.config.max_tokens or max(256, min(1024, self.backend.context // 8))

    @cached_property
    def groups(self) -> tuple[Task, ...]:
        """The task in as many parts as it takes for the usual answer to each, and its instructions, to leave room."""
        return field_groups.groups(self.task, self._holds)

    @cached_property
    def chunk_budget(self) -> int:
        """Tokens of a chunk: what the context leaves beside the instructions, the answer and what was found before."""
        instructions = max(map(self._instructions, self.groups))
        answers = self.answer_budget * min(self.config.passes, 2)
        left = self.backend.context - instructions - answers
        if left < _SMALLEST_CHUNK:
            raise UsageError(
                f"The model reads {self.backend.context} tokens; the prompt without a document takes {instructions} "
                f"and the answer {answers}: no room for text. Use fewer fields or a smaller --max-tokens."
            )
        return left

    @cached_property
    def overlap(self) -> int:
        """Tokens that neighbouring chunks share at most: twice the longest value, or what is asked for, if there is
        room."""
        wanted = self.config.overlap
        if wanted is None:
            wanted = max(_LEAST_OVERLAP, 2 * field_groups.longest_value(self.task))
        return min(wanted, self.chunk_budget // 4)

    def questions(self, document: Document | Unreadable) -> tuple[Prompt, ...]:
        """The prompts that are asked about a document to begin with; none where there is no text."""
        if isinstance(document, Unreadable):
            return ()
        chunks = chunking.split(document, self.backend.count_tokens, self.chunk_budget, self.overlap)
        tasks = self.groups if len(chunks) > 1 or len(self.groups) > 1 else (self.task,)
        return tuple(self._ask(task, chunk, self.answer_budget) for chunk in chunks for task in tasks)

    def _holds(self, task: Task) -> bool:
        """Whether one answer holds what a task asks for, and half of what that answer leaves the instructions."""
        usual = self.backend.count_tokens(field_groups.usual_answer(task))
        room = (self.backend.context - self.answer_budget) // 2
        return usual <= self.answer_budget and self._instructions(task) <= room

    def _instructions(self, task: Task) -> int:
        return self.size(prompting.check(task, further=self.config.passes > 1))

    def _judge(self, completion: Completion) -> Outcome:
        outcome = parsing.parse(completion)
        if isinstance(outcome, Extraction):
            outcome = grounding.ground(outcome, self.config.ungrounded)
        return outcome if isinstance(outcome, Rejection) else withhold_unsure(outcome, self.config.min_confidence)

    def _follow(self, outcome: Outcome) -> tuple[Prompt, ...]:
        return self._retry(outcome) if isinstance(outcome, Rejection) else self._further(outcome)

    def _retry(self, rejection: Rejection) -> tuple[Prompt, ...]:
        """The prompts that follow a rejection: more room or smaller parts where the answer was cut off, else the same
        question with the last answer's errors; the third and later attempts are sampled."""
        asked = rejection.completion.prompt
        rejected = (*asked.rejected, rejection)
        if asked.attempt >= self.config.max_attempts:
            return ()
        room = asked.max_tokens
        if rejection.reason in ("length", "overflow"):
            if rejection.reason == "overflow" or self.size(asked) + 2 * room > self.backend.context:
                halves = chunking.halve(asked.chunk, self.backend.count_tokens, self.overlap)
                part = _part(asked.task)
                return tuple(self._ask(part, half, room, rejected, asked.found) for half in halves)
            room *= 2
        return (self._ask(asked.task, asked.chunk, room, rejected, asked.found),)

    def _further(self, extraction: Extraction) -> tuple[Prompt, ...]:
        """The prompt of the next pass over a chunk, unless there is none or the last one found nothing new."""
        asked = extraction.completion.prompt
        found = (*asked.found, extraction)
        if len(found) >= self.config.passes or (asked.found and merging.unite(found) == asked.known):
            return ()
        return (self._ask(_part(asked.task), asked.chunk, self.answer_budget, (), found),)

    def _ask(
        self,
        task: Task,
        chunk: Chunk,
        room: int,
        rejected: tuple[Rejection, ...] = (),
        found: tuple[Extraction, ...] = (),
    ) -> Prompt:
        """The prompt with as much of what was answered before as the context holds."""
        sampling = self._sampling(chunk, len(rejected) + 1)
        known = merging.unite(found) if found else None
        draft = Prompt(chunk, task, (), room, sampling, rejected, self.config.constrain, found, known)
        prompt = prompting.filled(draft)
        if (rejected or found) and not self._fits(prompt):
            prompt = prompting.filled(draft, previous=False)
        if found and not self._fits(prompt):
            prompt = prompting.filled(draft, previous=False, found=False)
        return self._varied(prompt) if found else prompt

    def _fits(self, prompt: Prompt) -> bool:
        return self.size(prompt) + prompt.max_tokens <= self.backend.context

    def _varied(self, prompt: Prompt) -> Prompt:
        """A further pass that does not say what was found would give the same answer once more: it is sampled."""
        same = prompt.messages in (
            prompting.filled(prompt, previous=previous, found=False).messages for previous in (True, False)
        )
        return replace(prompt, sampling=self._sampling(prompt.chunk, 3, prompt.pass_number)) if same else prompt

    def _sampling(self, chunk: Chunk, attempt: int, pass_number: int = 1) -> Sampling:
        if attempt < 3:
            return GREEDY
        origin = (
            f"{self.config.seed}:{chunk.document.id}:{chunk.start}:{attempt}" + f":{pass_number}"[: pass_number - 1]
        )
        seed = int.from_bytes(hashlib.sha256(origin.encode("utf-8", "surrogatepass")).digest()[:4], "big")
        return Sampling(self.config.temperature, seed)

    def size(self, prompt: Prompt) -> int:
        """About how many tokens a prompt takes, its answer left out."""
        return (
            sum(self.backend.count_tokens(message.content) + _TURN_TOKENS for message in prompt.messages) + _TURN_TOKENS
        )

    def _record(self, result: Result) -> Record:
        if isinstance(result.document, Unreadable):
            return merging.unreadable(result.document, self.info)
        record = merging.merge(result.document, result.outcomes, self.info)
        if self.config.all_occurrences:
            record = grounding.every_place(record, result.document, self.task)
        return redact(record, self.task) if self.config.redact else record


def _part(task: Task) -> Task:
    """The task for a part of what it was meant for."""
    return task if task.origin else task.part([field.name for field in task.fields])


def check_examples(task: Task) -> None:
    """Raise UsageError where an example breaks the schema or has a value that does not stand in its text."""
    for example in task.examples:
        missing = grounding.nowhere(task, example.data, example.text)
        errors = task.validate(example.data) or [f"{pointer}: not in the text" for pointer in missing]
        if errors:
            raise UsageError(f"{example.where}: {'; '.join(errors)}. Correct it: answers follow their examples.")
