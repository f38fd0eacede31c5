"""Masks as they are sent to a device, drawing from probabilities, and greedy sampling in one kernel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from extractor.engine.kv_cache import KVShape
from extractor.engine.operations import CompiledOperations
from extractor.engine.sampler import draw, unpack_bits
from extractor.kernels import attention

KERNELS = attention.kernels()


@given(arrays(np.uint32, (3, 30)), st.integers(1, 960))
def test_bits_are_unpacked_as_numpy_unpacks_them(bits: np.ndarray, size: int) -> None:
    octets = bits.view(np.uint8)
    expected = np.unpackbits(octets, axis=1, count=size, bitorder="little").astype(bool)
    assert torch.equal(unpack_bits(torch.from_numpy(octets), size), torch.from_numpy(expected))


def _draws(logits: list[float], temperature: float, count: int) -> list[int]:
    generator = torch.Generator().manual_seed(3)
    return [draw(np.float32(logits), temperature, generator) for _ in range(count)]


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    logits = [0.0, -np.inf, 1.0, 2.0, -np.inf]
    found = np.bincount(_draws(logits, 0.5, 4000), minlength=5) / 4000
    expected = np.exp(np.array(logits) / 0.5)
    assert np.abs(found - expected / expected.sum()).max() < 0.02
    assert found[1] == found[4] == 0


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40), st.data())
def test_columns_that_only_others_ask_for_change_no_draw(logits: list[float], data: st.DataObject) -> None:
    places = sorted(data.draw(st.permutations(range(2 * len(logits))))[: len(logits)])
    wider = np.full(2 * len(logits), -np.inf)
    wider[places] = logits
    assert [places[each] for each in _draws(logits, 0.7, 20)] == _draws(list(wider), 0.7, 20)


needs_kernels = pytest.mark.skipif(KERNELS is None, reason="this machine has no kernel for greedy sampling")


@needs_kernels
@pytest.mark.parametrize("size", [1, 16, 100, 4992, 65024])
@pytest.mark.parametrize("masked", [True, False])
def test_greedy_sampling_by_the_kernel_is_that_of_torch(size: int, masked: bool) -> None:
    assert KERNELS is not None
    torch.manual_seed(size)
    logits = (torch.randn(9, size) * 4).bfloat16()  # so coarse that the largest are often equal
    logits[3] = 7.0
    bits = np.random.default_rng(size).integers(0, 2**32, (9, (size + 31) // 32), np.uint32)
    bits[0] = 2**32 - 1
    compiled = CompiledOperations(KVShape(1, 1, 128, 1, torch.bfloat16, torch.device("cpu")), KERNELS)
    picked = compiled.pick(logits, bits if masked else None)
    expected = logits.float()
    if masked:
        flags = np.unpackbits(bits.view(np.uint8), axis=1, count=size, bitorder="little")
        expected[torch.from_numpy(flags == 0)] = -torch.inf
    some = expected.isfinite().any(-1)
    best = torch.from_numpy(expected.numpy().argmax(-1))
    assert torch.equal(picked[:, 0].long(), best)
    logprobs = expected.log_softmax(-1).gather(1, best.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(picked[some, 1].float(), logprobs[some], atol=1e-4, rtol=1e-4)
    assert picked[~some, 1].isnan().all()


@needs_kernels
@pytest.mark.parametrize("odd", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 17, 99])
def test_the_kernel_says_where_logits_are_not_finite(odd: float, place: int) -> None:
    assert KERNELS is not None
    logits = torch.randn(3, 100, generator=torch.Generator().manual_seed(place)).bfloat16()
    logits[1, place] = odd
    compiled = CompiledOperations(KVShape(1, 1, 128, 1, torch.bfloat16, torch.device("cpu")), KERNELS)
    assert compiled.pick(logits, None)[:, 1].isfinite().tolist() == [True, False, True]
