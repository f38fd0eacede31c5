"""What this machine can do: its bfloat16 matrix rate and its memory bandwidth, for the bound of `bound.py`.

    python -m benchmarks.rates CHECKPOINT

Rates are the best that was seen: a bound must not be beaten by an engine that is merely luckier. Products have the
shapes of the model's layers, with weights as torch keeps them and with weights laid out once for oneDNN, and go through
so many layers that weights come from memory. Bandwidth is the better of summing up a large tensor and of one-row
products over 1.5 GiB of weights, more than three times the largest cache known here.
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

from benchmarks.bound import HALF, Rates, layer_weights
from extractor.chatglm3.shape import ModelShape, read_shape

LARGE = 3 * 2**29
"""Bytes that no cache holds."""
ROWS = (1, 16, 32, 64, 512, 2048)
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
def measure(shape: ModelShape) -> tuple[list[Measured], Rates]:
    """Every product at every number of rows, and the rates that follow."""
    weights = _layers(shape)
    measured = [_time(way, weights, rows) for way in WAYS for rows in ROWS]
    operations = max(each.operations for each in measured if each.rows >= MANY)
    bandwidth = max(streaming(), *(each.bandwidth for each in measured if each.rows == 1))
    return measured, Rates(operations, bandwidth)


def streaming() -> float:
    """Bytes a second of adding up a large tensor with all threads."""
    large = torch.ones(LARGE // 4, dtype=torch.float32)
    return large.nbytes / min(_seconds(large.sum) for _ in range(5))


def _layers(shape: ModelShape) -> list[Tensor]:
    """The four weights of as many layers as are large together."""
    hidden, ffn = shape.hidden_size, shape.ffn_size
    sizes = [(shape.query_rows + 2 * shape.key_rows, hidden), (hidden, shape.query_rows), (2 * ffn, hidden)]
    sizes.append((hidden, ffn))
    count = max(1, LARGE // (HALF * layer_weights(shape)))
    return [torch.full(size, 0.01, dtype=torch.bfloat16) for _ in range(count) for size in sizes]


def _plain(weight: Tensor, rows: int) -> Product:
    return lambda inputs: functional.linear(inputs, weight)


def _packed(weight: Tensor, rows: int) -> Product:
    """The product with weights that are laid out once, as oneDNN's bfloat16 kernels want them for so many rows."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise(inputs, packed, None, "none", [], "")


WAYS: dict[str, Callable[[Tensor, int], Product]] = {"linear": _plain, "prepacked": _packed}


def _time(way: str, weights: Sequence[Tensor], rows: int) -> Measured:
    """Run through all weights, or through fewer where there are many rows, and keep the best of three."""
    taken = weights if rows < MANY else weights[:16]
    inputs = {width: torch.ones(rows, width, dtype=torch.bfloat16) for width in {w.shape[1] for w in taken}}
    pairs = [(WAYS[way](weight, rows), inputs[weight.shape[1]]) for weight in taken]
    _run(pairs[:4])
    seconds = min(_seconds(lambda: _run(pairs)) for _ in range(3))
    values = sum(weight.numel() for weight in taken)
    return Measured(way, rows, 2 * rows * values / seconds, HALF * values / seconds)


def _run(pairs: Sequence[tuple[Product, Tensor]]) -> None:
    for product, rows in pairs:
        product(rows)


def _seconds(call: Callable[[], object]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


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
    parser.add_argument("--json", action="store_true", help="print the rates as JSON instead of the table")
    arguments = parser.parse_args()
    measured, rates = measure(read_shape(arguments.checkpoint))
    print(json.dumps(asdict(rates)) if arguments.json else "\n".join(table(measured, rates)))


if __name__ == "__main__":
    main()
