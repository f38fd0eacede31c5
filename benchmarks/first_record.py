"""Seconds from a command to what it gives: the first record of `run`, and one document through `extract`.

    python -m benchmarks.first_record [--size 0.3b] [--tokenizer FILE] [--rounds 3]

Both are the commands as a user types them, over the documents and the task of `workload.py`: the interpreter's start,
imports and loading are all in the figure. `run` is ended after its first record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import workload
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.machine import describe
from benchmarks.rounds import ROOT, locked

DOCUMENTS = 64


def write_inputs(folder: Path) -> list[str]:
    """Write documents and schema; returns the options that name the task."""
    (folder / "documents").mkdir()
    for document in workload.documents(DOCUMENTS):
        (folder / "documents" / f"{document.id}.txt").write_text(document.text, "utf-8")
    (folder / "schema.json").write_text(json.dumps(workload.schema("verbatim"), ensure_ascii=False), "utf-8")
    return ["-s", str(folder / "schema.json"), "-p", str(workload.TEMPLATE)]


def until_first_line(command: Sequence[str]) -> float:
    """Seconds until the command has written a line; it is ended then. SystemExit where it writes none."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        seconds = time.perf_counter() - began
        child.kill()
    if not line.strip():
        raise SystemExit(f"no record came: {' '.join(command)}")
    return seconds


def until_its_end(command: Sequence[str]) -> float:
    """Seconds that the command takes. Exit code 1 (a failed record) is an answer, too."""
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    if done.returncode not in (0, 1):
        raise SystemExit(f"exit code {done.returncode}: {' '.join(command)}")
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--precision", default="half")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    parser.add_argument("--lock", type=Path, help="a file to lock while anything is timed")
    arguments = parser.parse_args()
    checkpoint = cached_checkpoint(arguments.cache, arguments.size, arguments.tokenizer)
    program = [sys.executable, "-m", "extractor"]
    model = ["-m", str(checkpoint), "--precision", arguments.precision, "--quiet"]
    with tempfile.TemporaryDirectory() as temporary:
        task = write_inputs(Path(temporary))
        run = [*program, "run", f"{temporary}/documents", *task, *model, "-o", "-"]
        extract = [*program, "extract", f"{temporary}/documents/0.txt", *task, *model]
        first, alone = [], []
        for _ in range(arguments.rounds):
            with locked(arguments.lock):
                first.append(until_first_line(run))
                alone.append(until_its_end(extract))
    print(f"{describe()}. `{arguments.size}`, {arguments.precision}, medians of {arguments.rounds} rounds.\n")
    print("| command | seconds |\n|---|---|")
    print(f"| `run` over {DOCUMENTS} documents, to its first record | {statistics.median(first):.1f} |")
    print(f"| `extract`, one document | {statistics.median(alone):.1f} |")


if __name__ == "__main__":
    main()
