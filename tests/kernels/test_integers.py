"""Layers with integer weights give what torch's operations give, with kernels of whatever instructions and without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.kernels import tiled
from extractor.precisions._support.int4_linear import Int4Linear
from extractor.precisions._support.int8_linear import Int8Linear, quantize_rows
from extractor.precisions._support.quantized_linear import QuantizedLinear
from tests.kernels import by_hand

HAS_VECTORS = tiled._integers() is not None
WAYS = ["with AMX", "as it is", "VNNI by hand", "AVX-512 by hand", "AVX-512 and VNNI by hand", "without kernels"]
"""How products are computed: by the processor's own instructions, or by others that stand for those it lacks."""

LAYERS: list[type[QuantizedLinear]] = [Int8Linear, Int4Linear]
SIZES = [(32, 3), (96, 64), (288, 96), (1024, 256)]
"""Columns and outputs."""

COUNTS = [1, 5, 13, 200]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Multiply in one of the ways; skip those that this machine has no use for."""
    name = str(request.param)
    if name == "with AMX" and not tiled.has_amx():
        pytest.skip("this machine has no AMX")
    if name != "with AMX":
        monkeypatch.setattr(tiled, "_amx", lambda: None)
    if name == "without kernels":
        for library in ("_vectors", "_integers"):
            monkeypatch.setattr(tiled, library, lambda: None)
    elif name.endswith("by hand"):
        if not HAS_VECTORS:
            pytest.skip("this machine has no gcc, or nothing above plain x86-64")
        monkeypatch.setattr(tiled, "_integers", lambda: by_hand.compiled("integers.c", name))
    return name


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def _awkward(rows: int, columns: int) -> Tensor:
    """Rows of very different size, with zeros, ties, tiny numbers and one that stands out."""
    x = torch.randn(rows, columns) * torch.logspace(-20, 20, rows)[:, None]
    x[0, ::3], x[-1] = 0, 0
    x[rows // 2, columns // 2] = 1e30
    x[rows // 3] = torch.arange(columns) - columns / 2
    return x.bfloat16()


def _exact(layer: Int8Linear, x: Tensor) -> Tensor:
    """The product of the codes, and each rounding after it in the order in which the kernels take them."""
    codes, scales = quantize_rows(x)
    sums = (codes.double() @ layer.state_dict()["codes"].double().t()).float()
    return sums * layer.scale * scales + (0 if layer.bias is None else layer.bias.float())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_int8_products_are_bit_for_bit_the_same_on_every_processor(
    way: str, columns: int, rows: int, count: int
) -> None:
    layer = Int8Linear.from_float(torch.randn(rows, columns))
    x = _awkward(count, columns)
    if tiled.supports(rows, columns, torch.bfloat16, x.device, torch.int8):
        assert torch.equal(layer(x), _exact(layer, x).bfloat16())
        return
    x = torch.randn(count, columns).bfloat16()  # torch's products: what they quantise is their business
    expected = x.float() @ layer.dequantized().t()
    step = x.float().abs().amax(1)[:, None] / 127
    deviation = step / 12**0.5 * layer.dequantized().norm(dim=1)
    assert ((layer(x) - expected).abs() <= 5 * deviation + 2**-8 * expected.abs()).all()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_int4_products_are_those_of_the_dequantised_weight(way: str, columns: int, rows: int, count: int) -> None:
    if columns % 32:
        pytest.skip("int4 has groups of 32 columns")
    layer = Int4Linear.from_float(torch.randn(rows, columns), torch.randn(rows))
    x = torch.randn(count, columns).bfloat16()
    expected = x.float() @ layer.dequantized().t() + layer.bias.float()
    assert (layer(x) - expected).norm() / expected.norm() < 0.015


@pytest.mark.parametrize("kind", LAYERS)
def test_a_row_is_the_same_bits_alone_and_in_any_company(way: str, kind: type[QuantizedLinear]) -> None:
    if "AMX" in way and kind is Int4Linear:
        pytest.skip("up to a rounding: few rows are multiplied differently there")
    if way == "without kernels":
        pytest.skip("torch does not promise it")
    layer, x = kind.from_float(torch.randn(96, 288)), torch.randn(70, 288).bfloat16()
    together = layer(x)
    for rows in (slice(0, 1), slice(3, 8), slice(10, 13), slice(40, 70)):
        assert torch.equal(together[rows], layer(x[rows]))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("count", [1, 600])
def test_what_follows_a_product_may_be_part_of_it(way: str, kind: type[QuantizedLinear], count: int) -> None:
    layer = kind.from_float(torch.randn(192, 64))
    x, residual = torch.randn(count, 64).bfloat16() * 3, torch.randn(count, 192).bfloat16()
    product = layer(x).float()
    gate, up = product.chunk(2, dim=-1)
    for found, expected in (
        (layer.product().plus(x, residual), residual.float() + product),
        (layer.gated_product()(x), F.silu(gate) * up),
    ):
        assert (found - expected).abs().max() <= expected.abs().max() * 2**-7
        assert (found - expected).norm() / expected.norm() < 0.006


def _run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


ASK = "from extractor.kernels.tiled import _vectors; print(_vectors() is not None)"


@pytest.mark.parametrize(
    ("environment", "there"),
    [({}, "True"), ({"EXTRACTOR_KERNELS": "0"}, "False"), ({"PATH": "/nowhere"}, "False")],
    ids=["as it is", "switched off", "no compiler"],
)
def test_without_kernels_the_layers_work_as_well(environment: dict[str, str], there: str, tmp_path: Path) -> None:
    use = "; from extractor.precisions._support.int4_linear import *; layer = Int4Linear.from_float(torch.ones(64, 64))"
    code = ASK + use + "; print(float(layer(torch.ones(1, 64).bfloat16())[0, 0]))"
    assert _run(code, XDG_CACHE_HOME=str(tmp_path), **environment).split() == [there, "64.0"]


def test_a_cache_folder_that_cannot_be_had_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _run(ASK, XDG_CACHE_HOME=str(tmp_path / "file")) == "True"
