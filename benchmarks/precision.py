"""What a precision costs and gives: memory, time to load, tokens a second, documents a second, and the loss.

    python -m benchmarks.precision [--size 0.3b] [--device cpu] [--tokenizer FILE] [--write]
    python -m benchmarks.precision --documents 0             without the engine

Speed is that of a random checkpoint (`checkpoints.py`), each precision in a process of its own: `GlmForCausalLM` with
its layers laid out as the engine lays them out, 1,024 tokens at once and then one by one; documents a second are those
of the `chatglm3` backend (`contenders/`). Loss is the mean Kullback-Leibler divergence (nats) of the next token's
distribution from that in float32, over the reference checkpoints and over answers of the demo model to `data/samples`,
and the demo model's accuracy: the share of fields of `training/*.jsonl` that the whole pipeline gets exactly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GlmForCausalLM

from benchmarks import workload
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.machine import describe, peak_memory
from benchmarks.results import write_section
from benchmarks.rounds import ROOT, Bench, compare
from extractor import Extractor
from extractor.chatglm3 import Tokenizer, load_model
from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.config import ModelConfig, RunConfig
from extractor.data import Chunk, Document, Prompt
from extractor.ingest import read
from extractor.precisions import quantized_names
from extractor.precisions._support.linear import LinearLayer
from extractor.stages.prompting import render
from extractor.task.task import load_task

PRECISIONS = ("half", *quantized_names())
PREFILL, STEPS, ROUNDS = 1024, 48, 5
TINY = ROOT / "tests" / "reference" / "chatglm3-tiny"
DOCUMENTS = ("ours-verbatim", "ours-alone")
SPEED_HEAD = ("precision", "device", "weights, GB", "peak RSS, GB", "load, s", "prefill tokens/s", "decode tokens/s")
LOSS_HEAD = ("precision", "KL, tiny", "KL, demo, answers", "same first choice", "accuracy, demo")


@dataclass(frozen=True, slots=True)
class Speed:
    """One precision on one device: bytes of weights, peak bytes of the process, seconds to load, tokens a second."""

    weights: int
    peak: int
    load: float
    prefill: float
    decode: float

    def cells(self) -> list[str]:
        rates = [f"{self.prefill:,.0f}", f"{self.decode:.1f}"]
        return [f"{self.weights / 1e9:.2f}", f"{self.peak / 1e9:.2f}", f"{self.load:.1f}", *rates]


class _LaidOut(nn.Module):
    """A layer with its product as the engine has it."""

    def __init__(self, layer: LinearLayer) -> None:
        super().__init__()
        self._product = layer.product()

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        return self._product(rows).view(*x.shape[:-1], -1)


@torch.inference_mode()
def speed(checkpoint: Path, precision: str, device: str) -> Speed:
    """Load and time a model in this process; the peak on a GPU is its own."""
    began = perf_counter()
    model = load_model(checkpoint, precision, device)
    load = perf_counter() - began
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    linears = {name: layer for name, layer in model.named_modules() if isinstance(layer, LinearLayer)}
    for name, layer in linears.items():
        model.set_submodule(name, _LaidOut(layer))
    ids = torch.randint(model.config.vocab_size, (1, PREFILL), device=model.device)
    prefill = PREFILL / _median(lambda: _forward(model, ids, DynamicCache(config=model.config)))
    cache = DynamicCache(config=model.config)
    _forward(model, ids[:, :256], cache)
    decode = 1 / _median(lambda: _forward(model, ids[:, :1], cache), STEPS)
    peak = torch.cuda.max_memory_allocated() if model.device.type == "cuda" else peak_memory()
    return Speed(weights, peak, load, prefill, decode)


def _forward(model: GlmForCausalLM, ids: Tensor, cache: DynamicCache) -> None:
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def _median(call: Callable[[], None], rounds: int = ROUNDS) -> float:
    """Median seconds of a call, after one that warms up."""
    call()
    seconds = []
    for _ in range(rounds):
        began = perf_counter()
        call()
        seconds.append(perf_counter() - began)
    return statistics.median(seconds)


def speed_in_a_child(checkpoint: Path, precision: str, device: str) -> Speed:
    """The same in a process of its own, so that its peak is its own."""
    command = [sys.executable, "-m", "benchmarks.precision", "--child", str(checkpoint), precision, "--device", device]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Speed(**json.loads(done.stdout))


def documents_per_second(checkpoint: Path, precision: str, count: int, rounds: int) -> list[str]:
    """The engine's, with documents in flight together and one at a time."""
    bench = Bench(checkpoint, checkpoint, precision)
    cells = []
    for name, some in zip(DOCUMENTS, (count, max(1, count // 4)), strict=True):
        reports = compare(bench, [name], workload.documents(some), rounds)[name]
        cells.append(f"{statistics.median(each.documents / each.seconds for each in reports):.2f}")
    return cells


@torch.inference_mode()
def divergence(folder: Path, precision: str, texts: Sequence[tuple[Sequence[int], int]]) -> tuple[float, float]:
    """Mean KL from float32 of the distributions behind each text from a token on, and how often the best is the same.

    A text is its ids and the number of those that are its prompt.
    """
    exact, model = load_model(folder, "float32", "cpu"), load_model(folder, precision, "cpu")
    nats, same = [], []
    for ids, prompt in texts:
        p, q = (each(torch.tensor([ids])).logits[0, prompt - 1 : -1].float().log_softmax(-1) for each in (exact, model))
        nats.append((p.exp() * (p - q)).sum(-1))
        same.append((p.argmax(-1) == q.argmax(-1)).float())
    return float(torch.cat(nats).mean()), float(torch.cat(same).mean())


def tiny_texts() -> list[tuple[list[int], int]]:
    """The reference's prompts with the 32 tokens that the original code wrote behind them."""
    cases = json.loads((TINY / "reference.json").read_text("utf-8"))["cases"]
    return [([*case["input_ids"], *case["greedy_32"]], len(case["input_ids"])) for case in cases]


def demo_texts() -> list[tuple[list[int], int]]:
    """The prompts of `data/samples` with the demo model's answers to them in float32."""
    tokenizer, texts = Tokenizer(DEMO_FOLDER), []
    for schema in ("contact", "order"):
        task = load_task(schema, "zh")
        with _extractor(schema, "float32") as extractor:
            folder = str(ROOT / "data" / "samples" / schema)
            found = [each for each in read([folder]) if isinstance(each, Document)]
            for document, record in zip(found, extractor.run(found), strict=True):
                prompt = render(Prompt(Chunk(document, 0, 0, len(document.text)), task, (), 256))
                ids = [*tokenizer.chat_prompt(prompt.messages), *tokenizer.encode("\n")]
                answer = json.dumps(record.data or {}, ensure_ascii=False)
                texts.append(([*ids, *tokenizer.encode_continuation(answer)], len(ids)))
    return texts


def _extractor(schema: str, precision: str) -> Extractor[Any]:
    model = ModelConfig(precision=precision, device="cpu")
    return Extractor(schema, model, config=RunConfig(ordered=True))


def accuracy(precision: str) -> float:
    """Share of fields that the pipeline gets exactly with the demo model, over documents it was not trained on."""
    rows = [json.loads(line) for name in ("dev", "test") for line in _lines(ROOT / "training" / f"{name}.jsonl")]
    right = fields = 0
    for schema in sorted({row["schema"] for row in rows}):
        asked = [row for row in rows if row["schema"] == schema]
        with _extractor(schema, precision) as extractor:
            for row, record in zip(asked, extractor.run(row["text"] for row in asked), strict=True):
                right += sum((record.data or {}).get(name) == gold for name, gold in row["gold"].items())
                fields += len(row["gold"])
    return right / fields


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the section for RESULTS.md."""
    checkpoint = cached_checkpoint(arguments.cache, arguments.size, arguments.tokenizer)
    yield f"## Precision, `{arguments.size}` (`precision.py`)"
    yield ""
    yield f"{describe()}. Medians of {ROUNDS} products of {PREFILL:,} tokens and of {STEPS} single ones."
    yield ""
    documents = ("documents/s", "documents/s, one at a time") if arguments.documents else ()
    yield from _table([*SPEED_HEAD, *documents], _speeds(checkpoint, arguments))
    yield ""
    yield from _table(LOSS_HEAD, _losses(bool(arguments.documents)))


def _speeds(checkpoint: Path, arguments: argparse.Namespace) -> Iterator[list[str]]:
    for precision in PRECISIONS:
        cells = speed_in_a_child(checkpoint, precision, arguments.device).cells()
        if arguments.documents:
            cells += documents_per_second(checkpoint, precision, arguments.documents, arguments.rounds)
        yield [precision, arguments.device, *cells]


def _losses(with_accuracy: bool) -> Iterator[list[str]]:
    tiny, demo = tiny_texts(), demo_texts()
    for precision in PRECISIONS:
        small, (nats, same) = divergence(TINY, precision, tiny)[0], divergence(DEMO_FOLDER, precision, demo)
        right = f"{accuracy(precision):.3f}" if with_accuracy else ""
        yield [precision, f"{small:.5f}", f"{nats:.5f}", f"{same:.4f}", right]


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--device", default="cpu", help="of the speeds (default: %(default)s)")
    parser.add_argument("--documents", type=int, default=32, help="documents through the engine; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3, help="of the documents (default: %(default)s)")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    parser.add_argument("--write", action="store_true", help="write the tables into RESULTS.md as well")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, precision = arguments.child
        print(json.dumps(asdict(speed(Path(folder), precision, arguments.device))))
        return
    section = "\n".join(report(arguments)) + "\n"
    print(section)
    if arguments.write:
        write_section(section)


if __name__ == "__main__":
    main()
