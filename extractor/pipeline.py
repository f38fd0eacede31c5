"""The wiring: which stage follows which. The only module that knows the stages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from extractor import chunking, generating, grounding, merging, parsing, prompting
from extractor.config import RunConfig
from extractor.errors import UsageError
from extractor.generating import Job, Result
from extractor.redacting import redact
from extractor.tasks import Task
from extractor.types import (
    GREEDY,
    Backend,
    Chunk,
    Completion,
    Document,
    Outcome,
    Prompt,
    Record,
    Rejection,
    RunInfo,
    Sampling,
    Unreadable,
)

_TURN_TOKENS = 8  # what a chat turn adds to its content, and a little to spare
_SMALLEST_CHUNK = 32  # tokens: a prompt that leaves less room for the document is refused


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
        results = generating.generate(jobs, self.backend, self._judge, self._retry, self.config.window, self.stop)
        for result in generating.in_order(results) if self.config.ordered else results:
            yield self._record(result)

    def check(self) -> None:
        """Raise UsageError where the prompt does not render or leaves no room for text: before a model is loaded."""
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
    def chunk_budget(self) -> int:
        """Tokens of a chunk: what the context leaves beside the instructions and the answer."""
        instructions = self.size(prompting.check(self.task))
        left = self.backend.context - instructions - self.answer_budget
        if left < _SMALLEST_CHUNK:
            raise UsageError(
                f"The model reads {self.backend.context} tokens; the prompt without a document takes {instructions} "
                f"and the answer {self.answer_budget}: no room for text. Use fewer fields or a smaller --max-tokens."
            )
        return left

    def questions(self, document: Document | Unreadable) -> tuple[Prompt, ...]:
        """The prompts that are asked about a document to begin with; none where there is no text."""
        if isinstance(document, Unreadable):
            return ()
        overlap = min(self.config.overlap, self.chunk_budget // 4)
        chunks = chunking.split(document, self.backend.count_tokens, self.chunk_budget, overlap)
        return tuple(self._ask(chunk, self.answer_budget) for chunk in chunks)

    def _judge(self, completion: Completion) -> Outcome:
        outcome = parsing.parse(completion)
        return outcome if isinstance(outcome, Rejection) else grounding.ground(outcome)

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
                halves = chunking.halve(asked.chunk, self.backend.count_tokens, self.config.overlap)
                return tuple(self._ask(half, room, rejected) for half in halves)
            room *= 2
        return (self._ask(asked.chunk, room, rejected),)

    def _ask(self, chunk: Chunk, room: int, rejected: tuple[Rejection, ...] = ()) -> Prompt:
        prompt = prompting.render(
            self.task,
            chunk,
            room,
            sampling=self._sampling(chunk, len(rejected) + 1),
            rejected=rejected,
            constrain=self.config.constrain,
        )
        fits = not rejected or self.size(prompt) + room <= self.backend.context
        return prompt if fits else prompting.without_previous(prompt)

    def _sampling(self, chunk: Chunk, attempt: int) -> Sampling:
        if attempt < 3:
            return GREEDY
        origin = f"{self.config.seed}:{chunk.document.id}:{chunk.start}:{attempt}"
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
        return redact(record, self.task) if self.config.redact else record
