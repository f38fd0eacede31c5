"""A model's `config.json` as checked values. It comes from strangers: no number in it is believed unless it is sane.

Which keys there are is in `layouts`. This module knows no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractor.errors import CheckpointError

CONFIG_FILE = "config.json"

_MAX_CONFIG_BYTES = 16 * 1024**2
MAX_SIZE = 2**24
"""No size of a model is larger: its width, its vocabulary."""

MAX_SIZES = {"layers": 1024, "context": 2**21}
"""Lower limits for fields of `ModelDims`, for each of which loading takes time or memory before weights are read."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The keys of a config file. Each method raises CheckpointError, in one line that names file and key."""

    path: Path
    values: Mapping[str, Any]

    def size(self, key: str, default: int | None = None, most: int = MAX_SIZE) -> int:
        """Return a positive integer."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            found = "is missing" if key not in self.values else f"is {_shown(value)}"
            raise CheckpointError(
                f"{self.path}: {key} {found}, expected a positive integer up to {most}: this is not a ChatGLM3 "
                "config, or it is damaged; download or copy it again"
            )
        return value

    def number(self, key: str, default: float, most: float = 1e9) -> float:
        """Return a positive number."""
        value = self._get(key, default)
        good = not isinstance(value, bool) and isinstance(value, int | float) and 0 < value <= most
        if not good or not math.isfinite(value):
            raise CheckpointError(
                f"{self.path}: {key} is {_shown(value)}, expected a positive number up to {most:g}: download or copy "
                "it again"
            )
        return float(value)

    def token_ids(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return one or several token ids."""
        value = self._get(key, default)
        ids = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not ids or not all(type(each) is int and 0 <= each < MAX_SIZE for each in ids):
            raise CheckpointError(
                f"{self.path}: {key} is {_shown(value)}, expected a token id or a list of them: download or copy it "
                "again"
            )
        return ids

    def flag(self, key: str, default: bool) -> bool:
        """Return whether something is so."""
        return bool(self._get(key, default))

    def section(self, key: str) -> ConfigFile:
        """Return the keys of an object in the file; none where it has no such object."""
        value = self.values.get(key)
        return ConfigFile(self.path, value if isinstance(value, dict) else {})

    def require(self, options: Mapping[str, tuple[Any, ...]]) -> None:
        """Raise CheckpointError for an option that is none of the values accepted for it; an absent one is."""
        for key, accepted in options.items():
            if key in self.values and self.values[key] not in accepted:
                raise CheckpointError(
                    f"{self.path}: {key} is {_shown(self.values[key])}, this loader reads only {accepted[0]!r}: use "
                    "the unquantised, full checkpoint as published"
                )

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value


def read_config(path: Path) -> dict[str, Any]:
    """Return the JSON object in a `config.json`; CheckpointError in one line if there is none."""
    try:
        _check_length(path)
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing: pass a folder that holds config.json, the tokenizer and the weights of a model"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download or copy it again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} does not hold a JSON object: download or copy it again")
    return config


def _check_length(path: Path) -> None:
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise CheckpointError(f"{path} is larger than any configuration: download or copy it again")


def _shown(value: object) -> str:
    """Return a value for a message, cut to 60 characters."""
    text = "a number of many digits" if isinstance(value, int) and abs(value) > 10**50 else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
