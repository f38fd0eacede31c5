"""What can answer prompts. Each module holds one backend: a class `Backend` made from a ModelConfig.

Adding a file adds a backend under its name (`--backend NAME`), and so does an entry point of the group
`extractor.backends` in another installed package; the protocol is `extractor.data.Backend`. A module with
`TAKES_SERVER = True` is given the ServerConfig of `--base-url`, one with `TAKES_ADAPTERS = True` the folders of
`--adapter`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import cast

from extractor import plugins
from extractor.config import ModelConfig
from extractor.data import Backend
from extractor.errors import UsageError


def names() -> list[str]:
    """Return all backends by name, those of other packages among them; none of them is imported for it."""
    return sorted({*_own(), *plugins.found(__name__)})


def _own() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}


def make(name: str, config: ModelConfig) -> Backend:
    """Return the backend of that name, not loaded yet: entering it loads the model.

    Raise UsageError for an unknown name, a package that is not installed, and a server for a backend that asks none.
    """
    if name not in names():
        raise UsageError(f"There is no backend {name!r}. There are: {', '.join(names())}.")
    module = _own_module(name) if name in _own() else plugins.load(plugins.found(__name__)[name])
    if config.server and not getattr(module, "TAKES_SERVER", False):
        raise UsageError(
            f"--backend {name} runs on this machine and asks no server: leave --base-url out, or choose a backend "
            "that asks one, as --backend openai."
        )
    if config.adapters and not getattr(module, "TAKES_ADAPTERS", False):
        raise UsageError(
            f"--backend {name} takes no --adapter: write a model with it, extractor models export MODEL OUT --adapter "
            "DIR, and use or serve that."
        )
    return cast(Backend, module.Backend(config))


def _own_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"--backend {name} needs {error.name}: pip install 'chatglm3-extractor[{name}]'.") from error
