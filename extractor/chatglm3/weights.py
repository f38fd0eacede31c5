"""One weight file of a checkpoint as tensors mapped from disk: `.bin` or safetensors.

Nothing in a file is executed: pickles are read with `weights_only`. A file is mapped, never read as a whole, and
what a mapping has read is given back when the mapping is dropped. This module does not know the architecture.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from extractor.errors import CheckpointError

GROUP_BYTES = 64 * 1024**2
"""How much of a file is mapped in at once while copying: bounds the peak above the model's own size."""

_DAMAGED = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    SafetensorError,
)
"""What torch and safetensors raise on damaged files."""


def open_weights(path: Path) -> Mapping[str, Tensor]:
    """Map one weight file: name to tensor on the CPU, read from disk only when touched.

    Raises CheckpointError, in one line that names the file, if it is damaged or holds anything but tensors.
    """
    reader = _READERS[path.suffix]
    try:
        tensors = reader(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or holds something else than tensors (code?): nothing was executed; "
            "download it again from its publisher"
        ) from error
    except _DAMAGED as error:
        raise CheckpointError(f"{path} is truncated or damaged ({_brief(error)}): download or copy it again") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} is no table of tensors: pass a ChatGLM3 checkpoint as published")
    return tensors


def copy_in_groups(path: Path, copy: Callable[[str, Tensor], None], group_bytes: int = GROUP_BYTES) -> None:
    """Hand each tensor of a file to `copy`, mapping the file anew for every `group_bytes`.

    Pages that were read count as this process's memory as long as the mapping lives; dropping the mapping gives them
    back, so the peak stays near what `copy` keeps plus one group.
    """
    for names in _groups(open_weights(path), group_bytes):
        mapped = open_weights(path)
        for name in names:
            copy(name, mapped[name])
        del mapped


def _groups(tensors: Mapping[str, Tensor], group_bytes: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    room = group_bytes
    for name, tensor in tensors.items():
        if tensor.nbytes > room and groups[-1]:
            groups.append([])
            room = group_bytes
        groups[-1].append(name)
        room -= tensor.nbytes
    return groups


def _brief(error: BaseException) -> str:
    """First line of a foreign message, cut to 100 characters."""
    lines = str(error).strip().splitlines()
    return lines[0][:100] if lines else type(error).__name__


def _read_bin(path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    return tensors


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {".bin": _read_bin, ".safetensors": load_file}


def iter_all(files: tuple[Path, ...]) -> Iterator[tuple[Path, str, Tensor]]:
    """Every tensor of every file, mapped but not read."""
    for file in files:
        for name, tensor in open_weights(file).items():
            yield file, name, tensor
