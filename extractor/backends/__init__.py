"""What can answer prompts. Each module holds one backend: a class `Backend` made from a ModelConfig.

Adding a file adds a backend under its name (`--backend NAME`); the protocol is `extractor.types.Backend`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from extractor.config import ModelConfig
from extractor.errors import UsageError
from extractor.types import Backend


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make(name: str, config: ModelConfig) -> Backend:
    """The backend of that name, not yet loaded: entering it loads the model.

    Raises UsageError for a name that there is not, a package that is not installed, and a server that it does not ask.
    """
    if name not in names():
        raise UsageError(f"There is no backend {name!r}. There are: {', '.join(names())}.")
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"--backend {name} needs {error.name}: pip install 'extractor[{name}]'.") from error
    if config.server and not getattr(module, "TAKES_SERVER", False):
        raise UsageError(f"--backend {name} runs here and asks no server: leave --base-url out, or --backend openai.")
    return cast(Backend, module.Backend(config))
