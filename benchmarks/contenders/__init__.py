"""Engines that answer the same questions, each in a process of its own: one file per engine.

A module holds `VARIANTS` (the ways it can be run, each with the most documents it is given, None for any number; its
names on the command line are `module-variant`) and a class `Contender` made from a Job and a variant, which loads the
model. Adding a file adds a contender. This module is read
by the interpreter of another environment too, so it knows neither torch nor the package.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any, Protocol, cast

from benchmarks.contenders.job import Answer, Item, Job


class Contender(Protocol):
    """An engine with its model loaded."""

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """Answer all, in any order; everything between the questions and the texts of the answers."""
        ...


def names() -> list[str]:
    """All contenders, whether or not what they need is installed."""
    return [f"{name}-{variant}" for name in _modules() for variant in _module(name).VARIANTS]


def make(name: str, job: Job) -> Contender:
    """Load the model of the contender of that name."""
    module, _, variant = name.partition("-")
    return cast(Contender, _module(module).Contender(job, variant))


def most_documents(name: str) -> int | None:
    """How many documents a contender is to be given at most: what is slow is as slow over fewer."""
    module, _, variant = name.partition("-")
    return cast("int | None", _module(module).VARIANTS[variant])


def _modules() -> list[str]:
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in found if name not in ("__main__", "job")]


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
