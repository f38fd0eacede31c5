"""What a tuning makes of a model, on documents that it has not seen: F1, values made up, and how long it took.

    python -m benchmarks.tuning GOLD TEST -s SCHEMA [-m demo] [--cores 2] [OPTIONS OF TUNE...]

Everything is typed as a user types it: `run` with the model as it was, `tune`, `run` with the tuned one, and `evaluate
--compare`. Both files are gold in any format of `convert`; nothing of TEST is learned from or looked at by the tuning.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.rounds import ROOT

PROGRAM = (sys.executable, "-m", "extractor")


@dataclass(frozen=True, slots=True)
class Result:
    """F1 of values by meaning with its interval, values made up where the gold has none, values of the gold, and the
    seconds of the run."""

    f1: float
    interval: tuple[float, float]
    made_up: int
    gold: int
    seconds: float

    @property
    def row(self) -> str:
        low, high = self.interval
        return f"{self.f1:.2f} ({low:.2f} to {high:.2f}) | {self.made_up} | {self.gold} | {self.seconds:.0f}"


def told(command: Sequence[str]) -> str:
    """Return what a line prints. Exit code 1 (some documents failed) is an answer, too."""
    done = subprocess.run([*PROGRAM, *command], stdout=subprocess.PIPE, cwd=ROOT, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise SystemExit(f"exit code {done.returncode}: {' '.join(command)}")
    return done.stdout


def measured(results: Path, gold: str, schema: str, seconds: float) -> Result:
    """Return what `evaluate` says of results."""
    found: dict[str, Any] = json.loads(told(["evaluate", str(results), gold, "-s", schema, "--json"]))
    micro = found["overall"]["normalized"]["micro"]
    made_up = sum(field["made_up"]["where_null"] for field in found["fields"].values())
    return Result(micro["f1"] or 0.0, tuple(micro["intervals"]["f1"]), made_up, micro["gold"], seconds)


def asked(model: str, gold: str, schema: str, out: Path) -> Result:
    """Run a model over the documents of some gold, and measure it."""
    documents = out.with_suffix(".documents.jsonl")
    rows = [json.loads(line) for line in Path(gold).read_text("utf-8").splitlines()]
    lines = (json.dumps({"id": row["id"], "text": row["text"]}, ensure_ascii=False) + "\n" for row in rows)
    documents.write_text("".join(lines), "utf-8")
    began = time.perf_counter()
    told(["run", str(documents), "-s", schema, "-m", model, "-o", str(out), "-q"])
    return measured(out, gold, schema, time.perf_counter() - began)


def as_gold(file: str, schema: str, out: Path) -> str:
    """Return our gold of a file of annotations in any format."""
    told(["convert", file, str(out), "-s", schema])
    return str(out)


def _processor_seconds() -> float:
    """Processor time of all lines so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", help="what is learned from")
    parser.add_argument("test", help="what is measured on")
    parser.add_argument("-s", "--schema", required=True)
    parser.add_argument("-m", "--model", default="demo")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processor cores that may be used")
    arguments, options = parser.parse_known_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    os.environ["OMP_NUM_THREADS"] = str(arguments.cores)
    model, schema = arguments.model, arguments.schema
    schema = str(Path(schema).resolve()) if Path(schema).exists() else schema
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tuned = str(folder / "tuned")
        gold = as_gold(str(Path(arguments.gold).resolve()), schema, folder / "gold.jsonl")
        test = as_gold(str(Path(arguments.test).resolve()), schema, folder / "test.jsonl")
        before = asked(model, test, schema, folder / "before.jsonl")
        began, worked = time.perf_counter(), _processor_seconds()
        told(["tune", gold, "-s", schema, "-m", model, "-o", tuned, *options])
        seconds, worked = time.perf_counter() - began, _processor_seconds() - worked
        after = asked(tuned, test, schema, folder / "after.jsonl")
        print(told(["evaluate", str(folder / "after.jsonl"), test, "--compare", str(folder / "before.jsonl")]))
        history = json.loads((folder / "tuned" / "tuning.json").read_text("utf-8"))["epochs"]
        documents = len(Path(gold).read_text("utf-8").splitlines())
    learned = f"{documents} documents of gold, {history[-1]['epoch']:.0f} epochs"
    print(f"{describe()}. {arguments.cores} cores used; {learned}.\n")
    print("| model | F1 (95 %) | made up | values | seconds |\n|---|---|---|---|---|")
    print(f"| `{model}` | {before.row} |\n| tuned | {after.row} |")
    print(f"\nThe tuning took {seconds:.0f} s, with {worked:.0f} s of processor time.")


if __name__ == "__main__":
    main()
