"""Quantised layers: near the float weight, the same alone and in a batch, stacked or apart, plain or packed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from extractor.precisions import find_precision
from extractor.precisions._support.int4_linear import Int4Linear
from extractor.precisions._support.int8_linear import Int8Linear
from extractor.precisions._support.quantized_linear import QuantizedLinear

LAYERS: list[type[QuantizedLinear]] = [Int8Linear, Int4Linear]
SIZES = [(64, 96), (96, 64), (64, 32), (256, 640), (128, 960)]
"""Columns and rows of the small checkpoints, some of which no packed kernel supports, and larger ones."""
WEIGHT_ERROR = {Int8Linear: 0.01, Int4Linear: 0.09}
"""Relative error of a normal weight: half a step of 1/127 or of a group's fifteenth, uniformly spread."""
FEW, MANY = 3, 700


pytestmark = pytest.mark.usefixtures("with_and_without_amx")


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def _weight(columns: int, rows: int) -> Tensor:
    return torch.randn(rows, columns) * 0.02


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_weight_comes_back_within_half_a_step(kind: type[QuantizedLinear], columns: int, rows: int) -> None:
    weight = _weight(columns, rows)
    layer = kind.from_float(weight)
    error = (layer.dequantized() - weight).abs()
    assert _relative(layer.dequantized(), weight) < WEIGHT_ERROR[kind]
    groups = weight.view(rows, -1, columns if kind is Int8Linear else 32)
    spread = groups.abs().amax(-1) / 127 if kind is Int8Linear else (groups.amax(-1) - groups.amin(-1)) / 15
    assert (error.view_as(groups).amax(-1) <= spread * 0.55).all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("rows_of_x", [1, FEW, 50, MANY])
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_product_is_that_of_the_dequantised_weight(
    kind: type[QuantizedLinear], columns: int, rows: int, rows_of_x: int
) -> None:
    bias = torch.randn(rows) * 0.01
    layer = kind.from_float(_weight(columns, rows), bias)
    x = torch.randn(rows_of_x, columns).bfloat16()
    expected = x.float() @ layer.dequantized().t() + bias
    assert layer(x).dtype == torch.bfloat16
    assert _relative(layer(x), expected) < 0.015


@pytest.mark.parametrize("kind", LAYERS)
def test_the_shape_before_the_last_dimension_is_kept(kind: type[QuantizedLinear]) -> None:
    layer = kind.from_float(_weight(64, 128))
    x = torch.randn(2, 3, 64).bfloat16()
    assert torch.equal(layer(x).view(6, 128), layer(x.view(6, 64)))


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_an_int8_row_is_bit_for_bit_the_same_alone_and_in_a_batch(columns: int, rows: int) -> None:
    layer = Int8Linear.from_float(_weight(columns, rows), torch.randn(rows))
    x = torch.randn(MANY, columns).bfloat16() * torch.logspace(-3, 3, MANY)[:, None].bfloat16()
    whole = layer(x)
    for row in (0, 1, 511, 512, MANY - 1):
        assert torch.equal(layer(x[row : row + 1])[0], whole[row])


def test_int8_survives_rows_of_zeros_and_rows_with_one_large_value() -> None:
    layer = Int8Linear.from_float(_weight(64, 96))
    x = torch.zeros(3, 64).bfloat16()
    x[1, 5], x[2] = 3e4, 1e-30
    found, expected = layer(x), x.float() @ layer.dequantized().t()
    assert torch.equal(found[0], torch.zeros(96).bfloat16())
    assert _relative(found[1], expected[1]) < 0.01
    assert found.isfinite().all()


LARGEST_CODES = """
import torch
from extractor.precisions._support.int8_linear import Int8Linear

layer = Int8Linear.from_float(torch.tensor([[1.0, -1.0], [1.0, 1.0]]).repeat(1, 64))
y = layer(torch.tensor([[3.0], [-3.0], [0.25]]).repeat(1, 128).bfloat16())
exact = torch.tensor([[0.0, 384.0], [0.0, -384.0], [0.0, 32.0]])
assert torch.allclose(y.float(), exact, rtol=0.01, atol=0.0), y
"""


@pytest.mark.parametrize("limit", ["AVX512_CORE", "AVX2_VNNI"])
def test_int8_is_exact_for_the_largest_codes_whatever_instructions_onednn_may_use(limit: str) -> None:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": limit}
    subprocess.run([sys.executable, "-c", LARGEST_CODES], check=True, env=environment)


def test_weights_of_zeros_give_zeros() -> None:
    for kind in LAYERS:
        layer = kind.from_float(torch.zeros(64, 64))
        assert torch.equal(layer(torch.ones(2, 64).bfloat16()), torch.zeros(2, 64).bfloat16())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("packed", [False, True])
def test_stacked_layers_give_what_they_give_apart(kind: type[QuantizedLinear], packed: bool) -> None:
    parts = [kind.from_float(_weight(256, rows), torch.randn(rows)) for rows in (256, 64, 64)]
    if packed:
        for part in parts:
            part.pack()
    whole = kind.stack(parts)
    assert torch.equal(whole.dequantized(), torch.cat([part.dequantized() for part in parts]))
    for count in (1, 100):
        x = torch.randn(count, 256).bfloat16()
        assert torch.equal(whole(x), torch.cat([part(x) for part in parts], dim=-1))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_saved_and_loaded_by_name_it_is_the_same_before_and_after_the_first_call(
    kind: type[QuantizedLinear], columns: int, rows: int
) -> None:
    layer = kind.from_float(_weight(columns, rows), torch.randn(rows))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    x = torch.randn(FEW, columns).bfloat16()
    answer = layer(x)
    after = layer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert set(before) == set(after)
    other = kind(columns, rows, bias=True)
    other.load_state_dict(after)
    assert torch.equal(other(x), answer)
    other.load_state_dict(after)  # into a packed layer as well
    assert torch.equal(other(x), answer)


@pytest.mark.parametrize("kind", LAYERS)
def test_quantising_leaves_the_source_as_it_was(kind: type[QuantizedLinear]) -> None:
    weight = _weight(64, 96)
    copy = weight.clone()
    kind.from_float(weight)
    assert torch.equal(weight, copy)


def test_a_layer_that_int4_cannot_group_is_held_in_int8() -> None:
    int4, int8 = find_precision("int4"), find_precision("int8")
    assert int4.layer(96, False) is Int4Linear
    assert int4.layer(48, False) is Int8Linear
    assert int8.layer(96, False) is Int8Linear


def test_the_output_layer_of_int4_is_in_int8() -> None:
    assert find_precision("int4").layer(96, True) is Int8Linear


def test_an_int4_layer_refuses_columns_it_cannot_group() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        Int4Linear(48, 8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("rows_of_x", [1, FEW, 50, MANY])
@pytest.mark.parametrize(("columns", "rows"), [*SIZES, (1024, 1536), (20, 12)])
def test_a_gpu_gives_what_the_weight_stands_for(
    kind: type[QuantizedLinear], columns: int, rows: int, rows_of_x: int
) -> None:
    if kind is Int4Linear and not Int4Linear.supports(columns):
        pytest.skip("held in int8")
    layer = kind.from_float(_weight(columns, rows).cuda())
    plain = layer.state_dict()["codes"].clone()
    x = torch.randn(rows_of_x, columns).bfloat16().cuda()
    assert _relative(layer(x), x.float() @ layer.dequantized().t()) < 0.015
    assert torch.equal(layer.state_dict()["codes"], plain)


@pytest.mark.parametrize("kind", LAYERS)
def test_rows_can_be_taken_in_another_order(kind: type[QuantizedLinear]) -> None:
    layer = kind.from_float(_weight(64, 128), torch.randn(128))
    order = torch.randperm(128)
    x = torch.randn(FEW, 64).bfloat16()
    assert torch.equal(layer.rows(order)(x), layer(x)[:, order])
    assert torch.equal(layer.rows(order[:64]).dequantized(), layer.dequantized()[order[:64]])


@pytest.mark.parametrize("keep", [False, True])
def test_a_few_outputs_alone_are_those_of_the_whole_product(keep: bool) -> None:
    layer = Int8Linear.from_float(_weight(256, 960), torch.randn(960))
    layer.pack(keep=keep)
    x, wanted = torch.randn(FEW, 256).bfloat16(), torch.tensor([959, 3, 3, 77])
    assert torch.equal(layer.forward_rows(x, wanted), layer(x)[:, wanted])
    assert (layer.codes is not None) == keep
