"""A checkpoint folder is written: weights as they come, in files with an index, and the folder in place at the end.

What is there under its name is always whole: the folder grows beside its place and takes its name when it is complete.
This module knows neither architecture nor precision.
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
"""A file is written when this much is ready: what writing holds in memory."""

INDEX_FILE = "model.safetensors.index.json"


@contextmanager
def put_in_place(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name, and the place of what is there, when the block ends well.

    Raises OutputError where the disk refuses. A process that is killed leaves a hidden folder `.NAME-...` behind.
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
class Shards:
    """Tensors as they come, in files of about `SHARD_BYTES` with an index, named as transformers names them."""

    folder: Path
    ready: dict[str, Tensor] = field(default_factory=dict)
    waiting: int = 0
    total: int = 0
    files: list[list[str]] = field(default_factory=list)

    def add(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Take tensors that stay valid until they are written: copies, not views of a mapped file."""
        for name, tensor in tensors:
            self.ready[name] = tensor
            self.waiting += tensor.nbytes
            if self.waiting >= SHARD_BYTES:
                self._flush()

    def close(self) -> None:
        """Write what is left, name the files by their number, and write the index."""
        self._flush()
        weight_map: dict[str, str] = {}
        for number, names in enumerate(self.files, start=1):
            file = f"model-{number:05}-of-{len(self.files):05}.safetensors"
            self._unnamed(number).rename(self.folder / file)
            weight_map |= dict.fromkeys(names, file)
        index = {"metadata": {"total_size": self.total}, "weight_map": weight_map}
        (self.folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True), "utf-8")
        for file in set(weight_map.values()):  # safetensors makes files that only their owner may read
            shutil.copymode(self.folder / INDEX_FILE, self.folder / file)

    def _flush(self) -> None:
        if self.ready:
            self.files.append(list(self.ready))
            save_file(self.ready, self._unnamed(len(self.files)), metadata={"format": "pt"})
            self.total += self.waiting
            self.ready, self.waiting = {}, 0

    def _unnamed(self, number: int) -> Path:
        return self.folder / f"{number}.part"
