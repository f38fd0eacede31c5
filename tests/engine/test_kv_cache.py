"""Slots: their capacities, that they keep their tokens when moved, and that pools stay within the budget."""

import pytest
import torch

from extractor.engine.kv_cache import KVCache, KVShape, Slot, slot_capacity

SHAPE = KVShape(2, 2, 8, 2, torch.float32, torch.device("cpu"))


@pytest.mark.parametrize(("tokens", "capacity"), [(1, 64), (64, 64), (65, 128), (129, 256), (1000, 1024), (1024, 1024)])
def test_a_capacity_is_the_next_power_of_two(tokens: int, capacity: int) -> None:
    assert slot_capacity(tokens) == capacity


def test_slots_are_given_out_until_the_budget_is_used_and_no_further() -> None:
    cache = KVCache(SHAPE, 5 * 64 * SHAPE.token_bytes)
    slots = [cache.allocate(60) for _ in range(7)]
    assert sum(slot is not None for slot in slots) == 5
    assert cache.allocated_bytes == cache.budget


def test_slots_that_are_free_make_room_for_slots_of_another_size() -> None:
    cache = KVCache(SHAPE, 4 * 64 * SHAPE.token_bytes)
    slots = [cache.allocate(60) for _ in range(4)]
    assert cache.allocate(128) is None
    for slot in slots:
        assert slot is not None
        cache.free(slot)
    assert cache.allocate(128) is not None
    assert cache.allocated_bytes <= cache.budget


def test_a_slot_that_moves_keeps_its_tokens() -> None:
    cache = KVCache(SHAPE, 2**20)
    slot = cache.allocate(60)
    assert slot is not None
    _fill(slot)
    larger = cache.move(slot, 100, 50)
    assert larger is not None
    for layer in range(SHAPE.layers):
        assert torch.equal(larger.pool.keys[layer][larger.index, :50], _ramp(layer)[:50])
        assert torch.equal(larger.pool.values[layer][larger.index, :50], -_ramp(layer)[:50])
    again = cache.allocate(60)
    assert again == slot


def test_growing_a_pool_keeps_what_is_in_its_slots() -> None:
    cache = KVCache(SHAPE, 2**22)
    slot = cache.allocate(60)
    assert slot is not None
    _fill(slot)
    others = [cache.allocate(60) for _ in range(9)]
    assert None not in others
    assert torch.equal(slot.pool.keys[1][slot.index], _ramp(1))


def test_a_pool_keeps_its_slots_when_prefixes_take_more_than_the_budget() -> None:
    cache = KVCache(SHAPE, 3 * 64 * SHAPE.token_bytes)
    slots = [cache.allocate(60) for _ in range(2)]
    assert slots[0] is not None
    for _ in range(2):
        cache.store_prefix(tuple(range(60)), slots[0])
    assert cache.allocated_bytes > cache.budget
    assert cache.allocate(60) is None
    assert slots[0].pool.num_slots == 2


@pytest.mark.parametrize("layer", [0, 1])
def test_a_pool_that_could_not_grow_is_as_it_was_and_can_grow_later(
    layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extractor.engine.kv_cache._RESERVED_SLOTS", 1)
    cache = KVCache(SHAPE, 2**22)
    slots = [cache.allocate(60) for _ in range(2)]
    assert slots[1] is not None
    _fill(slots[1])
    original, left = KVShape.zeros, layer

    def scarce(shape: KVShape, *sizes: int) -> torch.Tensor:
        nonlocal left
        left -= 1
        if left == -1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(shape, *sizes)

    pool = slots[1].pool
    before = pool.version, pool.num_slots, cache.allocated_bytes
    monkeypatch.setattr(KVShape, "zeros", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        cache.allocate(60)
    assert pool.version != before[0]  # some tensors may have been replaced
    assert (pool.num_slots, cache.allocated_bytes) == before[1:]
    more = [cache.allocate(60) for _ in range(5)]
    assert [slot.index for slot in more if slot is not None] == [2, 3, 4, 5, 6]
    assert torch.equal(pool.keys[1][1], _ramp(1))
    assert {len(tensor) for tensor in (*pool.keys, *pool.values)} == {pool.num_slots}


def test_a_pool_whose_last_slot_is_in_use_keeps_its_tensors() -> None:
    cache = KVCache(SHAPE, 2**22)
    first, last = cache.allocate(60), cache.allocate(60)
    assert first is not None
    assert last is not None
    cache.free(first)
    before = last.pool.version, last.pool.keys[0].data_ptr()
    last.pool.shrink()
    assert (last.pool.version, last.pool.keys[0].data_ptr()) == before
    cache.free(last)
    last.pool.shrink()
    assert last.pool.num_slots == 0


def test_a_prefix_counts_until_it_is_dropped() -> None:
    cache = KVCache(SHAPE, 2**20)
    slot = cache.allocate(40)
    assert slot is not None
    before = cache.allocated_bytes
    prefix = cache.store_prefix(tuple(range(40)), slot)
    assert cache.allocated_bytes == before + 40 * SHAPE.token_bytes
    cache.drop_prefix(prefix)
    assert cache.allocated_bytes == before


def _ramp(layer: int) -> torch.Tensor:
    return torch.arange(64 * 16, dtype=torch.float32).view(64, 2, 8) + layer


def _fill(slot: Slot) -> None:
    for layer in range(SHAPE.layers):
        slot.pool.keys[layer][slot.index] = _ramp(layer)
        slot.pool.values[layer][slot.index] = -_ramp(layer)


def test_a_pool_grows_into_what_it_reserved_and_takes_no_room_for_it() -> None:
    cache = KVCache(SHAPE, 2**28)
    first = cache.allocate(60)
    assert first is not None
    _fill(first)
    before = first.pool.version, first.pool.keys[0].data_ptr()
    more = [cache.allocate(60) for _ in range(20)]
    assert all(more)
    assert (first.pool.version, first.pool.keys[0].data_ptr()) == before
    assert (
        cache.allocated_bytes
        == first.pool.num_slots * first.pool.slot_bytes
        < len(first.pool.keys[0]) * first.pool.slot_bytes
    )
    assert torch.equal(first.pool.keys[1][first.index], _ramp(1))
