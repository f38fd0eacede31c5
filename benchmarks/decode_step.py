"""Time of one step: of decode beside that of reading what it must read, of prefill as a share of the matrix rate.

    python -m benchmarks.decode_step [--size 6b] [--precision half] [--rows 256] [--context 400] [--prefix 128]

The model runner of a random checkpoint (`checkpoints.py`), without the engine around it. A decode step is one token for
each of `rows` sequences with `context` tokens in the cache after a shared prefix, from the batch to the sampled tokens
on the host; once eager and, where there are CUDA graphs, once captured. It must read the layers, the output layer and
the cache. A prefill step is as many tokens as the engine reads at once, in prompts of `context` tokens. Rates are
those of `rates.py`, figures medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.bound import Rates, Work, layer_weights, prefill_costs
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.machine import describe, peak_device_memory, peak_memory
from benchmarks.rates import measure, seconds
from benchmarks.rounds import ROOT
from extractor.chatglm3.checkpoint import find_device, load_parameters
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.model_dims import ModelDims
from extractor.engine import platforms
from extractor.engine.batch import Batch, Segment
from extractor.engine.cuda_graphs import CudaGraphs, capture_for
from extractor.engine.kv_cache import KVCache, Prefix, Slot
from extractor.engine.model_runner import ModelRunner
from extractor.engine.sampler import LogitsRow, sample
from extractor.engine.sequence import Request, Sequence
from extractor.precisions import Precision, find_precision

ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Load:
    """Sequences of a step, tokens of each in the cache, and tokens of the prefix before them."""

    rows: int
    context: int
    prefix: int


class Bench:
    """A model runner with a cache that holds as many sequences as a load has."""

    def __init__(self, runner: ModelRunner, load: Load) -> None:
        self.runner = runner
        self.load = load
        token = runner.kv_shape.token_bytes
        self._cache = KVCache(runner.kv_shape, 4 * token * (load.rows * (load.context + 64) + load.prefix + 4096))
        self._slots = [self._slot(load.context + 1) for _ in range(load.rows)]
        keys, values = (runner.kv_shape.zeros_per_layer(load.prefix) for _ in range(2))
        self._prefix = Prefix(tuple(range(load.prefix)), keys, values) if load.prefix else None

    def decode(self, forward: Callable[[Batch], Tensor]) -> float:
        """Return the seconds of a step of one token for everyone."""
        sequences = [Sequence(number, Request((1,), 1), None) for number in range(self.load.rows)]

        def step() -> None:
            segments = [
                Segment([number % 100], self.load.context, slot, self._prefix, 1) for number, slot in self._numbered
            ]
            hidden = forward(Batch(segments, self.runner.kv_shape))
            sample(self.runner, hidden, [LogitsRow(place, each, None) for place, each in enumerate(sequences)])

        return self._median(step)

    def prefill(self, tokens: int) -> tuple[int, float]:
        """Return how many prompts make up about so many tokens, and the seconds of a step that reads them."""
        count = max(1, min(self.load.rows, tokens // self.load.context))
        ids = list(range(1, self.load.context + 1))

        def step() -> None:
            segments = [Segment(ids, 0, slot, None, 1) for slot in self._slots[:count]]
            self.runner.logits(self.runner.forward(Batch(segments, self.runner.kv_shape))).argmax(-1).tolist()

        return count, self._median(step)

    @property
    def _numbered(self) -> list[tuple[int, Slot]]:
        return list(enumerate(self._slots))

    def _slot(self, tokens: int) -> Slot:
        slot = self._cache.allocate(tokens)
        if slot is None:
            raise SystemExit("the cache does not hold so many sequences: lower --rows or --context")
        return slot

    def _median(self, step: Callable[[], None]) -> float:
        for _ in range(3):
            step()
        return statistics.median(seconds(step, self.runner.kv_shape.device) for _ in range(ROUNDS))


def read_bytes(shape: ModelDims, precision: Precision, load: Load) -> float:
    """Return the bytes that a decode step must read: all weights but the embedding's, the cache, the prefix once."""
    weights = shape.layers * layer_weights(shape) * precision.weights
    head = shape.table_parameters * precision.head
    return weights + head + shape.cache_bytes(load.rows * load.context + load.prefix, precision.value_bytes)


@torch.inference_mode()
def report(checkpoint: Path, precision: Precision, device: torch.device, load: Load) -> Iterator[str]:
    """Yield the lines of a table."""
    shape = read_dims(checkpoint)
    _, rates = measure(shape, device)
    bench = Bench(ModelRunner(load_parameters(checkpoint, precision.name, str(device))), load)
    yield f"{describe()}. {precision.name}, {rates.operations / 1e9:,.0f} GFLOP/s, {rates.bandwidth / 1e9:.1f} GB/s."
    yield ""
    yield "| step | ms | at least, ms | share |"
    yield "|---|---|---|---|"
    least = read_bytes(shape, precision, load) / rates.bandwidth
    about = f"{load.rows} answers, {load.context} tokens after {load.prefix}"
    yield _line(about, bench.decode(bench.runner.forward), least)
    new_capture = capture_for(bench.runner.kv_shape)
    if new_capture is not None:
        graphs = CudaGraphs(bench.runner.forward_static, bench.runner.kv_shape, new_capture)
        yield _line(f"{about}, captured", bench.decode(lambda batch: _captured(graphs, bench.runner, batch)), least)
    yield _prefill(bench, shape, rates)
    yield ""
    yield f"Peak RSS {peak_memory() / 2**30:.2f} GiB, of the device {peak_device_memory() / 2**30:.2f} GiB."


def _captured(graphs: CudaGraphs, runner: ModelRunner, batch: Batch) -> Tensor:
    hidden = graphs.forward(batch)
    return runner.forward(batch) if hidden is None else hidden


def _prefill(bench: Bench, shape: ModelDims, rates: Rates) -> str:
    count, taken = bench.prefill(platforms.max_batched_tokens(bench.runner.kv_shape.device))
    least = prefill_costs(shape, Work([bench.load.context] * count, 0, 1)).operations / rates.operations
    rate = count * bench.load.context / taken
    return _line(f"{count} prompts of {bench.load.context} tokens ({rate:,.0f} tokens/s)", taken, least)


def _line(what: str, taken: float, least: float) -> str:
    return f"| {what} | {1000 * taken:.2f} | {1000 * least:.2f} | {least / taken:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--precision", default="half")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:n] (default: auto)")
    parser.add_argument("--rows", type=int, default=256, help="answers that are decoded together (default: 256)")
    parser.add_argument("--context", type=int, default=400, help="tokens of each in the cache (default: 400)")
    parser.add_argument("--prefix", type=int, default=128, help="tokens of the prefix that all share (default: 128)")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    arguments = parser.parse_args()
    checkpoint = cached_checkpoint(arguments.cache, arguments.size, arguments.tokenizer)
    load = Load(arguments.rows, arguments.context, arguments.prefix)
    device = find_device(arguments.device)
    for line in report(checkpoint, find_precision(arguments.precision), device, load):
        print(line, flush=True)


if __name__ == "__main__":
    main()
