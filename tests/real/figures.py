"""Measure the letters in three ways: with the server's grammar, with the schema alone, and free.

`python -m tests.real.figures` prints a table for benchmarks/RESULTS.md. Values are right where they equal those of
gold.jsonl; those that a letter does not have are not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from tests.cli.conftest import ROOT, Row, command, environment, rows
from tests.real.metering import Meter, metering

HERE = Path(__file__).parent
WAYS: dict[str, tuple[str, Sequence[str]]] = {
    "grammar, llguidance": ("llguidance", ()),
    "grammar, GBNF": ("gbnf", ()),
    "json_schema": ("", ()),
    "json_schema, `--ungrounded null`": ("", ("--ungrounded", "null")),
    "none (`--no-constrain`)": ("", ("--no-constrain",)),
}
"""How an answer is constrained -> what the server shows of its grammars, and further options."""


def main() -> None:
    line = [sys.executable, "-m", "tests.real.llama_server"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    print(f"{machine.describe()}\n")
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=nowhere, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        print("| answers | ok | partial | failed | values right | values wrong | requests | documents/s |", flush=True)
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for name, (shows, options) in WAYS.items():
            with metering(address, shows) as meter:
                print(f"| {name} | {_measure(meter, options)} |", flush=True)
        process.stdin.close()


def _measure(meter: Meter, options: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rows.jsonl"
        line = ["run", str(HERE / "letters.jsonl"), "-s", str(HERE / "letters.json"), "-p", "en", "-o", str(output)]
        line += ["--backend", "openai", "--base-url", f"{meter.address}/v1", "--concurrency", "2", "--quiet", *options]
        began = time.perf_counter()
        subprocess.run(command(*line), env=environment(), cwd=ROOT, check=False)
        seconds = time.perf_counter() - began
        found = rows(output)
    states = Counter(row["status"] for row in found)
    right, wrong, gold = _compared(found)
    counts = " | ".join(str(states[status]) for status in ("ok", "partial", "failed"))
    return f"{counts} | {right} of {gold} | {wrong} | {meter.completions} | {len(found) / seconds:.2f}"


def _compared(found: Sequence[Row]) -> tuple[int, int, int]:
    """Return how many values are right, how many are other than they should be, and how many there are."""
    gold = {row["id"]: row["data"] for row in rows(HERE / "gold.jsonl")}
    right = wrong = 0
    for row in found:
        expected = gold[row["id"]]
        for name, value in (row["data"] or {}).items():
            right += value is not None and value == expected[name]
            wrong += value is not None and value != expected[name]
    return right, wrong, sum(value is not None for data in gold.values() for value in data.values())


if __name__ == "__main__":
    main()
