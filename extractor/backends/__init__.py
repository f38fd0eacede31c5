"""What can answer prompts. Each module holds one backend: a class `Backend` made from a ModelConfig.

Adding a file adds a backend under its name (`--backend NAME`), and so does an entry point of the group
`extractor.backends` in another installed package; the protocol is `extractor.types.Backend`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from extractor import plugins
from extractor.config import ModelConfig
from extractor.errors import UsageError
from extractor.types import Backend


def names() -> list[str]:
    """All backends by name, those of other packages among them; none of them is imported for it."""
    return sorted({*_own(), *plugins.found(__name__)})


def _own() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__)}


def make(name: str, config: ModelConfig) -> Backend:
    """The backend of that name, not yet loaded: entering it loads the model.

    Raises UsageError for a name that there is not, or whose package does not load.
    """
    if name not in names():
        raise UsageError(f"There is no backend {name!r}. There are: {', '.join(names())}.")
    own = name in _own()
    module = importlib.import_module(f"{__name__}.{name}") if own else plugins.load(plugins.found(__name__)[name])
    return cast(Backend, module.Backend(config))
