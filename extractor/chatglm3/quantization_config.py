"""What `config.json` of a quantised checkpoint holds besides the sizes: the precision its weights are stored in.

`models quantize` writes it and the loader obeys it. This module knows no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extractor.chatglm3.config_file import CONFIG_FILE, read_config
from extractor.errors import CheckpointError
from extractor.precisions import quantized_names

KEY = "quantization"
VERSION = 1
"""Of the stored form. A checkpoint of another version is refused, not guessed at."""


def stored_precision(folder: str | Path) -> str | None:
    """Return the precision of a quantised checkpoint (`int8`, `int4`), else None.

    Raises CheckpointError for one that this version does not read.
    """
    path = Path(folder) / CONFIG_FILE
    entry = read_config(path).get(KEY)
    if entry is None:
        return None
    precision = entry.get("precision") if isinstance(entry, dict) else None
    if precision not in quantized_names() or entry.get("version") != VERSION:
        known = " and ".join(quantized_names())
        raise CheckpointError(
            f"{path}: {KEY} is {entry!r}, this version reads {known} of version {VERSION}: make it again with "
            "`extractor models quantize`"
        )
    return str(precision)


def describe(precision: str) -> dict[str, Any]:
    """Return what a quantised checkpoint's config.json holds under `KEY`."""
    return {"precision": precision, "version": VERSION}
