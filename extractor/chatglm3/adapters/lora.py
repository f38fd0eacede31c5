"""LoRA as PEFT saves it, trained on the original modules (`query_key_value`) or on `GlmForCausalLM` (`q_proj`).

A weight W becomes W + scale * up @ down (Hu et al., 2021), scale = alpha / rank, or alpha / sqrt(rank) of rsLoRA; DoRA
then gives each row its own length (Liu et al., 2024). It is computed in float32 and rounded once. Whatever of an
adapter would not have its effect is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import regex
import torch
from torch import Tensor

from extractor.chatglm3.adapter_files import ADAPTER_CONFIG, weight_file
from extractor.chatglm3.adapters._support.adapter import Adapter, Update
from extractor.chatglm3.adapters._support.tensors import check_numbers
from extractor.chatglm3.config_file import ConfigFile, read_config
from extractor.chatglm3.layouts import parameter_mapping
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.weight_mapping import SourceTensor
from extractor.chatglm3.weights import open_weights
from extractor.errors import CheckpointError

KINDS = ("LORA",)

_WRAPPERS = ("base_model.model.", "module.")
"""What training puts in front of a module's name."""

_INSERTED = re.compile(r"\.(?:modules_to_save(?:\.default)?|base_layer)(?=\.)")
_PART = re.compile(
    r"(?P<module>.+?)\.lora_(?P<part>embedding_A|embedding_B|A|B|magnitude_vector)"
    r"(?:\.(?!(?:weight|bias)$)[^.]+)?(?:\.(?P<leaf>weight|bias))?"
)
"""`MODULE.lora_A.weight`, with or without the adapter's name in it."""

_UNSUPPORTED = (
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "monteclora_config",
    "use_bdlora",
    "use_qalora",
)
"""Options of PEFT that change what is computed and that are not merged here."""

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Initial values that also change the model's own weights, which the adapter does not hold."""

_PATTERN_SECONDS = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class _LowRank:
    """W + scale * up @ down of rows, each then of length `magnitude` where there is one."""

    up: Tensor  # (rows, rank)
    down: Tensor  # (rank, columns)
    scale: float
    magnitude: Tensor | None = None  # (rows,)

    def __call__(self, weight: Tensor) -> Tensor:
        merged = torch.addmm(weight.float(), self.up.float(), self.down.float(), alpha=self.scale)
        if self.magnitude is not None:
            merged *= (self.magnitude.float() / torch.linalg.vector_norm(merged, dim=1)).unsqueeze(1)
        return merged

    def rows(self, start: int, stop: int) -> _LowRank:
        """Return the update of some rows."""
        magnitude = None if self.magnitude is None else self.magnitude[start:stop]
        return _LowRank(self.up[start:stop], self.down, self.scale, magnitude)


@dataclass(slots=True)
class _Contents:
    """The tensors of an adapter's file, under the names of the model's modules and parameters."""

    file: Path
    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)  # module -> part ("A", "B", "B.bias") -> tensor
    whole: dict[str, Tensor] = field(default_factory=dict)  # parameters that were trained themselves


def read(folder: Path, dims: ModelDims) -> Adapter:
    """Return the updates of a LoRA; CheckpointError for one that is damaged or not for a model of these dimensions."""
    config = ConfigFile(folder / ADAPTER_CONFIG, read_config(folder / ADAPTER_CONFIG))
    _check_options(config)
    contents, mapping = _read_contents(weight_file(folder)), parameter_mapping(dims)
    updates: dict[str, tuple[Update, ...]] = {}
    for name, make in _updates(config, contents, mapping):
        if dims.tied and name in ("model.embed_tokens.weight", "lm_head.weight"):
            raise CheckpointError(
                f"{contents.file} changes {name}, which is embedding and output layer in one here: merge it with PEFT"
            )
        for rows in mapping[name].targets:
            updates[rows.name] = (*updates.get(rows.name, ()), make(rows.start, rows.stop))
    return Adapter(updates)


def _check_options(config: ConfigFile) -> None:
    for key in _UNSUPPORTED:
        if config.values.get(key):
            raise CheckpointError(
                f"{config.path}: {key} is set, which is not merged here: merge the adapter into its model with PEFT"
            )
    initial = str(config.values.get("init_lora_weights", "")).lower()
    if initial.startswith(_CHANGES_BASE):
        raise CheckpointError(
            f"{config.path}: init_lora_weights is {initial[:40]!r}, which also changed the model's own weights: save "
            "it as a plain LoRA (PEFT: path_initial_model_for_weight_conversion), or merge it with PEFT"
        )


def _read_contents(file: Path) -> _Contents:
    contents = _Contents(file)
    for name, tensor in open_weights(file).items():
        check_numbers(file, name, tensor)
        plain = _INSERTED.sub("", _unwrapped(name))
        found = _PART.fullmatch(plain)
        if ".original_module." in plain:  # what a trained module replaced
            continue
        if found is None:
            contents.whole[plain] = tensor
        else:
            part = found["part"] + (".bias" if found["leaf"] == "bias" else "")
            contents.parts.setdefault(found["module"], {})[part] = tensor
    if not contents.parts and not contents.whole:
        raise CheckpointError(
            f"{file} holds no tensor: save the adapter again (not from within ZeRO-3) and copy it here"
        )
    return contents


def _unwrapped(name: str) -> str:
    while (wrapper := next((each for each in _WRAPPERS if name.startswith(each)), None)) is not None:
        name = name[len(wrapper) :]
    return name


Rows = Callable[[int, int], Update]
"""Makes the update of the rows from one number up to another."""


def _updates(
    config: ConfigFile, contents: _Contents, mapping: Mapping[str, SourceTensor]
) -> Iterator[tuple[str, Rows]]:
    """Yield each tensor that is changed, by a name of the mapping, and what changes its rows."""
    for name, tensor in contents.whole.items():
        _check_shape(contents.file, name, tuple(tensor.shape), mapping)
        yield name, _replacement(tensor)
    for module, parts in contents.parts.items():
        name = f"{module}.weight"
        shape = _known(contents.file, name, mapping)
        update = _low_rank(contents.file, module, parts, _scale(config, module, parts))
        _check_shape(contents.file, name, (update.up.shape[0], update.down.shape[1]), mapping)
        yield name, update.rows
        if "B.bias" in parts:
            _check_shape(contents.file, f"{module}.bias", shape[:1], mapping)
            yield f"{module}.bias", _addition(parts["B.bias"], update.scale)


def _low_rank(file: Path, module: str, parts: Mapping[str, Tensor], scale: Callable[[int], float]) -> _LowRank:
    """Return the update of a linear layer or, whose parts lie the other way round, of an embedding."""
    if {"embedding_A", "embedding_B"} == parts.keys():
        up, down = parts["embedding_A"].T, parts["embedding_B"].T
    elif {"A", "B"} <= parts.keys() <= {"A", "B", "B.bias", "magnitude_vector"}:
        up, down = parts["B"], parts["A"]
    else:
        raise CheckpointError(
            f"{file}: {module} has lora_{', lora_'.join(sorted(parts))}, not lora_A and lora_B: copy the adapter "
            "again, or merge it with PEFT"
        )
    magnitude = parts.get("magnitude_vector")
    if up.dim() != 2 or down.dim() != 2 or up.shape[1] != down.shape[0] or not down.shape[0]:
        raise CheckpointError(
            f"{file}: lora_A and lora_B of {module} do not fit together ({list(parts.values())[0].shape[0]} ranks): "
            "copy the adapter again"
        )
    if magnitude is not None and magnitude.numel() != up.shape[0]:
        raise CheckpointError(
            f"{file}: lora_magnitude_vector of {module} does not fit its rows: copy the adapter again"
        )
    return _LowRank(up, down, scale(down.shape[0]), None if magnitude is None else magnitude.flatten())


def _scale(config: ConfigFile, module: str, parts: Mapping[str, Tensor]) -> Callable[[int], float]:
    """Return what gives the scale of a module's update, for its rank."""
    alpha = _by_pattern(config, "alpha_pattern", module)
    if alpha is None:
        alpha = config.values.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise CheckpointError(f"{config.path}: lora_alpha of {module} is {alpha!r}, expected a number: copy it again")
    rslora = config.flag("use_rslora", False)
    return lambda rank: float(alpha) / (math.sqrt(rank) if rslora else rank)


def _by_pattern(config: ConfigFile, key: str, module: str) -> Any:
    """Return the value of the first pattern that the end of a module's name matches, as PEFT chooses it."""
    for pattern, value in config.section(key).values.items():
        try:
            if regex.match(rf"(.*\.)?({pattern})$", module, timeout=_PATTERN_SECONDS):
                return value
        except (regex.error, TimeoutError) as error:
            raise CheckpointError(
                f"{config.path}: {key} has the pattern {pattern[:60]!r}, which cannot be used: write module names"
            ) from error
    return None


def _replacement(tensor: Tensor) -> Rows:
    return lambda start, stop: lambda weight: tensor[start:stop]


def _addition(tensor: Tensor, scale: float) -> Rows:
    return lambda start, stop: lambda bias: bias.float() + scale * tensor[start:stop].float()


def _known(file: Path, name: str, mapping: Mapping[str, SourceTensor]) -> tuple[int, ...]:
    if name not in mapping:
        raise CheckpointError(
            f"{file} changes {name!r}, which this model does not have: pass the model that the adapter was trained on "
            f"({ADAPTER_CONFIG} names it)"
        )
    return mapping[name].shape


def _check_shape(file: Path, name: str, shape: tuple[int, ...], mapping: Mapping[str, SourceTensor]) -> None:
    expected = _known(file, name, mapping)
    if shape != expected:
        raise CheckpointError(
            f"{file}: the update of {name!r} has shape {list(shape)}, the model's is {list(expected)}: pass the model "
            "that the adapter was trained on"
        )
