"""Which files make up a checkpoint folder: config, tokenizer and weights. It looks at names, never at tensors.

This module knows no torch, so that a download or a cache can be checked without loading anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from extractor.chatglm3.model_dims import CONFIG_FILE
from extractor.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.model"
WEIGHT_SUFFIXES = (".safetensors", ".bin")

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
_ENDS = 1024**2
"""Bytes of each end of a weight file that go into a checkpoint's digest (with its size and name)."""


def weight_files(folder: str | Path) -> tuple[Path, ...]:
    """The weight files of a checkpoint folder, all of them there; safetensors before `.bin` where both are.

    Raises CheckpointError that names the first missing file.
    """
    root = Path(folder)
    for index, single in zip(_INDEXES, _SINGLES, strict=True):
        if (root / index).is_file():
            return _indexed_files(root / index)
        if (root / single).is_file():
            return (root / single,)
    raise CheckpointError(
        f"{root} holds no weights ({' or '.join(_SINGLES)}, one file or shards with an index): "
        "download the model again or copy the missing files"
    )


def checkpoint_files(folder: str | Path) -> tuple[Path, ...]:
    """All files that are needed to run a checkpoint; CheckpointError names the first that is missing."""
    root = Path(folder)
    for name in (CONFIG_FILE, TOKENIZER_FILE):
        if not (root / name).is_file():
            raise CheckpointError(f"{root / name} is missing: download the model again or copy {name} there")
    return (root / CONFIG_FILE, root / TOKENIZER_FILE, *weight_files(root))


def is_complete(folder: str | Path) -> bool:
    """Whether every file of the checkpoint is there."""
    try:
        checkpoint_files(folder)
    except CheckpointError:
        return False
    return True


def needed_names(names: Iterable[str]) -> tuple[str, ...]:
    """Of all files in a repository those to download: config, tokenizer, and the weights in one format.

    Safetensors is taken where both formats are there. Files in folders are none of the original layout.
    """
    present = sorted(name for name in names if "/" not in name)
    suffix = next((suffix for suffix in WEIGHT_SUFFIXES if any(map(_is_weight(suffix), present))), WEIGHT_SUFFIXES[0])
    small = {CONFIG_FILE, TOKENIZER_FILE, "tokenizer_config.json"}
    return tuple(name for name in present if name in small or _is_weight(suffix)(name.removesuffix(".index.json")))


def digest(folder: str | Path) -> str:
    """SHA-256 (hex) that tells one checkpoint from another without reading gigabytes."""
    return digest_of(checkpoint_files(folder))


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 (hex) of some files, equal for equal ones wherever they lie.

    It covers of each file its name, its size and the first and last megabyte (so config and tokenizer in full).
    """
    result = hashlib.sha256()
    for file in files:
        result.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            result.update(stream.read(_ENDS))
            stream.seek(max(0, file.stat().st_size - _ENDS))
            result.update(stream.read(_ENDS))
    return result.hexdigest()


def _indexed_files(index: Path) -> tuple[Path, ...]:
    names = sorted(set(_weight_map(index).values()))
    files = tuple(index.parent / name for name in names)
    for file in files:
        if not file.is_file():
            raise CheckpointError(
                f"{file} is missing ({index.name} lists it): download the model again or copy it here"
            )
    return files


def _weight_map(index: Path) -> dict[str, str]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = {str(name): str(file) for name, file in weight_map.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index} is no index of weight files: download or copy it again") from error
    outside = next((file for file in names.values() if not _is_plain_weight_file(file)), None)
    if outside is not None or not names:
        raise CheckpointError(f"{index} lists {outside!r}, not a weight file beside it: download or copy it again")
    return names


def _is_plain_weight_file(name: str) -> bool:
    return Path(name).suffix in WEIGHT_SUFFIXES and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _is_weight(suffix: str) -> Callable[[str], bool]:
    """A test for the names of weight files in one format: `model*.safetensors` or `pytorch_model*.bin`."""
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    return lambda name: name.startswith(stem) and name.endswith(suffix)
