"""How checkpoints name things. Each module is one layout: `MODEL_TYPE`, `read_dims(config)`, `weight_mapping(dims)`.

`MODEL_TYPE` is the `model_type` of a `config.json`. Adding a file adds a layout. The layouts know no torch.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from extractor.chatglm3.config_file import CONFIG_FILE, ConfigFile, read_config
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weight_mapping import SourceTensor
from extractor.errors import CheckpointError


class Layout(Protocol):
    """A module of this folder."""

    MODEL_TYPE: str

    def read_dims(self, config: ConfigFile) -> ModelDims:
        """Return the dimensions in a config file; CheckpointError for one that is not read."""
        ...

    def weight_mapping(self, dims: ModelDims) -> dict[str, SourceTensor]:
        """Return every tensor that a checkpoint must have, with its shape and its place in `GlmForCausalLM`."""
        ...


def read_dims(folder: str | Path) -> ModelDims:
    """Read `config.json` of a checkpoint folder.

    Raises CheckpointError, in one line that names the file, if it is missing, not JSON, or of no model that is read.
    """
    path = Path(folder) / CONFIG_FILE
    config = read_config(path)
    layout = next((each for each in layouts().values() if config.get("model_type") == each.MODEL_TYPE), None)
    if layout is None:
        known = " or ".join(repr(each.MODEL_TYPE) for each in layouts().values())
        raise CheckpointError(
            f"{path}: model_type is {str(config.get('model_type'))[:60]!r}, not {known}: pass the folder of a "
            "ChatGLM3 or GLM-4 model, or serve it and use --backend openai"
        )
    return layout.read_dims(ConfigFile(path, config))


def weight_mapping(dims: ModelDims) -> dict[str, SourceTensor]:
    """Return every tensor that a checkpoint of these dimensions must have, in its own layout."""
    return layouts()[dims.layout].weight_mapping(dims)


def parameter_mapping(dims: ModelDims) -> dict[str, SourceTensor]:
    """Return every name that any layout has for a tensor of a model of these dimensions."""
    return {name: source for each in layouts().values() for name, source in each.weight_mapping(dims).items()}


@cache
def layouts() -> dict[str, Layout]:
    """Return all layouts by the names of their files."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    return {name: cast(Layout, import_module(f"{__name__}.{name}")) for name in names}
