"""What this machine can do: its matrix rate and its memory bandwidth, for the bound of `bound.py`.

    python -m benchmarks.rates CHECKPOINT [--device cuda]

Rates are the best that was seen: a bound must not be beaten by an engine that is merely luckier. Products have the
shapes of the model's layers, with weights as torch keeps them and with weights laid out once for oneDNN, and go through
so many layers that weights come from memory. Bandwidth is the better of summing up a large tensor and of one-row
products over 1.5 GiB of weights, more than three times the largest cache known here. On CUDA only the first way counts.
Products are in bfloat16; on a processor without instructions for it in float32, which is what such a one does best.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.bound import Rates, layer_weights
from extractor.chatglm3.checkpoint import find_device
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.model_dims import ModelDims
from extractor.kernels import processor

LARGE = 3 * 2**29
"""Bytes that no cache holds."""
ROWS = (1, 16, 32, 64, 512, 2048)
CUDA_ROWS = (1, 16, 64, 256, 2048, 8192)
MANY = 512
"""Rows from which on a product counts as one of prefill."""

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to multiply, so many rows at a time: operations a second and bytes of weights a second."""

    way: str
    rows: int
    operations: float
    bandwidth: float


@torch.inference_mode()
def measure(shape: ModelDims, device: torch.device) -> tuple[list[Measured], Rates]:
    """Every product at every number of rows, and the rates that follow."""
    weights = _layers(shape, device)
    ways, sizes = (("linear",), CUDA_ROWS) if device.type == "cuda" else (tuple(WAYS), ROWS)
    measured = [_time(way, weights, rows) for way in ways for rows in sizes]
    operations = max(each.operations for each in measured if each.rows >= MANY)
    bandwidth = max(streaming(device), *(each.bandwidth for each in measured if each.rows == 1))
    return measured, Rates(operations, bandwidth)


def streaming(device: torch.device) -> float:
    """Bytes a second of adding up a large tensor with all threads."""
    large = torch.ones(LARGE // 4, dtype=torch.float32, device=device)
    return large.nbytes / min(seconds(large.sum, device) for _ in range(5))


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """How long a call takes, and what it leaves the device to do."""
    _finish(device)
    began = perf_counter()
    call()
    _finish(device)
    return perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _layers(shape: ModelDims, device: torch.device) -> list[Tensor]:
    """The four weights of as many layers as are large together."""
    hidden, ffn = shape.hidden_size, shape.ffn_size
    sizes = [(shape.query_rows + 2 * shape.key_rows, hidden), (hidden, shape.query_rows), (2 * ffn, hidden)]
    sizes.append((hidden, ffn))
    dtype = torch.bfloat16 if device.type == "cuda" or _multiplies_bfloat16() else torch.float32
    count = max(1, LARGE // (dtype.itemsize * layer_weights(shape)))
    return [torch.full(size, 0.01, dtype=dtype, device=device) for _ in range(count) for size in sizes]


def _multiplies_bfloat16() -> bool:
    """Whether there are instructions for it at the level in use; oneDNN emulates them with AVX-512, else refuses."""
    return processor.level() >= processor.Level.BF16


def _plain(weight: Tensor, rows: int) -> Product:
    return lambda inputs: functional.linear(inputs, weight)


def _packed(weight: Tensor, rows: int) -> Product:
    """The product with weights that are laid out once, as oneDNN's kernels want them for so many rows."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise(inputs, packed, None, "none", [], "")


WAYS: dict[str, Callable[[Tensor, int], Product]] = {"linear": _plain, "prepacked": _packed}


def _time(way: str, weights: Sequence[Tensor], rows: int) -> Measured:
    """Run through all weights, or through fewer where there are many rows, and keep the best of three."""
    taken = weights if rows < MANY else weights[:16]
    inputs = {width: taken[0].new_ones(rows, width) for width in {w.shape[1] for w in taken}}
    pairs = [(WAYS[way](weight, rows), inputs[weight.shape[1]]) for weight in taken]
    _run(pairs[:4])
    least = min(seconds(lambda: _run(pairs), taken[0].device) for _ in range(3))
    values = sum(weight.numel() for weight in taken)
    return Measured(way, rows, 2 * rows * values / least, sum(weight.nbytes for weight in taken) / least)


def _run(pairs: Sequence[tuple[Product, Tensor]]) -> None:
    for product, rows in pairs:
        product(rows)


def table(measured: Sequence[Measured], rates: Rates) -> Iterator[str]:
    """The lines of a markdown table, and the rates in one sentence."""
    yield "| products | rows | GFLOP/s | weights, GB/s |"
    yield "|---|---|---|---|"
    for each in measured:
        yield f"| {each.way} | {each.rows:,} | {each.operations / 1e9:,.0f} | {each.bandwidth / 1e9:.1f} |"
    yield ""
    yield f"Rates of the bound: {rates.operations / 1e9:,.0f} GFLOP/s, {rates.bandwidth / 1e9:.1f} GB/s."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of the model whose shapes are multiplied")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:n] (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the rates as JSON instead of the table")
    arguments = parser.parse_args()
    measured, rates = measure(read_dims(arguments.checkpoint), find_device(arguments.device))
    print(json.dumps(asdict(rates)) if arguments.json else "\n".join(table(measured, rates)))


if __name__ == "__main__":
    main()
