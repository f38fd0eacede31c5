"""How much memory loading takes: peak RSS of `load_model` on a generated sharded `.bin` of 2 GB.

    python -m benchmarks.load_memory                     print the table
    python -m benchmarks.load_memory --write            put it into benchmarks/RESULTS.md as well

The checkpoint has random float16 weights in the original layout and lies in a temporary folder (`--folder` for a disk
with more room). Each load runs in a process of its own; its peak is the kernel's `VmHWM` (not `ru_maxrss`, which a
child inherits from its parent). The promise is a peak under 1.25 times the checkpoint for `half` on the CPU; `float32`
holds twice the bytes by nature.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.machine import describe
from extractor.chatglm3.checkpoint import load_model, weight_plan
from extractor.chatglm3.shape import read_shape

LIMIT = 1.25
SHARD_BYTES = 300 * 10**6
CONFIG = {
    "model_type": "chatglm",
    "add_qkv_bias": True,
    "ffn_hidden_size": 5504,
    "hidden_size": 2048,
    "kv_channels": 128,
    "layernorm_epsilon": 1e-05,
    "multi_query_group_num": 2,
    "num_attention_heads": 16,
    "num_layers": 17,
    "padded_vocab_size": 65024,
    "seq_length": 8192,
}
RESULTS = Path(__file__).parent / "RESULTS.md"
TITLE = "## Memory while loading (`load_memory.py`)"


@dataclass(frozen=True, slots=True)
class Measured:
    """One load: bytes of the checkpoint, peak bytes of the process, seconds."""

    layout: str
    precision: str
    size: int
    peak: int
    seconds: float

    @property
    def ratio(self) -> float:
        return self.peak / self.size

    def row(self) -> str:
        sizes = f"{self.size / 1e9:.2f} | {self.peak / 1e9:.2f} | {self.ratio:.2f}"
        return f"| {self.layout} | {self.precision} | {sizes} | {self.seconds:.1f} |"


def write_checkpoint(folder: Path, shard_bytes: int) -> int:
    """Write random weights in shards of about `shard_bytes` with an index; returns the bytes of all shards."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    parts = list(_parts(folder, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(parts, start=1):
        file = f"pytorch_model-{number:05}-of-{len(parts):05}.bin"
        shapes = {name: weight_plan(read_shape(folder))[name].shape for name in names}
        torch.save({name: torch.randn(shape).mul_(0.02).half() for name, shape in shapes.items()}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    return sum((folder / file).stat().st_size for file in set(weight_map.values()))


def _parts(folder: Path, shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, source in weight_plan(read_shape(folder)).items():
        names.append(name)
        size += 2 * torch.Size(source.shape).numel()
        if size >= shard_bytes:
            yield names
            names, size = [], 0
    if names:
        yield names


def measure(layout: str, folder: Path, precision: str, size: int) -> Measured:
    """Load in a child process and read the peak that it reports."""
    command = [sys.executable, "-m", "benchmarks.load_memory", "--child", str(folder), "--precision", precision]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(answer.stdout)
    return Measured(layout, precision, size, report["peak"], report["seconds"])


def load_as_child(folder: str, precision: str) -> None:
    """Load and print the peak of this process (Linux only)."""
    start = time.perf_counter()
    model = load_model(folder, precision, "cpu")
    seconds = time.perf_counter() - start
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))[0]) * 1024
    print(json.dumps({"peak": peak, "seconds": seconds, "parameters": sum(p.numel() for p in model.parameters())}))


def report(rows: list[Measured]) -> str:
    """The section for RESULTS.md."""
    lines = [TITLE, "", f"{describe()}. Generated checkpoints, random weights.", ""]
    lines += ["| layout | precision | checkpoint, GB | peak RSS, GB | ratio | seconds |", "|---|---|---|---|---|---|"]
    lines += [row.row() for row in rows]
    return "\n".join([*lines, ""])


def write_section(file: Path, section: str) -> None:
    """Replace the section of the same title, or append it."""
    text = file.read_text("utf-8") if file.exists() else "# Measurements\n"
    title = section.splitlines()[0]
    kept = [part for part in re.split(r"(?m)^(?=## )", text) if not part.startswith(title)]
    file.write_text("\n\n".join(part.strip() for part in [*kept, section]) + "\n", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where to put the generated checkpoints (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="half", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        load_as_child(arguments.child, arguments.precision)
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        rows = _measure_all(Path(temporary))
    print(report(rows))
    if arguments.write:
        write_section(RESULTS, report(rows))
    promised = [row for row in rows if row.precision == "half"]
    return 0 if all(row.ratio < LIMIT for row in promised) else 1


def _measure_all(folder: Path) -> list[Measured]:
    sharded, single = folder / "sharded", folder / "single"
    size = write_checkpoint(sharded, SHARD_BYTES)
    shards = len(list(sharded.glob("*.bin")))
    rows = [
        measure(f"{shards} shards of .bin", sharded, precision, size) for precision in ("half", "float16", "float32")
    ]
    size = write_checkpoint(single, 10**12)
    return [*rows, measure("one .bin", single, "half", size)]


if __name__ == "__main__":
    sys.exit(main())
