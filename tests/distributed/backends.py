"""Backends for workers: scripted, and as slow, deadly or faulty as a text says."""

import functools
import itertools
import os
import resource
import time
from pathlib import Path

from extractor.backends.scripted import Backend
from extractor.data import Prompt

SECONDS = 0.02


def answer(log: Path, prompt: Prompt) -> str:
    """The name in a text `name: deed`, after the deed. Each asking is a line of the worker's own log."""
    name, _, deed = prompt.chunk.text.partition(": ")
    with (log / f"{os.getpid()}.log").open("a", encoding="utf-8") as lines:
        lines.write(f"{name}\n")
    time.sleep(SECONDS)
    if deed == "kills":
        os._exit(1)
    if deed == "breaks":
        raise ZeroDivisionError("a bug that nobody expected")
    return f'{{"名称": "{name}"}}'


def make(log: Path) -> Backend:
    return Backend(answer=functools.partial(answer, log), batch=2)


def make_on_a_full_disk(log: Path) -> Backend:
    """A backend whose worker can write no file of more than 2 KB, as if there were no space for more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return make(log)


_made = itertools.count()


def another_each_time(log: Path) -> Backend:
    """A model that is another one each time that it is made."""
    backend = make(log)
    backend.identity = f"model {next(_made)}"
    return backend
