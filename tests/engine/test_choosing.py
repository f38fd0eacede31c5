"""Masks as they go to a device."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from extractor.engine.choosing import unpacked


@given(arrays(np.uint32, (3, 30)), st.integers(1, 960))
def test_bits_are_unpacked_as_numpy_unpacks_them(bits: np.ndarray, size: int) -> None:
    octets = bits.view(np.uint8)
    expected = np.unpackbits(octets, axis=1, count=size, bitorder="little").astype(bool)
    assert torch.equal(unpacked(torch.from_numpy(octets), size), torch.from_numpy(expected))
