"""How much memory loading takes: peak RSS of `load_model` on a generated sharded `.bin` of 2 GB.

    python -m benchmarks.load_memory                     print the table
    python -m benchmarks.load_memory --write            put it into benchmarks/RESULTS.md as well
    python -m benchmarks.load_memory --checkpoint DIR    int8 and int4 of one that is there

The checkpoint has random float16 weights in the original layout and lies in a temporary folder (`--folder` for a disk
with more room). Each load runs in a process of its own; its peak is the kernel's `VmHWM` (not `ru_maxrss`, which a
child inherits from its parent). The promise is a peak under 1.25 times the checkpoint for `half` on the CPU; `float32`
holds twice the bytes by nature. In int8 and int4 the weights are quantised while loading; `stored` is the same from the
files of `models quantize`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.checkpoints import DEMO_TOKENIZER, Layout, write_checkpoint
from benchmarks.machine import describe, peak_memory
from benchmarks.results import write_section
from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE, weight_files
from extractor.chatglm3.quantize import quantize
from extractor.chatglm3.transformers_model import load_model
from extractor.precisions import quantized_names

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
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"peak": peak_memory(), "seconds": seconds, "parameters": parameters}))


def report(rows: list[Measured]) -> str:
    """The section for RESULTS.md."""
    lines = [TITLE, "", f"{describe()}. Generated checkpoints, random weights.", ""]
    lines += ["| layout | precision | checkpoint, GB | peak RSS, GB | ratio | seconds |", "|---|---|---|---|---|---|"]
    lines += [row.row() for row in rows]
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where to put the generated checkpoints (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint that is there, instead of generated ones")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="half", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        load_as_child(arguments.child, arguments.precision)
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        there = arguments.checkpoint
        rows = list(_quantized(Path(temporary), there)) if there else _measure_all(Path(temporary))
    print(report(rows))
    if arguments.write:
        write_section(report(rows))
    promised = [row for row in rows if row.precision == "half"]
    return 0 if all(row.ratio < LIMIT for row in promised) else 1


def _measure_all(folder: Path) -> list[Measured]:
    sharded, single = folder / "sharded", folder / "single"
    size = write_checkpoint(sharded, CONFIG, Layout(torch.float16, SHARD_BYTES))
    shards = len(list(sharded.glob("*.bin")))
    rows = [
        measure(f"{shards} shards of .bin", sharded, precision, size) for precision in ("half", "float16", "float32")
    ]
    shutil.copy(DEMO_TOKENIZER, sharded / TOKENIZER_FILE)
    rows += _quantized(folder, sharded)
    size = write_checkpoint(single, CONFIG, Layout(torch.float16, 10**12))
    return [*rows, measure("one .bin", single, "half", size)]


def _quantized(folder: Path, checkpoint: Path) -> Iterator[Measured]:
    """A checkpoint quantised while loading, and loaded as stored."""
    size = sum(file.stat().st_size for file in weight_files(checkpoint))
    for precision in quantized_names():
        yield measure(f"{len(weight_files(checkpoint))} shards of .bin", checkpoint, precision, size)
        out = folder / precision
        quantize(checkpoint, out, precision)
        stored = sum(file.stat().st_size for file in weight_files(out))
        yield measure("stored", out, precision, stored)
        shutil.rmtree(out)


if __name__ == "__main__":
    sys.exit(main())
