"""Every parameter of `GlmForCausalLM` comes from exactly one place of the checkpoint, and no row is left over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extractor.chatglm3 import read_dims
from extractor.chatglm3.layouts import weight_mapping
from extractor.chatglm3.model_dims import CHATGLM3_6B, ModelDims
from extractor.chatglm3.parameters import Parameters
from tests.chatglm3.conftest import REFERENCE

TINY = read_dims(REFERENCE / "chatglm3-tiny")


@pytest.mark.parametrize("dims", [TINY, replace(TINY, qkv_bias=False)], ids=["with bias", "without bias"])
def test_the_mapping_fills_every_parameter_with_its_shape(dims: ModelDims) -> None:
    mapped = {
        rows.name: (rows.stop - rows.start, *source.shape[1:])
        for source in weight_mapping(dims).values()
        for rows in source.targets
    }
    assert mapped == {name: tuple(tensor.shape) for name, tensor in Parameters(dims).state_dict().items()}


@pytest.mark.parametrize("dims", [TINY, CHATGLM3_6B], ids=["tiny", "6B"])
def test_the_rows_of_a_source_tensor_are_used_once_each_and_in_order(dims: ModelDims) -> None:
    for source in weight_mapping(dims).values():
        bounds = [(rows.start, rows.stop) for rows in source.targets]
        assert [0, *(stop for _, stop in bounds)] == [*(start for start, _ in bounds), source.shape[0]]


def test_query_key_value_of_the_6b_is_split_into_4096_256_and_256_rows() -> None:
    source = weight_mapping(CHATGLM3_6B)["transformer.encoder.layers.27.self_attention.query_key_value.weight"]
    assert source.shape == (4608, 4096)
    assert [(rows.name, rows.start, rows.stop) for rows in source.targets] == [
        ("model.layers.27.self_attn.q_proj.weight", 0, 4096),
        ("model.layers.27.self_attn.k_proj.weight", 4096, 4352),
        ("model.layers.27.self_attn.v_proj.weight", 4352, 4608),
    ]
