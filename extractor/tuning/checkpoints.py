"""What a tuning that was killed goes on from: one file, replaced in one step, that knows what it belongs to."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extractor.errors import OutputError, OutputMismatch
from extractor.storage.atomic_files import output_error, replacing


@dataclass
class State:
    """How far a tuning is: epochs and batches of the next one that are done, the best weights so far, the measures."""

    fingerprint: str
    epoch: int = 0
    batch: int = 0
    parameters: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, state: State) -> None:
    """Write a checkpoint whole or not at all. Raises OutputError."""
    content = {name: getattr(state, name) for name in State.__dataclass_fields__}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(str(path)) as stream:
            torch.save(content, stream)
    except OSError as error:
        raise output_error(str(path), error, "it goes on from the checkpoint before") from error


def load(path: Path, fingerprint: str) -> State:
    """Return the state of a checkpoint, a new one where there is none. Raises OutputMismatch for another tuning's."""
    if not path.exists():
        return State(fingerprint)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError) as error:
        raise OutputError(f"{path} is damaged, so the tuning cannot go on from it: remove the file") from error
    if found.get("fingerprint") != fingerprint:
        raise OutputMismatch(
            f"{path} belongs to a tuning with other gold, model or options: run that line again, or remove the file"
        )
    return State(**found)
