"""One backend for several runs at once: prompts of all of them ride in its batches, and each run gets its own answers.

Runs may be in different threads, or one inside the loop over another. The backend itself is used by one thread at a
time: the one that waits for an answer collects those of the others as well.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from extractor.data import Backend, Completion, Prompt
from extractor.errors import ExtractorError


class Shared:
    """A backend that is loaded when a first prompt comes and freed by `close`; the next prompt loads it again."""

    def __init__(self, make: Callable[[], Backend]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._loaded = False
        self._owners: dict[int, Share] = {}

    @property
    def backend(self) -> Backend:
        """The backend itself, loaded or not. Raises UsageError or ModelError where it cannot be had."""
        with self._lock:
            if self._backend is None:
                self._backend = self._make()
            return self._backend

    def share(self) -> Share:
        """The backend as one run sees it."""
        return Share(self)

    def submit(self, prompt: Prompt, owner: Share) -> None:
        with self._lock:
            owner.check()
            if not self._loaded:
                self.backend.__enter__()
                self._loaded = True
            self._owners[id(prompt)] = owner
            self.backend.submit(prompt)

    def collect(self, owner: Share) -> list[Completion]:
        """Work until there is an answer for this run, and hand out what comes for others."""
        with self._lock:
            while owner.waiting and not owner.answered:
                owner.check()
                for completion in self.backend.collect():
                    self._owners.pop(id(completion.prompt)).answered.append(completion)
            found = list(owner.answered)
            owner.answered.clear()
            owner.waiting -= len(found)
            return found

    def close(self) -> None:
        with self._lock:
            backend, loaded = self._backend, self._loaded
            self._backend, self._loaded = None, False
            for owner in self._owners.values():
                owner.lost = True
            self._owners.clear()
            if backend is not None and loaded:
                backend.__exit__(None, None, None)


class Share:
    """A backend of which others have a part, too. Entering and leaving it does nothing."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.name = shared.backend.name
        self.waiting = 0
        self.answered: deque[Completion] = deque()
        self.lost = False

    def check(self) -> None:
        """Raise ExtractorError where prompts in flight were lost."""
        if self.lost:
            raise ExtractorError("The Extractor was closed while a run was under way. Close it after the run.")

    @property
    def context(self) -> int:
        return self._shared.backend.context

    @property
    def identity(self) -> str:
        return self._shared.backend.identity

    def submit(self, prompt: Prompt) -> None:
        self._shared.submit(prompt, self)
        self.waiting += 1

    def collect(self) -> list[Completion]:
        return self._shared.collect(self)

    def count_tokens(self, text: str) -> int:
        return self._shared.backend.count_tokens(text)

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
