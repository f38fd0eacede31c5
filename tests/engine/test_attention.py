"""Attention in parts, and in rows, is attention; torch's flash kernels get the arguments that they expect.

Their operators do not run on a CPU: `flash` replaces the one for sequences of different lengths and spells out what its
arguments mean. The tests that need a GPU check that they mean the same there.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from extractor.engine import attention, flash_attention
from extractor.engine.attention import attend, attend_chunk, attend_rows
from extractor.engine.cuda_graphs import NewCapture, no_capture
from extractor.engine.flash_attention import KeyRanges
from tests.engine.answering import answer_all, plain, request
from tests.engine.test_engine import MANY, TEXTS

HEADS, GROUPS, SIZE = 3, 2, 16
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def flash(query: Tensor, key: Tensor, value: Tensor, *rest: Any, seqused_k: Tensor) -> tuple[Tensor, ...]:
    """Sequence n: queries from cum_q[n] to cum_q[n + 1], which see seqused_k[n] keys from cum_k[n] on."""
    cum_q, cum_k, max_q, max_k, dropout, causal, debug = rest
    assert query.shape[1:] == key.shape[1:] == value.shape[1:]
    assert query.stride(-1) == key.stride(-1) == value.stride(-1) == 1
    assert cum_q.dtype == cum_k.dtype == seqused_k.dtype == torch.int32
    assert all(each.is_contiguous() for each in (cum_q, cum_k, seqused_k))
    assert len(cum_q) == len(cum_k) == len(seqused_k) + 1
    assert int(cum_q[-1]) == len(query)
    assert (dropout, causal, debug) == (0.0, False, False)
    output, sums = torch.empty_like(query), query.new_empty(query.shape[1], len(query))
    for start, stop, first, count in zip(cum_q, cum_q[1:], cum_k, seqused_k, strict=False):
        assert stop - start <= max_q
        assert 1 <= count <= max_k
        seen = slice(int(first), int(first + count))
        heads = (part.transpose(0, 1).unsqueeze(0) for part in (query[start:stop], key[seen], value[seen]))
        one, lse = attend(*heads)
        output[start:stop], sums[:, start:stop] = one[0].transpose(0, 1), lse[0]
    return output, sums, query.new_empty(2), query.new_empty(()), query.new_empty(0)


@pytest.fixture
def fused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(flash_attention, "is_supported", lambda *_: True)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", flash, raising=False)


def _numbers(*sizes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(size) for size in sizes]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(0, 70))
def test_a_prefill_chunk_in_two_calls_is_one_call_with_a_mask(tokens: int, before: int) -> None:
    keys = (GROUPS, HEADS, before + tokens, SIZE)
    query, key, value = _numbers((GROUPS, HEADS, tokens, SIZE), keys, keys)
    mask = torch.full((tokens, before + tokens), -torch.inf).triu_(1 + before).view(1, 1, tokens, -1)
    for one, other in zip(attend_chunk(query, key, value), attend(query, key, value, mask), strict=True):
        torch.testing.assert_close(one, other)


def test_the_same_in_products_which_is_what_float32_has_on_a_gpu() -> None:
    query, key, value = _numbers(*[(GROUPS, HEADS, 20, SIZE)] * 3)
    mask = torch.full((20, 20), -torch.inf).triu_(1).view(1, 1, 20, 20)
    for causal in (None, mask), (mask, None):
        found = attention._attend_by_products(query, key, value, causal[0], causal[0] is None)
        for one, other in zip(found, attend(query, key, value, mask), strict=True):
            torch.testing.assert_close(one, other)


def _spans() -> tuple[list[tuple[int, int]], KeyRanges]:
    spans = [(100, 1), (0, 64), (7, 30), (0, 3), (64, 36), (64, 36)]
    starts, lengths = (torch.tensor(numbers) for numbers in zip(*spans, strict=True))
    return spans, KeyRanges.of(starts, lengths, HEADS, 64)


def _each_row_alone(query: Tensor, key: Tensor, value: Tensor) -> list[tuple[Tensor, Tensor]]:
    found = []
    for row, (start, length) in zip(query, _spans()[0], strict=True):
        seen = [flash_attention.expand_groups(part[start : start + length], HEADS) for part in (key, value)]
        output, logsumexp = attend(row.unsqueeze(2), *seen)
        found.append((output.squeeze(2), logsumexp.squeeze(2)))
    return found


def _rows() -> list[Tensor]:
    return _numbers((len(_spans()[0]), GROUPS, HEADS, SIZE), (101, GROUPS, SIZE), (101, GROUPS, SIZE))


def test_rows_see_their_key_ranges() -> None:
    query, key, value = _rows()
    outputs, sums = attend_rows(query, key, value, _spans()[1])
    for row, (output, logsumexp) in enumerate(_each_row_alone(query, key, value)):
        torch.testing.assert_close(outputs[row], output)
        torch.testing.assert_close(sums[row], logsumexp)


@pytest.mark.usefixtures("fused_here")
def test_rows_as_sequences_of_their_heads_do_too() -> None:
    query, key, value = _rows()
    outputs, sums = attend_rows(query, key, value, _spans()[1])
    for row, (output, logsumexp) in enumerate(_each_row_alone(query, key, value)):
        torch.testing.assert_close(outputs[row], output)
        torch.testing.assert_close(sums[row], logsumexp)


@pytest.mark.usefixtures("fused_here")
@pytest.mark.parametrize("new_capture", [None, no_capture], ids=["batches", "static batches"])
@pytest.mark.parametrize("constrain", [True, False])
def test_answers_are_those_of_plain_decoding_with_fused_attention(
    constrain: bool, new_capture: NewCapture | None
) -> None:
    requests = [request(text, constrain=constrain, max_tokens=24) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, new_capture=new_capture or (lambda: _never))
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


def _never(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
    raise RuntimeError("not captured here")


def test_torch_has_the_operators_with_these_arguments() -> None:
    """On meta tensors, which have torch's own idea of the outputs."""
    with torch.device("meta"):
        query, key = torch.empty(5, GROUPS, HEADS, SIZE).half(), torch.empty(90, GROUPS, SIZE).half()
        ranges = KeyRanges.of(torch.empty(5, dtype=torch.long), torch.empty(5, dtype=torch.long), HEADS, 90)
        rows = flash_attention.attend_rows(query, key, key, ranges)
        heads = flash_attention.expand_groups(key, HEADS)
        long = flash_attention.attend(torch.empty(GROUPS, HEADS, 90, SIZE).half(), heads, heads, True)
    assert [each.shape for each in rows] == [query.shape, query.shape[:3]]
    assert [each.shape for each in long] == [(GROUPS, HEADS, 90, SIZE), (GROUPS, HEADS, 90)]
    assert rows[1].dtype == long[1].dtype == torch.float32


def test_kernels_are_tried_before_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def right(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
        return attend(query, key, value, None, causal)

    def agree() -> bool:
        trials = flash_attention._trials(torch.device("cpu"), torch.bfloat16, SIZE)
        return all(
            torch.allclose(*pair, atol=flash_attention._TOLERANCE, rtol=flash_attention._TOLERANCE) for pair in trials
        )

    monkeypatch.setattr(flash_attention, "attend", right)
    monkeypatch.setattr(flash_attention, "attend_rows", attend_rows)
    assert agree()
    wrong: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
        "attend": lambda query, key, value, causal: right(query, key, value, False),
        "attend_rows": lambda query, key, value, ranges: attend_rows(
            query,
            key,
            value,
            KeyRanges(ranges.starts, ranges.lengths.clamp(min=4), ranges.query_starts, ranges.max_length),
        ),
    }
    for name, kernel in wrong.items():
        with monkeypatch.context() as changed:
            changed.setattr(flash_attention, name, kernel)
            assert not agree()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_nothing_is_fused_on_a_cpu(dtype: torch.dtype) -> None:
    assert not flash_attention.is_supported(torch.device("cpu"), dtype, 128)


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head_size", [16, 64, 128])
def test_on_a_gpu_it_is_and_gives_what_products_give(dtype: torch.dtype, head_size: int) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("the kernels need an Ampere GPU or newer")
    device = torch.device("cuda", torch.cuda.current_device())
    assert flash_attention.is_supported(device, dtype, head_size)
    query, key, value = (each.to(device, dtype) for each in _numbers(*[(GROUPS, HEADS, 200, head_size)] * 3))
    mask = torch.full((150, 200), -torch.inf, device=device, dtype=dtype).triu_(51).view(1, 1, 150, 200)
    pairs = [
        (attend(query, key, value), attention._attend_by_products(query, key, value, None, False)),
        (attend(query, key, value, causal=True), attention._attend_by_products(query, key, value, None, True)),
        (
            attend_chunk(query[..., 50:, :], key, value),
            attention._attend_by_products(query[..., 50:, :], key, value, mask, False),
        ),
    ]
    for found, expected in pairs:
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one.float(), other.float(), atol=0.03, rtol=0.03)


@pytest.mark.gpu
@on_a_gpu
def test_in_float32_a_gpu_attends_in_products() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    assert not flash_attention.is_supported(device, torch.float32, 128)
    query, key, value = _rows()
    here = attend_rows(query, key, value, _spans()[1])
    ranges = KeyRanges.of(_spans()[1].starts[:-1].to(device), _spans()[1].lengths.to(device), HEADS, 64)
    there = attend_rows(query.to(device), key.to(device), value.to(device), ranges)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other.cpu(), atol=1e-4, rtol=1e-4)
