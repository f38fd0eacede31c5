"""The compiled operations give what torch's operations give, whatever mixture of segments a step has."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from extractor.engine import operations
from extractor.engine.batch import Batch, Segment
from extractor.engine.kv_cache import KVCache, KVShape, Prefix
from extractor.engine.operations import CompiledOperations, Operations, TorchOperations
from extractor.kernels import attention

KERNELS = attention.kernels()
compiled_only = pytest.mark.skipif(KERNELS is None, reason="this machine has no gcc, or no x86-64 processor")
CPU = torch.device("cpu")


def _shape(head_size: int = 128, heads: int = 4, dtype: torch.dtype = torch.bfloat16) -> KVShape:
    return KVShape(3, 2, head_size, heads, dtype, CPU)


def _compiled(shape: KVShape) -> CompiledOperations:
    assert KERNELS is not None
    return CompiledOperations(shape, KERNELS)


def _without_tiles(shape: KVShape) -> CompiledOperations:
    """As on a processor without AMX."""
    assert KERNELS is not None
    return CompiledOperations(shape, KERNELS, tiles=False)


def _prefix(shape: KVShape, tokens: int) -> Prefix:
    keys, values = ([torch.randn_like(each) for each in shape.zeros_per_layer(tokens)] for _ in range(2))
    return Prefix(tuple(range(tokens)), keys, values)


def _world(shape: KVShape, segments: Sequence[tuple[int, int, Prefix | None]]) -> tuple[KVCache, Batch]:
    """A cache whose slots hold numbers already, and a step of (tokens, tokens before them, prefix)."""
    torch.manual_seed(1)
    cache = KVCache(shape, 2**26)
    made = []
    for tokens, start, prefix in segments:
        slot = cache.allocate(start + tokens)
        assert slot is not None
        for layer in range(shape.layers):
            for tensors in (slot.pool.keys, slot.pool.values):
                tensors[layer][slot.index, :start] = torch.randn_like(tensors[layer][slot.index, :start])
        made.append(Segment(list(range(tokens)), start, slot, prefix, len(made) % 2))
    return cache, Batch(made, shape)


def _in_tiles(plain: Tensor, *, keys: bool) -> Tensor:
    """Keys or values (tokens, groups, 128) as AMX reads them, 32 tokens at a time, in the same memory."""
    tokens, groups, size = plain.shape
    blocks = plain.view(-1, 32, groups, size).transpose(1, 2)
    if keys:  # 16 keys, 32 channels: pairs of channels by keys
        tiles = blocks.reshape(-1, groups, 2, 16, 4, 16, 2).permute(0, 1, 2, 4, 5, 3, 6)
    else:  # 16 channels: pairs of keys by channels
        tiles = blocks.reshape(-1, groups, 16, 2, 8, 16).permute(0, 1, 4, 2, 5, 3)
    return tiles.reshape(tokens, groups, size)


def _lay_out(batch: Batch, made: Operations) -> None:
    """Bring what slots and prefixes hold into the order of these operations."""
    if made.shape.block_size == 1:
        return
    for pool in {segment.slot.pool for segment in batch.segments}:
        for tensors, keys in ((pool.keys, True), (pool.values, False)):
            for layer, slots in enumerate(tensors):
                tensors[layer] = torch.stack([_in_tiles(slot, keys=keys) for slot in slots])
    for prefix in {segment.prefix for segment in batch.segments if segment.prefix is not None}:
        for tensors, keys in ((prefix.keys, True), (prefix.values, False)):
            assert isinstance(tensors, list)
            for layer, plain in enumerate(tensors):
                tensors[layer] = _in_tiles(functional.pad(plain, (0, 0, 0, 0, 0, -len(plain) % 32)), keys=keys)


def _stored(batch: Batch, made: Operations, layer: int) -> list[Tensor]:
    """What the slots of a layer hold, in the order of AMX for heads of its size."""
    tiled = made.shape.head_size == 128
    return [
        _in_tiles(tensors[layer][segment.slot.index], keys=keys)
        if tiled and made.shape.block_size == 1
        else tensors[layer][segment.slot.index].clone()
        for segment in batch.segments
        for tensors, keys in ((segment.slot.pool.keys, True), (segment.slot.pool.values, False))
    ]


def _inputs(shape: KVShape, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    torch.manual_seed(2)
    rows, half = len(batch.ids), shape.head_size // 4
    width = (shape.groups * shape.heads_per_group + 2 * shape.groups) * shape.head_size
    angle = torch.rand(rows, half) * 6
    return torch.randn(rows, width).to(shape.dtype), (angle.cos().to(shape.dtype), angle.sin().to(shape.dtype))


SHARED = 37
MIXTURES = {
    "one token": [(1, 50, None)],
    "answers of several lengths": [(1, 300, None), (3, 20, None), (16, 90, None), (1, 0, None)],
    "prompts": [(60, 0, None), (130, 0, None), (20, 40, None)],
    "prompts longer than a block of keys": [(100, 900, SHARED), (700, 0, SHARED), (17, 0, None)],
    "everything": [(1, 40, SHARED), (5, 10, SHARED), (1, 64, None), (200, 0, SHARED), (33, 70, None), (40, 0, SHARED)],
}


@compiled_only
@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize(("head_size", "heads"), [(128, 4), (128, 16), (64, 2), (16, 1), (48, 5)])
def test_attention_and_what_is_stored_agree_with_torch(mixture: str, head_size: int, heads: int) -> None:
    shape = _shape(head_size, heads)
    found = []
    for make in (_compiled, _without_tiles, TorchOperations):
        torch.manual_seed(0)
        prefix = _prefix(shape, SHARED)
        segments = [(tokens, start, prefix if shared else None) for tokens, start, shared in MIXTURES[mixture]]
        _, batch = _world(shape, segments)
        states, rotary = _inputs(shape, batch)
        made = make(shape)
        _lay_out(batch, made)
        output = made.attend(batch, 1, states, rotary)
        found.append((output[: batch.num_tokens], _stored(batch, made, 1)))
    *compiled, (theirs, their_store) = found
    for ours, our_store in compiled:
        torch.testing.assert_close(ours.float(), theirs.float(), atol=0.03, rtol=0.03)
        for one, other in zip(our_store, their_store, strict=True):
            torch.testing.assert_close(one.float(), other.float(), atol=0.03, rtol=0.02)


@compiled_only
@pytest.mark.parametrize("compiled", [_compiled, _without_tiles])
@pytest.mark.parametrize("mixture", ["prompts longer than a block of keys", "everything"])
def test_the_last_layer_attends_for_what_is_sampled_from_alone(
    mixture: str, compiled: Callable[[KVShape], CompiledOperations]
) -> None:
    shape = _shape()
    found = []
    for layer in (1, 2):
        torch.manual_seed(0)
        prefix = _prefix(shape, SHARED)
        _, batch = _world(
            shape, [(tokens, start, prefix if shared else None) for tokens, start, shared in MIXTURES[mixture]]
        )
        for each in (prefix, *(segment.slot.pool for segment in batch.segments)):
            for tensors in (each.keys, each.values):
                tensors[layer].copy_(tensors[0])
        states, rotary = _inputs(shape, batch)
        made = compiled(shape)
        _lay_out(batch, made)
        found.append((made.attend(batch, layer, states, rotary), _stored(batch, made, layer)))
    (usual, usual_store), (last, last_store) = found
    read = batch.logits_row_list
    assert 0 < len(read) < batch.num_tokens
    assert torch.equal(last[read], usual[read])
    assert not last[[row for row in range(len(last)) if row not in read]].any()
    assert all(map(torch.equal, last_store, usual_store))


@compiled_only
@pytest.mark.parametrize("segments", [[(1, 400, None), (4, 120, None)], [(90, 520, None), (33, 0, None)]])
@pytest.mark.parametrize("compiled", [_compiled, _without_tiles])
def test_attention_is_as_near_to_float32_as_torchs(
    segments: list[tuple[int, int, Prefix | None]], compiled: Callable[[KVShape], CompiledOperations]
) -> None:
    outputs = []
    for make in (compiled, TorchOperations):
        shape = _shape()
        _, batch = _world(shape, segments)
        states, rotary = _inputs(shape, batch)
        made = make(shape)
        _lay_out(batch, made)
        outputs.append(made.attend(batch, 0, states, rotary)[: batch.num_tokens].float())
    exact = _exact(batch, shape)  # over what torch's operations left in the slots
    ours, theirs = ((output - exact).abs().mean() for output in outputs)
    assert ours <= 1.2 * theirs


@compiled_only
@pytest.mark.parametrize("head_size", [128, 48])
def test_a_prompt_without_tiles_gives_the_same_bits_with_its_beginning_in_a_prefix(head_size: int) -> None:
    shape = _shape(head_size)
    prefix = _prefix(shape, SHARED)
    _, apart = _world(shape, [(150, 0, prefix)])
    _, whole = _world(shape, [(150, SHARED, None)])
    slot = whole.segments[0].slot
    slot.pool.keys[1][slot.index, :SHARED] = prefix.keys[1]
    slot.pool.values[1][slot.index, :SHARED] = prefix.values[1]
    states, rotary = _inputs(shape, apart)
    one, other = (_without_tiles(shape).attend(batch, 1, states.clone(), rotary)[:150] for batch in (apart, whole))
    assert torch.equal(one, other)


@pytest.mark.skipif(KERNELS is None or not KERNELS.has_tiles(), reason="this processor has no AMX")
@pytest.mark.parametrize("heads", [4, 16])
@pytest.mark.parametrize("tokens", [1, 3, 5, 40])
def test_tokens_on_tiles_give_the_same_bits_whatever_is_read_with_them(tokens: int, heads: int) -> None:
    shape, before = _shape(heads=heads), 700
    outputs = []
    for start in (before, 0, before - 5):  # alone, with the whole prompt, with some of it
        torch.manual_seed(3)
        _, batch = _world(shape, [(before + tokens, 0, None)])
        states, rotary = _inputs(shape, batch)
        made = _compiled(shape)
        _lay_out(batch, made)
        made.attend(batch, 1, states.clone(), rotary)  # keys and values of all
        segment = replace(batch.segments[0], ids=range(before + tokens - start), start=start)
        part = Batch([segment], shape)
        some = states[start : before + tokens].clone()
        output = made.attend(part, 1, some, (rotary[0][start : before + tokens], rotary[1][start : before + tokens]))
        outputs.append(output[before - start : before - start + tokens])
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def _exact(batch: Batch, shape: KVShape) -> Tensor:
    """Attention in float32 over what the slots hold, and the queries rotated in float32."""
    states, (cos, sin) = (part for part in _inputs(shape, batch))
    heads = shape.groups * shape.heads_per_group
    query = states.view(len(states), -1, shape.head_size)[:, :heads].float()
    half = cos.shape[-1]
    one, other = query[..., :half].clone(), query[..., half : 2 * half].clone()
    c, s = cos.float().unsqueeze(1), sin.float().unsqueeze(1)
    query[..., :half], query[..., half : 2 * half] = one * c - other * s, other * c + one * s
    outputs = []
    for segment, first in zip(batch.segments, batch.first_rows, strict=True):
        key, value = (
            tensors[0][segment.slot.index].float() for tensors in (segment.slot.pool.keys, segment.slot.pool.values)
        )
        for place in range(len(segment.ids)):
            seen = segment.start + place + 1
            for head in range(heads):
                group = head // shape.heads_per_group
                scores = key[:seen, group] @ query[first + place, head] / shape.head_size**0.5
                outputs.append(scores.softmax(0) @ value[:seen, group])
    return torch.stack(outputs).view(batch.num_tokens, -1)


@compiled_only
def test_what_a_slot_held_before_reaches_no_answer() -> None:
    outputs = []
    for left in (0.0, float("nan")):
        shape = _shape()
        _, batch = _world(shape, [(45, 0, None)])
        for tensors in (batch.segments[0].slot.pool.keys, batch.segments[0].slot.pool.values):
            tensors[0].fill_(left)
        states, rotary = _inputs(shape, batch)
        outputs.append(_compiled(shape).attend(batch, 0, states, rotary)[: batch.num_tokens])
    assert torch.equal(*outputs)


@compiled_only
@pytest.mark.parametrize("columns", [16, 100, 1024])
def test_norms_agree_with_torch_to_a_rounding(columns: int) -> None:
    torch.manual_seed(0)
    x = (torch.randn(33, columns) * torch.logspace(-4, 4, 33)[:, None]).bfloat16()
    weight = torch.randn(columns).bfloat16()
    ours, theirs = (make(_shape()).normed(x, weight, 1e-5) for make in (_compiled, TorchOperations))
    torch.testing.assert_close(ours.float(), theirs.float(), atol=1e-3, rtol=1 / 128)


@pytest.mark.parametrize(
    "shape", [_shape(dtype=torch.float32), _shape(head_size=24), _shape(heads=65), _shape(head_size=272)]
)
def test_what_the_kernels_do_not_support_goes_to_torch(shape: KVShape) -> None:
    assert isinstance(operations.operations(shape), TorchOperations)


@compiled_only
def test_bfloat16_on_this_machine_is_compiled() -> None:
    assert isinstance(operations.operations(_shape()), CompiledOperations)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_norm_that_cuda_has_in_one_kernel_is_rounded_before_the_weight_as_ours_is(dtype: torch.dtype) -> None:
    """Given the weight, torch rounds once, after it, and a quarter of the numbers differ."""
    torch.manual_seed(0)
    x, weight = torch.randn(33, 1024).to(dtype), torch.randn(1024).to(dtype)
    ours = TorchOperations(_shape(dtype=dtype)).normed(x, weight, 1e-5)
    theirs = torch.nn.functional.rms_norm(x, x.shape[-1:], None, 1e-5).mul_(weight)
    assert (ours != theirs).float().mean() < 0.001
