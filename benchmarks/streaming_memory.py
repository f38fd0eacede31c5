"""Peak memory of a run over a folder of 2,000 and of 50,000 small documents: it must not grow with the folder.

    python benchmarks/streaming_memory.py [COUNT ...]

The scripted backend stands in for the model, so that what is measured is the pipeline: readers, window, sink.
Each run is a process of its own; its peak resident set is what the operating system reports for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.machine import describe

TEXT = "第{number}号登记单\n手机号：138{number:08d}\n邮箱：user{number}@example.com\n备注：{filler}\n"


def write_documents(folder: Path, count: int) -> None:
    """`count` files of about 1 KB, a thousand to a folder."""
    for number in range(count):
        parent = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            parent.mkdir(parents=True)
        text = TEXT.format(number=number, filler="今日巡检一切正常。" * 30)
        (parent / f"{number:06d}.txt").write_text(text, encoding="utf-8")


def run(folder: Path, output: Path) -> tuple[float, float]:
    """Run the command line over the folder; returns seconds and peak resident memory in MiB."""
    command = [sys.executable, "-m", "extractor", "run", str(folder), "-s", "contact"]
    began = perf_counter()
    child = subprocess.Popen([*command, "--backend", "scripted", "-o", str(output), "--quiet"])
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the run over {folder} failed")
    return perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [2_000, 50_000]
    print(f"{describe()}\n\n| documents | seconds | documents/s | peak RSS, MiB |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder, output = Path(temporary, "documents"), Path(temporary, "rows.jsonl")
            write_documents(folder, count)
            seconds, peak = run(folder, output)
            with output.open("rb") as rows:
                assert sum(1 for _ in rows) == count, "a row is missing"
            print(f"| {count:,} | {seconds:.1f} | {count / seconds:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
