"""One backend for several runs: prompts of all of them are in its batches, and each run gets its own answers.

Runs may be in different threads, or one inside the loop over another. The backend itself is used by one thread at a
time: the one that waits for an answer collects those of the others as well.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from extractor.data import Backend, Completion, Prompt
from extractor.errors import ExtractorError


class SharedBackend:
    """A backend that is loaded when the first prompt comes and freed by `close`; the next prompt loads it again."""

    def __init__(self, make: Callable[[], Backend]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._loaded = False
        self._owners: dict[int, BackendShare] = {}

    @property
    def backend(self) -> Backend:
        """The backend itself, loaded or not. Raises UsageError or ModelError where it cannot be made."""
        with self._lock:
            if self._backend is None:
                self._backend = self._make()
            return self._backend

    def share(self) -> BackendShare:
        """Return the backend as one run sees it."""
        return BackendShare(self)

    def submit(self, prompt: Prompt, owner: BackendShare) -> None:
        """Queue a prompt of a run. Load the backend if it is not loaded."""
        with self._lock:
            owner.check()
            if not self._loaded:
                self.backend.__enter__()
                self._loaded = True
            self.backend.submit(prompt)
            self._owners[id(prompt)] = owner

    def collect(self, owner: BackendShare) -> list[Completion]:
        """Work until there is an answer for a run, and hand over what comes for the others."""
        with self._lock:
            while owner.waiting and not owner.answered:
                owner.check()
                for completion in self.backend.collect():
                    if (asked := self._owners.pop(id(completion.prompt), None)) is not None:
                        asked.answered.append(completion)
            found = list(owner.answered)
            owner.answered.clear()
            owner.waiting -= len(found)
            return found

    def close(self) -> None:
        """Free the backend. Runs with prompts in flight find that they are lost."""
        with self._lock:
            backend, loaded = self._backend, self._loaded
            self._backend, self._loaded = None, False
            for owner in self._owners.values():
                owner.lost = True
            self._owners.clear()
            if backend is not None and loaded:
                backend.__exit__(None, None, None)


class BackendShare:
    """A backend that other runs use, too. Entering and leaving it does nothing."""

    def __init__(self, shared: SharedBackend) -> None:
        self._shared = shared
        self.name = shared.backend.name
        self.waiting = 0
        self.answered: deque[Completion] = deque()
        self.lost = False

    def check(self) -> None:
        """Raise ExtractorError where prompts in flight were lost."""
        if self.lost:
            raise ExtractorError("The Extractor was closed during a run. Close it after the run.")

    @property
    def context(self) -> int:
        return self._shared.backend.context

    @property
    def identity(self) -> str:
        return self._shared.backend.identity

    def submit(self, prompt: Prompt) -> None:
        """Queue a prompt."""
        self._shared.submit(prompt, self)
        self.waiting += 1

    def collect(self) -> list[Completion]:
        """Work until a prompt of this run is answered."""
        return self._shared.collect(self)

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text."""
        return self._shared.backend.count_tokens(text)

    def __enter__(self) -> BackendShare:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
