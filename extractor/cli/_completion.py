"""What a shell completes: names that are known here, else files or folders, which the shell lists itself.

Values pass unchanged: whether there is such a thing is for the one to say who uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from extractor.task.bundled import PROMPTS, SCHEMAS


class Completed(click.ParamType[str]):
    """A text that is one of some names, or else the path of a `kind`: `file` or `dir`."""

    name = "text"

    def __init__(self, names: Callable[[], Iterable[str]] = tuple, kind: str = "file") -> None:
        self._names = names
        self._kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so; where there is none, leave it to the shell to list paths."""
        found = [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type=self._kind)]


def _models() -> list[str]:
    from extractor.chatglm3.hub import DEMO
    from extractor.chatglm3.registry import KNOWN_MODELS

    return [DEMO, *KNOWN_MODELS]


FILE = Completed()
FOLDER = Completed(kind="dir")
SCHEMA = Completed(SCHEMAS.names)
PROMPT = Completed(PROMPTS.names)
MODEL = Completed(_models, kind="dir")
