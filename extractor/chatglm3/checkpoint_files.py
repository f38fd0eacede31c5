"""The files of a checkpoint folder: config, tokenizer and weights, by their names; tensors are never read.

This module knows no torch, so a download or a cache is checked without loading anything. `weights` opens the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from extractor.chatglm3.config_file import CONFIG_FILE, read_config
from extractor.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.model"
FAST_TOKENIZER_FILE = "tokenizer.json"
_FAST_TOKENIZER_EXTRAS = ("tokenizer_config.json", "chat_template.jinja", "generation_config.json")
"""Files that a `tokenizer.json` is used with, where they are."""

WEIGHT_SUFFIXES = (".safetensors", ".bin")

_INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
_DIGESTED_BYTES = 1024**2
"""Bytes at either end of a file that go into a checkpoint's digest, with its size and name."""


def weight_files(folder: str | Path) -> tuple[Path, ...]:
    """Return the weight files of a checkpoint folder, of the first set that is complete; safetensors before `.bin`.

    Raises CheckpointError, which names the first missing file.
    """
    root = Path(folder)
    complete = _complete_sets(root)
    if complete:
        return complete[0]
    for top in _weight_tops(root):
        return _files_of(top)  # raises, and says what is missing
    raise CheckpointError(
        f"{root} has no weights ({' or '.join(_SINGLE_FILES)}, one file or shards with an index): "
        "download the model again or copy the missing files"
    )


def other_weight_files(folder: str | Path) -> list[tuple[Path, ...]]:
    """Return further complete sets of weights in a folder: in the other format, or left over."""
    return _complete_sets(Path(folder))[1:]


def _complete_sets(folder: Path) -> list[tuple[Path, ...]]:
    sets = []
    for top in _weight_tops(folder):
        with suppress(CheckpointError):
            sets.append(_files_of(top))
    return sets


def _weight_tops(folder: Path) -> list[Path]:
    """Return each index or single file of weights, the one that is used first."""
    names = [name for pair in zip(_INDEX_FILES, _SINGLE_FILES, strict=True) for name in pair]
    return [folder / name for name in names if (folder / name).is_file()]


def _files_of(top: Path) -> tuple[Path, ...]:
    return _indexed_files(top) if top.name in _INDEX_FILES else (top,)


def checkpoint_files(folder: str | Path) -> tuple[Path, ...]:
    """Return all files that a checkpoint needs to run; CheckpointError names the first missing one."""
    root = Path(folder)
    return _required(root, CONFIG_FILE), *tokenizer_files(root), *weight_files(root)


def tokenizer_files(folder: str | Path) -> tuple[Path, ...]:
    """Return the files of the tokenizer: in a folder of transformers `tokenizer.json`, and what is beside it."""
    root = Path(folder)
    if not (root / CONFIG_FILE).is_file() or read_config(root / CONFIG_FILE).get("model_type") != "glm":
        return (_required(root, TOKENIZER_FILE),)
    extras = (root / name for name in _FAST_TOKENIZER_EXTRAS)
    return _required(root, FAST_TOKENIZER_FILE), *(path for path in extras if path.is_file())


def _required(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise CheckpointError(f"{folder / name} is missing: download the model again or copy {name} there")
    return folder / name


def is_complete(folder: str | Path) -> bool:
    """Tell whether every file of the checkpoint exists."""
    try:
        checkpoint_files(folder)
    except CheckpointError:
        return False
    return True


def needed_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return which files of a repository to download: config, tokenizer, and the weights in one format.

    Safetensors is preferred where both formats exist. The original layout has no files in folders.
    """
    present = sorted(name for name in names if "/" not in name)
    suffix = next((suffix for suffix in WEIGHT_SUFFIXES if any(map(_is_weight(suffix), present))), WEIGHT_SUFFIXES[0])
    small = {CONFIG_FILE, TOKENIZER_FILE, FAST_TOKENIZER_FILE, *_FAST_TOKENIZER_EXTRAS}
    return tuple(name for name in present if name in small or _is_weight(suffix)(name.removesuffix(".index.json")))


def digest(folder: str | Path) -> str:
    """Return a SHA-256 (hex) that identifies a checkpoint without reading gigabytes."""
    return digest_of(checkpoint_files(folder))


def digest_of(files: Iterable[Path]) -> str:
    """Return a SHA-256 (hex) of some files, equal for equal files wherever they are.

    It covers name, size and the first and last megabyte of each file (so config and tokenizer in full).
    """
    result = hashlib.sha256()
    for file in files:
        result.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            result.update(stream.read(_DIGESTED_BYTES))
            stream.seek(max(0, file.stat().st_size - _DIGESTED_BYTES))
            result.update(stream.read(_DIGESTED_BYTES))
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
        raise CheckpointError(f"{index} is not an index of weight files: download or copy it again") from error
    outside = next((file for file in names.values() if not _is_plain_weight_file(file)), None)
    if outside is not None or not names:
        raise CheckpointError(f"{index} lists {outside!r}, not a weight file beside it: download or copy it again")
    return names


def _is_plain_weight_file(name: str) -> bool:
    return Path(name).suffix in WEIGHT_SUFFIXES and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _is_weight(suffix: str) -> Callable[[str], bool]:
    """Return a test for the names of weight files in one format: `model*.safetensors` or `pytorch_model*.bin`."""
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    return lambda name: name.startswith(stem) and name.endswith(suffix)
