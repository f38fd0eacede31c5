"""What dealing out documents costs: one process, and workers of Ray on one machine, with nothing for a model to do.

    python benchmarks/cluster_rate.py [--few 1000] [--many 20000] [--workers 2]

The scripted backend answers at once, so the rate is the most that one reader, its batches and their part files can
carry; starting is what a run over few documents takes beyond that rate. Documents are lines of one file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.machine import describe
from benchmarks.results import write_section
from benchmarks.streaming_memory import TEXT
from extractor.distributed.job import ReadJob
from extractor.distributed.worker import read
from extractor.ingest import ReadOptions
from extractor.storage.digest_table import DigestTable

ALONE: tuple[str, ...] = ()


def write_documents(file: Path, count: int) -> None:
    """`count` rows of about 1 KB."""
    filler = "今日巡检一切正常。" * 30
    with file.open("w", encoding="utf-8") as stream:
        for number in range(count):
            line = json.dumps({"text": TEXT.format(number=number, filler=filler)}, ensure_ascii=False)
            stream.write(f"{line}\n")


def seconds(file: Path, output: Path, engine: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "extractor", "run", str(file), "-s", "contact", "--backend", "scripted", "--quiet"]
    began = perf_counter()
    subprocess.run([*command, *engine, "-o", str(output)], check=True)
    return perf_counter() - began


def measure(name: str, engine: tuple[str, ...], few: int, many: int) -> str:
    """A row of the table: the rate between few and many documents, and the time beside it."""
    took = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in (few, many):
            file, output = Path(temporary, f"{count}.jsonl"), Path(temporary, f"rows-{count}")
            write_documents(file, count)
            took[count] = seconds(file, output if engine else output.with_suffix(".jsonl"), engine)
    rate = (many - few) / (took[many] - took[few])
    return f"| {name} | {took[few]:.1f} | {took[many]:.1f} | {rate:,.0f} | {took[few] - few / rate:.1f} |"


def reader_rate(count: int) -> float:
    """Documents that the one reader reads and packs in a second of processor time."""
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "many.jsonl")
        write_documents(file, count)
        began = process_time()
        for batch in read(ReadJob((str(file),), ReadOptions()), DigestTable()):
            batch.to_table()
        return count / (process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    ray = ("--engine", "ray", "--workers", str(asked.workers))
    lines = [
        "## What dealing out costs (`cluster_rate.py`)",
        f"{describe()}. Scripted backend, rows of 1 KB of one file.",
        f"| engine | {asked.few:,} documents, s | {asked.many:,}, s | documents/s | start, s |\n|---|---|---|---|---|\n"
        + measure("one process", ALONE, asked.few, asked.many)
        + "\n"
        + measure(f"ray, {asked.workers} workers", ray, asked.few, asked.many),
        f"The reader alone: {reader_rate(asked.many):,.0f} documents in a second of processor time.",
    ]
    write_section("\n\n".join(lines))


if __name__ == "__main__":
    main()
