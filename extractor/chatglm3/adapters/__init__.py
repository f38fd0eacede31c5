"""What fine-tuning left beside a model. Each module reads one kind of adapter: `KINDS`, and `read(folder, dims)`.

`KINDS` are the names that PEFT gives (`peft_type`), and ours for what it does not save. An adapter changes weights
while they are loaded, one tensor at a time and before they are quantised, or it comes before every prompt in the KV
cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from extractor.chatglm3.adapter_files import kind_of
from extractor.chatglm3.adapters._support.adapter import NO_ADAPTER, Adapter, VirtualTokens
from extractor.chatglm3.model_dims import ModelDims
from extractor.errors import CheckpointError, UsageError

__all__ = ["NO_ADAPTER", "Adapter", "VirtualTokens", "adapters_of", "read_adapters", "refuse_prefix"]


def adapters_of(model: Path, folders: Sequence[str | Path], dims: ModelDims) -> Adapter:
    """Return the same as `read_adapters`, with the prefix that the model in the folder `model` itself has, if any."""
    own = [model] if dims.virtual_tokens and model.resolve() not in [Path(each).resolve() for each in folders] else []
    return read_adapters([*own, *folders], dims)


def read_adapters(folders: Sequence[str | Path], dims: ModelDims) -> Adapter:
    """Return all that these adapters do to a model of these dimensions, one after the other.

    Raises CheckpointError, in one line that names the file, for one that is damaged, of another kind or not for this
    model, UsageError for two that cannot be used together.
    """
    adapter = NO_ADAPTER
    for folder in map(Path, folders):
        added = _module_of(folder).read(folder, dims)
        if adapter.prefix is not None and added.prefix is not None:
            raise UsageError(f"{folder} is a second prefix: a model takes one; leave out one --adapter")
        adapter = adapter.followed_by(added)
    return adapter


def refuse_prefix(adapter: Adapter, dims: ModelDims) -> None:
    """Raise UsageError for a prefix, of the adapter or of the model: it cannot be written into weights."""
    if adapter.prefix is not None or dims.virtual_tokens:
        raise UsageError(
            "a P-Tuning prefix is no weight of the model, so it cannot be written into one: leave it out here (without "
            "pre_seq_len in config.json), and use the result with --adapter DIR"
        )


def _module_of(folder: Path) -> ModuleType:
    kind, modules = kind_of(folder), _modules()
    if kind not in modules:
        raise CheckpointError(
            f"{folder} is an adapter of kind {kind}; {', '.join(sorted(modules))} are read: merge it into its model "
            "with PEFT, or serve both and use --backend openai"
        )
    return modules[kind]


def _modules() -> dict[str, ModuleType]:
    """Return the module that reads each kind."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return {kind: module for module in modules for kind in module.KINDS}
