"""A backend without a model: the first text that matches a field's `pattern`. A baseline that any model should beat."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence

from extractor.plugins import Completion, ModelConfig, Prompt


class Backend:
    """Prompts are answered one after the other. A character counts as a token."""

    name = identity = "patterns"
    context = 1_000_000

    def __init__(self, config: ModelConfig) -> None:
        self._waiting: deque[Prompt] = deque()

    def submit(self, prompt: Prompt) -> None:
        """Queue a prompt."""
        self._waiting.append(prompt)

    def collect(self) -> list[Completion]:
        """Return the answer to the oldest prompt; none where there is no prompt."""
        if not self._waiting:
            return []
        prompt = self._waiting.popleft()
        found = {field.name: _first(field.node.bounds.patterns, prompt.chunk.text) for field in prompt.task.fields}
        return [Completion(prompt, json.dumps(found, ensure_ascii=False))]

    def count_tokens(self, text: str) -> int:
        """Return the number of characters."""
        return len(text)

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *exc: object) -> None:
        self._waiting.clear()


def _first(patterns: Sequence[str], text: str) -> str | None:
    """Return the first match anywhere in the text: `^` and `$` of a schema's pattern are the ends of a value."""
    found = re.search(patterns[0].removeprefix("^").removesuffix("$"), text) if patterns else None
    return found[0] if found else None
