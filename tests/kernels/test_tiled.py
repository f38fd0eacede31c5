"""Products with weights in tiles give what float32 gives of the same numbers, and the same bits in any company."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from extractor.kernels import processor, tiled
from extractor.kernels.tiled import Norm, TiledWeight
from extractor.precisions._support.int4_linear import Int4Linear
from extractor.precisions._support.int8_linear import Int8Linear, quantize_rows
from tests.kernels import by_hand

CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.usefixtures("with_and_without_amx"),
    pytest.mark.skipif(not tiled.supports(32, 32, torch.bfloat16, CPU), reason="this machine has no kernels"),
]
needs_integers = pytest.mark.skipif(
    not tiled.supports(32, 32, torch.bfloat16, CPU, torch.int8), reason="no integer kernels below AVX2"
)

SIZES = [(64, 64), (96, 160), (128, 3424), (1536, 1024), (64, 32)]
"""Outputs and columns; the last tile of a row is not full in int8 where columns are no multiple of 64."""

ROWS = [1, 3, 5, 16, 17, 100, 600]
EPS = 1e-5


def _weight(outputs: int, columns: int) -> Tensor:
    torch.manual_seed(outputs + columns)
    return (torch.randn(outputs, columns) / columns**0.5).bfloat16()


def _inputs(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns).bfloat16()


def _norm(columns: int) -> Norm:
    return Norm(torch.rand(columns).bfloat16(), EPS)


def _normed(x: Tensor, norm: Norm) -> Tensor:
    scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + norm.eps)
    return (x.float() * scale).bfloat16() * norm.weight


def _bfloat16(weight: Tensor, bias: Tensor | None = None) -> TiledWeight:
    return TiledWeight(tiled.to_tiles(weight), weight.shape[1], bias=bias)


def _int8(layer: Int8Linear, bias: Tensor | None = None) -> TiledWeight:
    assert layer.codes is not None
    return TiledWeight(tiled.to_tiles(layer.codes), layer.in_features, layer.scale, bias)


def _exact_int8(x: Tensor, layer: Int8Linear) -> Tensor:
    """The product of the codes, exact."""
    assert layer.codes is not None
    codes, scale = quantize_rows(x)
    return (codes.double() @ layer.codes.double().t() * scale.double() * layer.scale.double()).float()


def _int4(layer: Int4Linear, bias: Tensor | None = None) -> TiledWeight:
    assert layer.codes is not None
    return TiledWeight(tiled.int4_to_tiles(layer.codes, layer.scale, layer.zero), layer.in_features, bias=bias)


def _exact_int4(x: Tensor, layer: Int4Linear) -> Tensor:
    """The product of the codes of `x` and the weight, exact."""
    codes, scale = quantize_rows(x)
    return (codes.double() @ layer.dequantized().double().t() * scale.double()).float()


def _agree(found: Tensor, expected: Tensor) -> None:
    """To a rounding of bfloat16, and of what was added up."""
    torch.testing.assert_close(found.float(), expected, atol=4e-3, rtol=6e-3)


@pytest.mark.parametrize(("outputs", "columns"), SIZES)
@pytest.mark.parametrize("rows", ROWS)
def test_a_product_in_bfloat16(rows: int, outputs: int, columns: int) -> None:
    weight, x = _weight(outputs, columns), _inputs(rows, columns)
    bias, residual, norm = torch.randn(outputs).bfloat16(), _inputs(rows, outputs), _norm(columns)
    expected = functional.linear(x.float(), weight.float())
    _agree(tiled.multiply(x, _bfloat16(weight)), expected)
    found = tiled.multiply(x, _bfloat16(weight, bias), residual=residual)
    _agree(found, expected + bias.float() + residual.float())
    found = tiled.multiply(x, _bfloat16(weight), norm=norm)
    _agree(found, functional.linear(_normed(x, norm).float(), weight.float()))


@needs_integers
@pytest.mark.parametrize(("outputs", "columns"), SIZES)
@pytest.mark.parametrize("rows", ROWS)
def test_a_product_in_int8(rows: int, outputs: int, columns: int) -> None:
    layer, x = Int8Linear.from_float(_weight(outputs, columns).float()), _inputs(rows, columns)
    bias, residual, norm = torch.randn(outputs).bfloat16(), _inputs(rows, outputs), _norm(columns)
    expected = _exact_int8(x, layer)
    _agree(tiled.multiply(x, _int8(layer)), expected)
    found = tiled.multiply(x, _int8(layer, bias), residual=residual)
    _agree(found, expected + bias.float() + residual.float())
    _agree(tiled.multiply(x, _int8(layer), norm=norm), _exact_int8(_normed(x, norm), layer))


@needs_integers
@pytest.mark.parametrize(("outputs", "columns"), SIZES)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8, 9, *ROWS[3:]])
def test_a_product_in_int4(rows: int, outputs: int, columns: int) -> None:
    layer, x = Int4Linear.from_float(_weight(outputs, columns).float()), _inputs(rows, columns)
    bias, residual, norm = torch.randn(outputs).bfloat16(), _inputs(rows, outputs), _norm(columns)
    expected = _exact_int4(x, layer)
    # many rows are multiplied by the weight in bfloat16
    torch.testing.assert_close(tiled.multiply(x, _int4(layer)).float(), expected, atol=2e-2, rtol=1e-2)
    found = tiled.multiply(x, _int4(layer, bias), residual=residual)
    torch.testing.assert_close(found.float(), expected + bias.float() + residual.float(), atol=2e-2, rtol=1e-2)
    found, expected = tiled.multiply(x, _int4(layer), norm=norm), _exact_int4(_normed(x, norm), layer)
    torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize(("hidden", "between"), [(64, 96), (128, 3424), (1024, 160)])
@pytest.mark.parametrize("rows", ROWS)
def test_norm_gate_and_residual_in_one_pass(rows: int, hidden: int, between: int) -> None:
    first, second, x, norm = (
        _weight(2 * between, hidden),
        _weight(hidden, between),
        _inputs(rows, hidden),
        _norm(hidden),
    )
    gate, up = functional.linear(_normed(x, norm).float(), first.float()).chunk(2, dim=-1)
    gated = (functional.silu(gate) * up).bfloat16()
    expected = x.float() + functional.linear(gated.float(), second.float())
    _agree(tiled.mlp(x, norm, _bfloat16(first), _bfloat16(second)), expected)


@needs_integers
@pytest.mark.parametrize(("hidden", "between"), [(64, 96), (128, 3424), (1024, 160)])
@pytest.mark.parametrize("rows", ROWS)
def test_norm_gate_and_residual_in_one_pass_of_integers(rows: int, hidden: int, between: int) -> None:
    first, second = _weight(2 * between, hidden), _weight(hidden, between)
    x, norm = _inputs(rows, hidden), _norm(hidden)
    one, other = Int8Linear.from_float(first.float()), Int8Linear.from_float(second.float())
    gate, up = _exact_int8(_normed(x, norm), one).chunk(2, dim=-1)
    expected = x.float() + _exact_int8((functional.silu(gate) * up).bfloat16(), other)
    found = tiled.mlp(x, norm, _int8(one), _int8(other))
    # a value that rounds the other way moves a code by one
    torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=1e-2)

    first4, second4 = Int4Linear.from_float(first.float()), Int4Linear.from_float(second.float())
    gate, up = _exact_int4(_normed(x, norm), first4).chunk(2, dim=-1)
    expected = x.float() + _exact_int4((functional.silu(gate) * up).bfloat16(), second4)
    found = tiled.mlp(x, norm, _int4(first4), _int4(second4))
    torch.testing.assert_close(found.float(), expected, atol=3e-2, rtol=2e-2)


@pytest.mark.parametrize("way", ["AVX-512", "AVX-512 and BF16"])
@pytest.mark.parametrize("rows", [1, 13, 30, 100])
def test_products_in_bfloat16_of_other_processors(way: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if processor.level() is processor.Level.BASE:
        pytest.skip("nothing above plain x86-64")
    monkeypatch.setattr(tiled, "_amx", lambda: None)
    monkeypatch.setattr(tiled, "_vectors", lambda: by_hand.compiled("vectors.c", way))
    test_a_product_in_bfloat16(rows, 96, 160)
    test_norm_gate_and_residual_in_one_pass(rows, 128, 3424)
    x, weight = _inputs(rows, 160), _bfloat16(_weight(96, 160))
    assert torch.equal(tiled.multiply(x, weight)[:1], tiled.multiply(x[:1], weight))


def _in_int8(weight: Tensor) -> TiledWeight:
    return _int8(Int8Linear.from_float(weight.float()))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 15, 33, 257])
@pytest.mark.parametrize("make", [_bfloat16, pytest.param(_in_int8, marks=needs_integers)])
def test_a_row_is_the_same_bits_alone_and_in_any_company(make: Callable[[Tensor], TiledWeight], count: int) -> None:
    first, second, x, norm = _weight(512, 1024), _weight(1024, 256), _inputs(600, 1024), _norm(1024)
    assert torch.equal(tiled.multiply(x, make(first))[:count], tiled.multiply(x[:count], make(first)))
    many = tiled.mlp(x, norm, make(first), make(second))
    assert torch.equal(many[-count:], tiled.mlp(x[-count:], norm, make(first), make(second)))
    long, x = make(_weight(192, 3424)), _inputs(600, 3424)  # sums of a panel wait while others are taken
    assert torch.equal(tiled.multiply(x, long)[-count:], tiled.multiply(x[-count:], long))


def test_threads_change_no_bits() -> None:
    weight, x = _bfloat16(_weight(512, 1024)), _inputs(100, 1024)
    alone = tiled.multiply(x, weight)
    torch.set_num_threads(2)
    try:
        assert torch.equal(tiled.multiply(x, weight), alone)
    finally:
        torch.set_num_threads(1)


def test_no_rows_are_no_rows() -> None:
    assert tiled.multiply(_inputs(0, 64), _bfloat16(_weight(64, 64))).shape == (0, 64)


@pytest.mark.parametrize(("outputs", "columns"), SIZES)
def test_a_weight_comes_back_from_its_tiles(outputs: int, columns: int) -> None:
    weight = _weight(outputs, columns)
    codes = Int8Linear.from_float(weight.float()).codes
    assert codes is not None
    some = torch.randint(outputs, (7,))
    int4 = Int4Linear.from_float(weight.float())
    assert int4.codes is not None
    assert torch.equal(tiled.int4_from_tiles(tiled.int4_to_tiles(int4.codes, int4.scale, int4.zero)), int4.codes)
    for plain in (weight, codes):
        tiles = tiled.to_tiles(plain)
        assert torch.equal(tiled.from_tiles(tiles)[:, :columns], plain)
        assert torch.equal(tiled.rows_from_tiles(tiles, columns, some), plain[some])


@pytest.mark.parametrize(
    ("outputs", "columns", "dtype"), [(33, 64, torch.bfloat16), (64, 48, torch.bfloat16), (64, 64, torch.float32)]
)
def test_sizes_and_dtypes_that_are_not_supported(outputs: int, columns: int, dtype: torch.dtype) -> None:
    assert not tiled.supports(outputs, columns, dtype, torch.device("cpu"))


def test_nan_stays_in_its_row() -> None:
    weight, x = _weight(64, 64), _inputs(20, 64)
    x[3, 5] = torch.nan
    found = tiled.multiply(x, _bfloat16(weight))
    assert found[3].isnan().all()
    assert not found[:3].isnan().any()
    assert not found[4:].isnan().any()
