"""Writing of a checkpoint folder: tensors as they come, sharded with an index, and the folder renamed at the end.

Under its final name a folder is always complete: it is written next to its place and renamed when done. This module
knows neither architecture nor precision.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from extractor.errors import OutputError

SHARD_BYTES = 10**9
"""A shard is written when this much is pending: what writing holds in memory."""

INDEX_FILE = "model.safetensors.index.json"


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder that replaces `out` when the block succeeds; `out` is untouched when it fails.

    Raises OutputError where the disk refuses. A process that is killed leaves a hidden folder `.NAME-...`.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as name:
            unfinished = Path(name) / "new"
            unfinished.mkdir()
            yield unfinished
            if out.exists():
                out.rename(Path(name) / "old")
            unfinished.rename(out)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"{out} cannot be written ({reason}): free space or choose another folder") from error


@dataclass(slots=True)
class ShardWriter:
    """A writer of tensors into files of about `SHARD_BYTES` with an index, named as transformers names them."""

    folder: Path
    pending: dict[str, Tensor] = field(default_factory=dict)
    pending_bytes: int = 0
    total_bytes: int = 0
    shards: list[list[str]] = field(default_factory=list)

    def add(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Add tensors that stay valid until they are written: copies, not views of a mapped file."""
        for name, tensor in tensors:
            self.pending[name] = tensor
            self.pending_bytes += tensor.nbytes
            if self.pending_bytes >= SHARD_BYTES:
                self._flush()

    def close(self) -> None:
        """Write the last shard, rename the files now that their number is known, and write the index."""
        self._flush()
        weight_map: dict[str, str] = {}
        for number, names in enumerate(self.shards, start=1):
            file = f"model-{number:05}-of-{len(self.shards):05}.safetensors"
            self._part(number).rename(self.folder / file)
            weight_map |= dict.fromkeys(names, file)
        index = {"metadata": {"total_size": self.total_bytes}, "weight_map": weight_map}
        (self.folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True), "utf-8")
        for file in set(weight_map.values()):  # safetensors makes files that only their owner may read
            shutil.copymode(self.folder / INDEX_FILE, self.folder / file)

    def _flush(self) -> None:
        if self.pending:
            self.shards.append(list(self.pending))
            save_file(self.pending, self._part(len(self.shards)), metadata={"format": "pt"})
            self.total_bytes += self.pending_bytes
            self.pending, self.pending_bytes = {}, 0

    def _part(self, number: int) -> Path:
        return self.folder / f"{number}.part"
