"""How much memory `models export` takes: peak RSS on a generated sharded `.bin` of several GB.

    python -m benchmarks.export_memory                     print the table
    python -m benchmarks.export_memory --write            put it into benchmarks/RESULTS.md as well

The checkpoint has random float16 weights in the original layout; it and what is exported of it lie in a temporary
folder (`--folder` for a disk with more room). The export runs in a process of its own, and its peak is that of
`load_memory.py`. The promise is a peak under LIMIT, whatever the size of the model: torch and transformers, one file
of the output, a group of tensors of the input.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.checkpoints import DEMO_TOKENIZER, Layout, config, write_checkpoint
from benchmarks.machine import describe, peak_memory
from benchmarks.results import write_section
from extractor.chatglm3.checkpoint_files import TOKENIZER_FILE
from extractor.chatglm3.export import export

LIMIT = 2.5e9
SHARD_BYTES = 2 * 10**9
TITLE = "## Memory while exporting (`export_memory.py`)"


def measure(layers: int, folder: Path) -> str:
    """A row of the table: a 6B model cut to so many layers is written, exported and removed."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        source, out = Path(name) / "source", Path(name) / "out"
        size = write_checkpoint(source, {**config("6b"), "num_layers": layers}, Layout(torch.float16, SHARD_BYTES))
        (source / TOKENIZER_FILE).write_bytes(DEMO_TOKENIZER.read_bytes())
        command = [sys.executable, "-m", "benchmarks.export_memory", "--child", str(source), str(out)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if found["peak"] > LIMIT:
        raise SystemExit(f"{found['peak'] / 1e9:.2f} GB are more than the {LIMIT / 1e9:g} GB that are promised")
    return f"| {layers} | {size / 1e9:.2f} | {found['peak'] / 1e9:.2f} |"


def export_as_child(source: str, out: str) -> None:
    """Export and print the peak of this process (Linux only)."""
    export(Path(source), Path(out))
    print(json.dumps({"peak": peak_memory()}))


def report(rows: list[str]) -> str:
    """The section for RESULTS.md."""
    about = f"{describe()}. Random float16 weights in the sizes of the 6B model, in files of 2 GB, cut to some layers."
    head = ["| layers | checkpoint, GB | peak RSS, GB |", "|---|---|---|"]
    return "\n".join([TITLE, "", about, "", *head, *rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 12], help="sizes to measure (the 6B model: 28)")
    parser.add_argument("--folder", type=Path, help="where to put the checkpoints (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        export_as_child(*arguments.child)
        return
    section = report([measure(layers, arguments.folder) for layers in arguments.layers])
    print(section)
    if arguments.write:
        write_section(section)


if __name__ == "__main__":
    main()
