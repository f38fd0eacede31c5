"""Rounds of contenders that take turns, each in a process of its own, on a machine that others may use as well.

A round in which others had the processors for more than a tenth of the time is run again, up to twice; the least
disturbed try counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, workload
from benchmarks.bound import Rates
from benchmarks.contenders.job import Item, Job, Report
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.data import Document

ROOT = Path(__file__).parent.parent
WARM = 4
WARM_PROMPT = "zh"
DISTURBED = 0.1
TRIES = 3

Reports = dict[str, list[Report]]
"""Name of a contender -> its rounds."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What stays the same over all rounds: the model in both its forms, other engines' environments, the lock, how many
    prompts ours works on together."""

    checkpoint: Path
    plain: Path
    precision: str
    vllm: Path | None = None
    lock: Path | None = None
    batch: int | None = None
    openvino: Path | None = None

    def job(self, documents: Sequence[Document]) -> Job:
        """The questions about these documents, and others to warm up with."""
        tokenizer = Tokenizer(self.checkpoint)
        others = workload.documents(WARM, seed=1)
        return Job(
            checkpoint=str(self.checkpoint),
            plain=str(self.plain),
            precision=self.precision,
            items=[_item(document, str(workload.TEMPLATE), tokenizer) for document in documents],
            warm=[_item(document, WARM_PROMPT, tokenizer) for document in others],
            schema=workload.plain_schema(),
            free_tokens=workload.FREE_TOKENS,
            answer_tokens=workload.ANSWER_TOKENS,
            batch=self.batch,
        )


@contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Hold a lock that others who measure on this machine hold as well."""
    if path is None:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compare(bench: Bench, names: Sequence[str], documents: Sequence[Document], rounds: int) -> Reports:
    """Let the contenders take turns over the same documents."""
    reports: Reports = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            report = _undisturbed(bench, name, bench.job(documents[: contenders.most_documents(name)]))
            reports[name].append(report)
            rate = f"{report.documents / report.seconds:.2f} documents/s, {report.others:.0%} of the time with others"
            print(f"round {number}: {name} {rate}", file=sys.stderr)
    return reports


def measure_rates(bench: Bench, rounds: int) -> Rates:
    """The machine's rates, each round in a process of its own: the best that was seen."""
    command = [sys.executable, "-m", "benchmarks.rates", str(bench.checkpoint), "--json"]
    found = []
    for _ in range(rounds):
        with locked(bench.lock):
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
        found.append(Rates(**json.loads(done.stdout)))
    return Rates(max(rates.operations for rates in found), max(rates.bandwidth for rates in found))


def interpreter(bench: Bench, name: str) -> tuple[str, dict[str, str]]:
    """The interpreter that a contender runs in, and its environment variables."""
    folder = {"vllm": bench.vllm, "openvino": bench.openvino}.get(name.partition("-")[0])
    if folder is None:
        return sys.executable, dict(os.environ)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    preload = folder / "preload.txt"
    if preload.exists():
        environment["LD_PRELOAD"] = preload.read_text("utf-8").strip()
    return str(folder / "bin" / "python"), environment


def _item(document: Document, prompt: str, tokenizer: Tokenizer) -> Item:
    question = workload.question(document, workload.task("none", prompt), tokenizer)
    return Item(document.text, prompt, question.ids)


def _undisturbed(bench: Bench, name: str, job: Job) -> Report:
    tries: list[Report] = []
    while len(tries) < TRIES:
        tries.append(_run(bench, name, job))
        if tries[-1].others < DISTURBED:
            break
    return min(tries, key=lambda report: report.others)


def _run(bench: Bench, name: str, job: Job) -> Report:
    """One try of one contender in a process of its own; SystemExit with the end of its output where it fails."""
    python, environment = interpreter(bench, name)
    with tempfile.TemporaryDirectory() as temporary, locked(bench.lock):
        question, answer, log = (Path(temporary, file) for file in ("job.json", "report.json", "log.txt"))
        job.write(question)
        command = [python, "-m", "benchmarks.contenders", name, str(question), str(answer)]
        with log.open("wb") as output:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        return Report.read(answer)
