"""The files of an adapter's folder, and what kind of adapter it is; tensors are never read.

`adapters` reads them. This module knows no torch, so that a run's fingerprint costs no loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from extractor.chatglm3 import checkpoint_files
from extractor.chatglm3.config_file import CONFIG_FILE, read_config
from extractor.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
"""Of the adapters that PEFT saves."""

P_TUNING = "P_TUNING_V2"
"""The kind of a prefix that the original code trains: a `config.json` with `pre_seq_len`, and `prefix_encoder`."""

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def kind_of(folder: Path) -> str:
    """Return PEFT's name of the kind of adapter, or `P_TUNING`; CheckpointError where the folder is none."""
    if (folder / ADAPTER_CONFIG).is_file():
        return str(read_config(folder / ADAPTER_CONFIG).get("peft_type"))[:60]
    if (folder / CONFIG_FILE).is_file() and read_config(folder / CONFIG_FILE).get("pre_seq_len"):
        return P_TUNING
    raise CheckpointError(f"{folder} is no adapter ({_what_is_there(folder)}): {_WANTED}")


_WANTED = (
    f"pass the folder that holds {ADAPTER_CONFIG} and adapter_model.safetensors, or of P-Tuning v2 config.json with "
    "pre_seq_len and its weights"
)


def adapter_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that an adapter consists of; CheckpointError names the one that is missing."""
    if kind_of(folder) == P_TUNING:
        return (folder / CONFIG_FILE, *checkpoint_files.weight_files(folder))
    return folder / ADAPTER_CONFIG, weight_file(folder)


def weight_file(folder: Path) -> Path:
    """Return the file with the tensors of an adapter that PEFT saved."""
    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"{folder} has {ADAPTER_CONFIG} but neither {' nor '.join(_WEIGHTS)}: copy the adapter's weights there"
        )
    return found


def digest(folders: Sequence[Path]) -> str:
    """Return a text that identifies adapters in their order; empty where there are none."""
    return " ".join(f"sha256:{checkpoint_files.digest_of(adapter_files(folder))[:32]}" for folder in folders)


def _what_is_there(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    inside = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER_CONFIG}"))
    return f"adapters are in its folders {', '.join(inside[:3])}" if inside else f"it has no {ADAPTER_CONFIG}"
