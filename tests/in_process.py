"""Programs of the documentation, run in this process: those of a page would be many that each import torch."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any


def runner(names: dict[str, Any] | None = None) -> Callable[[str], str]:
    """Return what runs a program and returns what it prints; with `names` programs go on from each other."""

    def run(program: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            made = compile(program, "example.py", "exec", dont_inherit=True)
            exec(made, {"__name__": "__main__"} if names is None else names)
        return printed.getvalue()

    return run
