"""Lanes: their capacities, that they are found again after moving, and that pools stay within the budget."""

import pytest
import torch

from extractor.engine.kv_cache import Cache, KeyShape, Lane, capacity_for

SHAPE = KeyShape(2, 2, 8, 2, torch.float32, torch.device("cpu"))


@pytest.mark.parametrize(("tokens", "capacity"), [(1, 64), (64, 64), (65, 128), (129, 256), (1000, 1024), (1024, 1024)])
def test_a_capacity_is_the_next_power_of_two(tokens: int, capacity: int) -> None:
    assert capacity_for(tokens) == capacity


def test_lanes_are_given_out_until_the_budget_is_used_and_no_further() -> None:
    cache = Cache(SHAPE, 5 * 64 * SHAPE.token_bytes)
    lanes = [cache.allocate(60) for _ in range(7)]
    assert sum(lane is not None for lane in lanes) == 5
    assert cache.bytes == cache.budget


def test_lanes_that_are_free_make_room_for_lanes_of_another_size() -> None:
    cache = Cache(SHAPE, 4 * 64 * SHAPE.token_bytes)
    lanes = [cache.allocate(60) for _ in range(4)]
    assert cache.allocate(128) is None
    for lane in lanes:
        assert lane is not None
        cache.free(lane)
    assert cache.allocate(128) is not None
    assert cache.bytes <= cache.budget


def test_a_lane_that_moves_keeps_its_tokens() -> None:
    cache = Cache(SHAPE, 2**20)
    lane = cache.allocate(60)
    assert lane is not None
    _fill(lane)
    larger = cache.move(lane, 100, 50)
    assert larger is not None
    for layer in range(SHAPE.layers):
        assert torch.equal(larger.pool.keys[layer][larger.index, :50], _ramp(layer)[:50])
        assert torch.equal(larger.pool.values[layer][larger.index, :50], -_ramp(layer)[:50])
    again = cache.allocate(60)
    assert again == lane


def test_growing_a_pool_keeps_what_is_in_its_lanes() -> None:
    cache = Cache(SHAPE, 2**22)
    lane = cache.allocate(60)
    assert lane is not None
    _fill(lane)
    others = [cache.allocate(60) for _ in range(9)]
    assert None not in others
    assert torch.equal(lane.pool.keys[1][lane.index], _ramp(1))


@pytest.mark.parametrize("layer", [0, 1])
def test_a_pool_that_could_not_grow_is_as_it_was_and_can_grow_later(
    layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extractor.engine.kv_cache._RESERVED", 1)
    cache = Cache(SHAPE, 2**22)
    lanes = [cache.allocate(60) for _ in range(2)]
    assert lanes[1] is not None
    _fill(lanes[1])
    really, left = KeyShape.zeros, layer

    def scarce(shape: KeyShape, *sizes: int) -> torch.Tensor:
        nonlocal left
        left -= 1
        if left == -1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return really(shape, *sizes)

    pool = lanes[1].pool
    before = pool.version, pool.lanes, cache.bytes
    monkeypatch.setattr(KeyShape, "zeros", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        cache.allocate(60)
    assert pool.version != before[0]  # some tensors are others, perhaps
    assert (pool.lanes, cache.bytes) == before[1:]
    more = [cache.allocate(60) for _ in range(5)]
    assert [lane.index for lane in more if lane is not None] == [2, 3, 4, 5, 6]
    assert torch.equal(pool.keys[1][1], _ramp(1))
    assert {len(tensor) for tensor in (*pool.keys, *pool.values)} == {pool.lanes}


def test_a_pool_whose_last_lane_is_in_use_keeps_its_tensors() -> None:
    cache = Cache(SHAPE, 2**22)
    first, last = cache.allocate(60), cache.allocate(60)
    assert first is not None
    assert last is not None
    cache.free(first)
    before = last.pool.version, last.pool.keys[0].data_ptr()
    last.pool.shrink()
    assert (last.pool.version, last.pool.keys[0].data_ptr()) == before
    cache.free(last)
    last.pool.shrink()
    assert last.pool.lanes == 0


def test_a_prefix_counts_until_it_is_dropped() -> None:
    cache = Cache(SHAPE, 2**20)
    lane = cache.allocate(40)
    assert lane is not None
    before = cache.bytes
    prefix = cache.keep_prefix(tuple(range(40)), lane)
    assert cache.bytes == before + 40 * SHAPE.token_bytes
    cache.drop_prefix(prefix)
    assert cache.bytes == before


def _ramp(layer: int) -> torch.Tensor:
    return torch.arange(64 * 16, dtype=torch.float32).view(64, 2, 8) + layer


def _fill(lane: Lane) -> None:
    for layer in range(SHAPE.layers):
        lane.pool.keys[layer][lane.index] = _ramp(layer)
        lane.pool.values[layer][lane.index] = -_ramp(layer)


def test_a_pool_grows_into_what_it_reserved_and_takes_no_room_for_it() -> None:
    cache = Cache(SHAPE, 2**28)
    first = cache.allocate(60)
    assert first is not None
    _fill(first)
    before = first.pool.version, first.pool.keys[0].data_ptr()
    more = [cache.allocate(60) for _ in range(20)]
    assert all(more)
    assert (first.pool.version, first.pool.keys[0].data_ptr()) == before
    assert cache.bytes == first.pool.lanes * first.pool.lane_bytes < len(first.pool.keys[0]) * first.pool.lane_bytes
    assert torch.equal(first.pool.keys[1][first.index], _ramp(1))
