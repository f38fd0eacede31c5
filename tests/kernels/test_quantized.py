"""The compiled kernels give what torch's operations give, and nothing depends on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from extractor.kernels.quantized import QuantizedKernels, kernels
from extractor.precisions._support import int4_linear, int8_linear
from extractor.precisions._support.int4_linear import Int4Linear
from extractor.precisions._support.int8_linear import Int8Linear
from extractor.precisions._support.quantized_linear import QuantizedLinear

FOUND = kernels()
LAYERS: list[type[QuantizedLinear]] = [Int8Linear, Int4Linear]
SIZES = [(32, 3), (96, 64), (160, 70), (1024, 256)]
COUNTS = [1, 2, 3, 4, 5, 33, 600]

pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="this machine has no gcc, or no x86-64 processor"),
    pytest.mark.usefixtures("with_and_without_amx"),
]


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture
def native() -> QuantizedKernels:
    assert FOUND is not None
    return FOUND


def _without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (int8_linear, int4_linear):
        monkeypatch.setattr(module, "kernels", lambda: None)


def _awkward(rows: int, columns: int) -> Tensor:
    """Rows of very different size, with zeros, ties, tiny numbers and one that stands out."""
    x = torch.randn(rows, columns) * torch.logspace(-20, 20, rows)[:, None]
    x[0, ::3], x[-1] = 0, 0
    x[rows // 2, columns // 2] = 1e30
    x[rows // 3] = torch.arange(columns) - columns / 2
    return x.bfloat16()


@pytest.mark.parametrize("columns", [1, 7, 64, 1000])
def test_codes_and_scales_are_bit_for_bit_those_of_torch(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    x = _awkward(50, columns)
    codes, scales = int8_linear.quantize_rows(x)
    _without_kernels(monkeypatch)
    expected_codes, expected_scales = int8_linear.quantize_rows(x)
    assert torch.equal(codes, expected_codes)
    assert torch.equal(scales, expected_scales)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_int8_products_are_bit_for_bit_those_of_torch(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int, count: int
) -> None:
    layer = Int8Linear.from_float(torch.randn(rows, columns), torch.randn(rows))
    x = torch.randn(count, columns).bfloat16()
    found = layer(x)
    _without_kernels(monkeypatch)
    assert torch.equal(found, layer(x))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_int4_products_are_those_of_the_dequantised_weight(columns: int, rows: int, count: int) -> None:
    layer = Int4Linear.from_float(torch.randn(rows, columns), torch.randn(rows))
    x = torch.randn(count, columns).bfloat16()
    expected = x.float() @ layer.dequantized().t() + layer.bias.float()
    assert (layer(x) - expected).norm() / expected.norm() < 0.015


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_an_int4_weight_is_unpacked_to_the_nearest_bfloat16(native: QuantizedKernels, columns: int, rows: int) -> None:
    layer = Int4Linear.from_float(torch.randn(rows, columns))
    if not native.has_int4:
        pytest.skip("no AVX-512 with VNNI")
    weight = native.unpack_int4(layer.codes, layer.scale, layer.zero)
    assert torch.equal(weight, layer.dequantized().bfloat16())


def test_few_and_many_rows_of_int4_differ_by_rounding_only() -> None:
    layer = Int4Linear.from_float(torch.randn(128, 256))
    x = torch.randn(int4_linear.FEW_ROWS + 1, 256).bfloat16()
    many, few = layer(x)[:8], layer(x[:8])
    assert (many - few).norm() / few.norm() < 0.006


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("with_kernels", [False, True])
@pytest.mark.parametrize("count", [1, 600])
def test_what_follows_a_product_may_be_part_of_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[QuantizedLinear], with_kernels: bool, count: int
) -> None:
    if not with_kernels:
        _without_kernels(monkeypatch)
    layer = kind.from_float(torch.randn(192, 64))
    x, residual = torch.randn(count, 64).bfloat16() * 3, torch.randn(count, 192).bfloat16()
    product = layer(x).float()
    gate, up = product.chunk(2, dim=-1)
    for found, expected in (
        (layer.plus(x, residual), residual.float() + product),
        (layer.gated(x), F.silu(gate) * up),
    ):
        assert (found - expected).abs().max() <= expected.abs().max() * 2**-7
        assert (found - expected).norm() / expected.norm() < 0.006


def test_the_gate_stays_finite_at_both_ends(native: QuantizedKernels) -> None:
    gates = torch.tensor([-3e38, -1e4, -90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 90.0, 1e4, 1e30])
    product = torch.cat([gates, torch.ones(len(gates))])[None].bfloat16()
    target = torch.empty(1, len(gates), dtype=torch.bfloat16)
    native.gate_rows(product, torch.ones(1, 1), target)
    expected = F.silu(product[0, : len(gates)].float())
    torch.testing.assert_close(target[0].float(), expected, rtol=2**-8, atol=1e-30)


def _run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


ASK = "from extractor.kernels.quantized import kernels; print(kernels() is not None)"


@pytest.mark.parametrize(
    ("environment", "there"),
    [({}, "True"), ({"EXTRACTOR_KERNELS": "0"}, "False"), ({"PATH": "/nowhere"}, "False")],
    ids=["as it is", "switched off", "no compiler"],
)
def test_without_kernels_the_layers_work_as_well(environment: dict[str, str], there: str, tmp_path: Path) -> None:
    use = "; from extractor.precisions._support.int4_linear import *; layer = Int4Linear.from_float(torch.ones(64, 64))"
    code = ASK + use + "; print(float(layer(torch.ones(1, 64).bfloat16())[0, 0]))"
    assert _run(code, XDG_CACHE_HOME=str(tmp_path), **environment).split() == [there, "64.0"]


def test_the_library_is_kept_for_the_next_start_and_not_taken_if_others_may_write_to_it(tmp_path: Path) -> None:
    assert _run(ASK, XDG_CACHE_HOME=str(tmp_path)) == "True"
    (kept,) = (tmp_path / "extractor").iterdir()
    made = kept.stat().st_mtime_ns
    assert _run(ASK, XDG_CACHE_HOME=str(tmp_path)) == "True"
    assert kept.stat().st_mtime_ns == made
    kept.write_bytes(b"no library")
    kept.chmod(0o777)
    assert _run(ASK, XDG_CACHE_HOME=str(tmp_path)) == "True"
    assert kept.read_bytes() != b"no library"


def test_a_cache_folder_that_cannot_be_had_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _run(ASK, XDG_CACHE_HOME=str(tmp_path / "file")) == "True"
