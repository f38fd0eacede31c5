"""The fake that ships: a function of the prompt answers instead of a model. It loads nothing.

From the command line (`--backend scripted`) it answers null for every field: a dry run of everything but the model.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

from extractor.config import ModelConfig
from extractor.data import Completion, Prompt, Usage

AnswerFunction = Callable[[Prompt], str | Completion]


def nothing_found(prompt: Prompt) -> str:
    """Return the answer that has null for every field of the task."""
    return json.dumps({field.name: None for field in prompt.task.fields}, ensure_ascii=False)


class Backend:
    """Answers each prompt with `answer(prompt)`, `batch` of them at a time, the last one first if `lifo`.

    Each character counts as one token.
    """

    name = "scripted"

    def __init__(
        self,
        config: ModelConfig | None = None,
        *,
        answer: AnswerFunction = nothing_found,
        context: int = 8192,
        batch: int = 8,
        lifo: bool = False,
    ) -> None:
        self.context = context
        self.identity = "scripted"
        self.submitted: int = 0
        self._answer = answer
        self._batch = batch
        self._lifo = lifo
        self._waiting: deque[Prompt] = deque()

    def submit(self, prompt: Prompt) -> None:
        """Queue a prompt."""
        self.submitted += 1
        self._waiting.append(prompt)

    def collect(self) -> list[Completion]:
        """Answer a batch of prompts."""
        take = self._waiting.pop if self._lifo else self._waiting.popleft
        return [self._complete(take()) for _ in range(min(self._batch, len(self._waiting)))]

    def count_tokens(self, text: str) -> int:
        """Return the number of characters."""
        return len(text)

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *exc: object) -> None:
        self._waiting.clear()

    def _complete(self, prompt: Prompt) -> Completion:
        answer = self._answer(prompt)
        if isinstance(answer, Completion):
            return answer
        asked = sum(len(message.content) for message in prompt.messages)
        return Completion(prompt, answer, usage=Usage(asked, len(answer), 0.0))
