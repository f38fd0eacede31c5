"""A wrapper refuses what does not fit together before C is called. A stand-in for the libraries says when it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from extractor.kernels import attention, tiled
from extractor.kernels.attention import AttentionKernels, AttentionStep
from extractor.kernels.tiled import Norm, TiledWeight

Operands = dict[str, Any]


class CalledError(Exception):
    """A call has got past the checks."""


class _Library:
    """Has every function and computes nothing, so that no compiler or AMX is needed."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: object) -> int:
            raise CalledError(name)

        return call


LIBRARY: Any = _Library()

ROWS, COLUMNS, OUTPUTS = 4, 64, 32
ATTENTION = AttentionKernels(LIBRARY, LIBRARY)
STEP = AttentionStep(4, 2, 128, np.array([[0, 1, 5], [1, 3, 0]]), np.array([0, 7]))


def _half(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.bfloat16)


def _weight(outputs: int, columns: int) -> TiledWeight:
    return TiledWeight(tiled.to_tiles(_half(outputs, columns)), columns)


def _addresses() -> np.ndarray:
    return np.zeros((2, 2), dtype=np.int64)


STATES, OUTPUT = {"states": _half(ROWS, STEP.state_width)}, {"output": _half(ROWS, 512)}
SLOTS, PREFIXES = {"slots": _addresses()}, {"prefixes": _addresses()}


def _rotate(states: Tensor, cos: Tensor, sin: Tensor, slots: np.ndarray) -> None:
    ATTENTION.rotate_and_store(states, (cos, sin), STEP, slots, tiled=True)


def _attend(states: Tensor, output: Tensor, slots: np.ndarray, prefixes: np.ndarray) -> None:
    ATTENTION.attend_segments(states, STEP, 2, slots, prefixes, output)


def _attend_prefill(states: Tensor, output: Tensor, slots: np.ndarray, prefixes: np.ndarray) -> None:
    ATTENTION.attend_prefill(states, STEP, 1, slots, prefixes, output)


def _attend_tiled(states: Tensor, output: Tensor, slots: np.ndarray, prefixes: np.ndarray) -> None:
    ATTENTION.attend_segments_tiled(states, STEP, slots, prefixes, output)


def _multiply(x: Tensor, norm: Tensor, residual: Tensor) -> None:
    tiled.multiply(x, _weight(OUTPUTS, COLUMNS), norm=Norm(norm, 1e-5), residual=residual)


def _mlp(x: Tensor, norm: Tensor) -> None:
    tiled.mlp(x, Norm(norm, 1e-5), _weight(2 * OUTPUTS, COLUMNS), _weight(COLUMNS, OUTPUTS))


CALLS: dict[str, tuple[Callable[..., object], Operands]] = {
    "norm_rows": (
        lambda x, weight: ATTENTION.norm_rows(x, weight, 1e-5),
        {"x": _half(ROWS, COLUMNS), "weight": _half(COLUMNS)},
    ),
    "rotate_and_store": (_rotate, {**STATES, "cos": _half(ROWS, 32), "sin": _half(ROWS, 32), **SLOTS}),
    "attend_segments": (_attend, {**STATES, **OUTPUT, **SLOTS, **PREFIXES}),
    "attend_prefill": (_attend_prefill, {**STATES, **OUTPUT, **SLOTS, **PREFIXES}),
    "attend_segments_tiled": (_attend_tiled, {**STATES, **OUTPUT, **SLOTS, **PREFIXES}),
    "pick_rows": (ATTENTION.pick_rows, {"logits": _half(ROWS, 64), "bits": np.zeros((ROWS, 2), dtype=np.uint32)}),
    "multiply_tiles": (
        _multiply,
        {"x": _half(ROWS, COLUMNS), "norm": _half(COLUMNS), "residual": _half(ROWS, OUTPUTS)},
    ),
    "mlp_tiles": (_mlp, {"x": _half(ROWS, COLUMNS), "norm": _half(COLUMNS)}),
}
"""Name of a C function -> its wrapper, and operands that it accepts."""

WITHOUT_OPERANDS = {"has_tiles", "scratch_bytes"}


def _longer(operand: Any) -> Any:
    join = torch.cat if isinstance(operand, Tensor) else np.concatenate
    return join([operand, operand[..., :1]], -1)


CHANGES: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "of another dtype": (
        lambda operand: operand.double() if isinstance(operand, Tensor) else operand.astype(np.float64),
        TypeError,
    ),
    "with a dimension more": (lambda operand: operand[None], ValueError),
    "with a column more": (_longer, ValueError),
    "on another device": (lambda operand: operand.to("meta"), ValueError),
    "with gaps between columns": (
        lambda operand: (
            operand.repeat_interleave(2, -1)[..., ::2]
            if isinstance(operand, Tensor)
            else operand.repeat(2, -1)[..., ::2]
        ),
        ValueError,
    ),
}
ACCEPTED = {
    ("pick_rows", "bits", "with a column more"),  # words that no token needs
    ("multiply_tiles", "x", "with gaps between columns"),  # made contiguous
    ("mlp_tiles", "x", "with gaps between columns"),
}


def _wrong() -> Iterator[Any]:
    for name, (_, operands) in CALLS.items():
        for operand, value in operands.items():
            for change in CHANGES:
                applies = isinstance(value, Tensor) or change != "on another device"
                if applies and (name, operand, change) not in ACCEPTED:
                    yield pytest.param(name, operand, change, id=f"{name}: {operand} {change}")


@pytest.fixture(autouse=True)
def _amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "_library", lambda tiles: LIBRARY)


def test_every_exported_function_has_a_wrapper_here() -> None:
    exported = {
        name for each in (tiled.AMX_SIGNATURES, attention.SIGNATURES, attention.PREFILL_SIGNATURES) for name in each
    }
    assert exported == CALLS.keys() | WITHOUT_OPERANDS


@pytest.mark.parametrize("name", CALLS)
def test_operands_that_fit_get_past_the_checks(name: str) -> None:
    call, operands = CALLS[name]
    with pytest.raises(CalledError):
        call(**operands)


@pytest.mark.parametrize(("name", "operand", "change"), list(_wrong()))
def test_an_operand_that_does_not_fit_is_an_error(name: str, operand: str, change: str) -> None:
    call, operands = CALLS[name]
    changed, error = CHANGES[change]
    with pytest.raises(error, match=r"must (be|have)|expected"):
        call(**operands | {operand: changed(operands[operand])})


TILES, SCALES = tiled.to_tiles(torch.zeros(32, 64, dtype=torch.int8)), torch.zeros(32)


@pytest.mark.parametrize(
    ("weight", "error"),
    [
        (lambda: TiledWeight(TILES.float(), 64), TypeError),
        (lambda: TiledWeight(TILES, 64), ValueError),
        (lambda: TiledWeight(TILES, 160, SCALES), ValueError),
        (lambda: TiledWeight(TILES, 48, SCALES), ValueError),
        (lambda: TiledWeight(TILES[:1], 64, SCALES[:16]), ValueError),
        (lambda: TiledWeight(TILES, 64, SCALES[:16]), ValueError),
        (lambda: TiledWeight(TILES, 64, SCALES.double()), TypeError),
        (lambda: TiledWeight(TILES, 64, SCALES, _half(16)), ValueError),
        (lambda: TiledWeight(TILES.transpose(2, 3), 64, SCALES), ValueError),
        (lambda: TiledWeight(tiled.to_tiles(_half(32, 64)), 64, SCALES), ValueError),
        (lambda: TiledWeight(torch.zeros(2, 2, 300, dtype=torch.uint8), 64), ValueError),
    ],
    ids=["float32", "no scales", "columns", "odd columns", "outputs", "scales", "float64 scales", "bias", "strides"]
    + ["scales for bfloat16", "int4 tiles"],
)
def test_a_weight_in_tiles_that_does_not_fit_together_is_an_error(
    weight: Callable[[], TiledWeight], error: type[Exception]
) -> None:
    with pytest.raises(error, match="must|expected"):
        weight()


def test_the_weights_of_an_mlp_must_belong_together() -> None:
    x, norm = _half(ROWS, COLUMNS), Norm(_half(COLUMNS), 1e-5)
    with pytest.raises(ValueError, match="second weight"):
        tiled.mlp(x, norm, _weight(2 * OUTPUTS, COLUMNS), _weight(COLUMNS, 2 * OUTPUTS))
    with pytest.raises(ValueError, match="one kind"):
        tiled.mlp(
            x,
            norm,
            _weight(64, 64),
            TiledWeight(tiled.to_tiles(torch.zeros(64, 32, dtype=torch.int8)), 32, torch.zeros(64)),
        )


def test_scratch_memory_of_a_negative_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="not negative"):
        tiled.scratch_bytes(-1, 2, 0)


SEGMENTS, LENGTHS = np.array([[0, 1, 5], [1, 3, 0]]), np.array([0, 7])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((4, 3, 128, SEGMENTS, LENGTHS), ValueError),
        ((130, 2, 128, SEGMENTS, LENGTHS), ValueError),
        ((4, 2, 272, SEGMENTS, LENGTHS), ValueError),
        ((4, 2, 24, SEGMENTS, LENGTHS), ValueError),
        ((4, 2, 128, SEGMENTS.astype(np.int32), LENGTHS), TypeError),
        ((4, 2, 128, SEGMENTS[:, :2], LENGTHS), ValueError),
        ((4, 2, 128, SEGMENTS, LENGTHS[:1]), ValueError),
        ((4, 2, 128, SEGMENTS, LENGTHS.astype(np.int32)), TypeError),
        ((4, 2, 128, -SEGMENTS, LENGTHS), ValueError),
        ((4, 2, 128, SEGMENTS, -LENGTHS), ValueError),
    ],
    ids=["groups", "heads", "channels", "odd channels", "segments in int32", "segments", "lengths", "lengths in int32"]
    + ["negative segments", "negative lengths"],
)
def test_a_step_whose_numbers_do_not_fit_together_is_an_error(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="must|expected"):
        AttentionStep(*arguments)


def test_segments_beyond_the_rows_of_the_states_are_an_error() -> None:
    beyond = AttentionStep(4, 2, 128, np.array([[0, 1, 5], [1, 4, 0]]), LENGTHS)
    with pytest.raises(ValueError, match="at least 5 rows"):
        ATTENTION.rotate_and_store(
            STATES["states"], (_half(ROWS, 32), _half(ROWS, 32)), beyond, _addresses(), tiled=False
        )


def test_more_segments_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most 2 segments"):
        ATTENTION.attend_segments(STATES["states"], STEP, 3, _addresses(), _addresses(), OUTPUT["output"])


def test_attention_on_tiles_is_for_one_head_size() -> None:
    step = AttentionStep(4, 2, 64, SEGMENTS, LENGTHS)
    with pytest.raises(ValueError, match="128 channels"):
        ATTENTION.attend_segments_tiled(
            _half(ROWS, step.state_width), step, _addresses(), _addresses(), _half(ROWS, 256)
        )
