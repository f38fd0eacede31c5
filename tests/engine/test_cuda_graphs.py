"""Static batches give what batches give, write to no other slot, and are never replayed over tensors that are gone."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from extractor.data import Sampling
from extractor.engine.batch import MAX_DECODE_TOKENS, Batch, Segment
from extractor.engine.cuda_graphs import MAX_ROWS, Capture, CudaGraphs, Forward, GraphKey, StaticBatch, no_capture
from extractor.engine.engine import Engine, SchedulerConfig
from extractor.engine.kv_cache import KVCache, KVShape, Prefix, SlotPool
from tests.engine.answering import CONFIG, TOKENIZER, answer_all, plain, request, run, runner
from tests.engine.test_engine import FREE, MANY, TEXTS

SHAPE = KVShape(2, 2, 16, 2, torch.float32, torch.device("cpu"))
CAPACITIES = (64, 128, 256)


@pytest.fixture(autouse=True)
def _pools_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tensors are replaced whenever they grow."""
    monkeypatch.setattr("extractor.engine.kv_cache._RESERVED_SLOTS", 1)


@pytest.fixture
def eager_to_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is captured when its key occurs for the first time."""
    monkeypatch.setattr(CudaGraphs, "_was_seen", lambda *_: True)


class Watched:
    """Captures as CUDA does: what is replayed has the addresses that it had when it was captured."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self) -> Capture:
        def capture(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            static = compute.__closure__[1].cell_contents  # type: ignore[index]
            assert isinstance(static, StaticBatch)
            self.captured += 1
            before = _addresses(static)
            output = compute()

            def replay() -> Tensor:
                assert _addresses(static) == before
                self.replayed += 1
                return output.copy_(compute())

            return replay

        return capture


def _addresses(static: StaticBatch) -> list[int]:
    pools = [pool for pool, _ in static._placed]
    assert len(pools) == len(static._key.pools)
    kept = [tensor for pool in pools for tensor in (*pool.keys, *pool.values)]
    if static._key.prefix is not None:
        prefix = static._key.prefix()
        assert prefix is not None
        kept += [*prefix.keys, *prefix.values]
    return [tensor.data_ptr() for tensor in (static._inputs, *kept)]


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        SchedulerConfig(1, 512, 0),
        SchedulerConfig(1, 512, 32),
        SchedulerConfig(3, 48, 32),
        SchedulerConfig(64, 4096, 640),
    ],
    ids=["usual", "one by one", "one by one, speculative", "small steps", "large steps, speculative"],
)
def test_answers_of_captured_steps_are_those_of_plain_decoding(config: SchedulerConfig, constrain: bool) -> None:
    watched = Watched()
    requests = [request(text, constrain=constrain, max_tokens=24) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, config, new_capture=watched)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]
    assert watched.replayed >= watched.captured > 0


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize("kibibytes", [1700, 2000, 2600])
def test_they_are_with_a_cache_that_holds_few_sequences(kibibytes: int) -> None:
    requests = [request(text, constrain=True, max_tokens=80) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, cache_bytes=kibibytes * 1024, new_capture=Watched())
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


@pytest.mark.usefixtures("eager_to_capture")
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_they_are_whenever_sequences_join_and_leave(data: st.DataObject) -> None:
    """With retries that reuse slots, preemption of everyone in between, forced tokens, and little memory."""
    config = SchedulerConfig(data.draw(st.integers(1, 8)), 96, 24)
    cache_bytes = data.draw(st.integers(1600, 2600)) * 1024
    engine = Engine(runner(), TOKENIZER.stop_ids, config, cache_bytes, Watched())
    asked, answers = {}, {}
    for _ in range(data.draw(st.integers(2, 14))):
        text = data.draw(st.sampled_from([*TEXTS, *MANY]))
        task = {"task": FREE} if data.draw(st.booleans()) else {}
        each = request(text, constrain=data.draw(st.booleans()), max_tokens=data.draw(st.integers(1, 40)), **task)  # type: ignore[arg-type]
        if answers and data.draw(st.booleans()):
            before = asked[data.draw(st.sampled_from(sorted(answers)))]
            each = replace(before, ids=(*before.ids[:-1], *TOKENIZER.encode("请再试一次")))
        asked[engine.add(each)] = each
        for _ in range(data.draw(st.integers(0, 9))):
            answers.update(engine.step())
        if data.draw(st.integers(0, 5)) == 0:
            engine._scheduler.preempt_all()
    answers.update(run(engine))
    engine.close()
    assert {key: (answers[key].ids, answers[key].finish) for key in asked} == {
        key: plain(each) for key, each in asked.items()
    }


def test_sampled_answers_are_those_without_captured_steps() -> None:
    asked = [request(text, constrain=False, sampling=Sampling(1.5, seed)) for seed, text in enumerate(TEXTS)]
    static, usual = answer_all(asked, new_capture=no_capture), answer_all(asked)
    assert [answer.ids for answer in static] == [answer.ids for answer in usual]


def _world(slots: Sequence[tuple[int, int, int, bool]]) -> tuple[KVCache, list[Segment], Prefix]:
    """A cache full of numbers, with slots of (capacity, tokens before, tokens now, after the prefix)."""
    torch.manual_seed(0)
    cache = KVCache(SHAPE, 2**26)
    taken = []
    for capacity, *_ in slots:
        slot = cache.allocate(capacity)
        assert slot is not None
        taken.append(slot)
    for pool in dict.fromkeys(slot.pool for slot in taken):
        for tensor in (*pool.keys, *pool.values):
            tensor.normal_()
    keys, values = ([torch.randn_like(each) for each in SHAPE.zeros_per_layer(37)] for _ in range(2))
    prefix = Prefix(tuple(range(37)), keys, values)
    segments = [
        Segment(list(range(5, 5 + now)), before, slot, prefix if has_prefix else None, 1)
        for slot, (_, before, now, has_prefix) in zip(taken, slots, strict=True)
    ]
    return cache, segments, prefix


def _attended(batch: Batch | StaticBatch, size: int) -> Forward:
    """Write and attend with numbers that follow from a token's id and position."""

    def forward(step: Batch | StaticBatch) -> Tensor:
        base = (step.ids[: step.num_tokens] * 1000 + step.positions[: step.num_tokens]).view(-1, 1, 1).float()
        key = (base * torch.linspace(0.1, 1, SHAPE.groups * size).view(1, SHAPE.groups, size)).sin()
        step.write(1, key, key.cos())
        query = torch.stack([key, -key], dim=2)
        return step.attend(1, query)[step.logits_rows]

    return forward  # type: ignore[return-value]


def _tensors(segments: Sequence[Segment]) -> dict[tuple[int, int], Tensor]:
    pools = {segment.slot.pool for segment in segments}
    return {(pool.capacity, n): tensor.clone() for pool in pools for n, tensor in enumerate((*pool.keys, *pool.values))}


SLOTS = st.lists(
    st.tuples(st.sampled_from(CAPACITIES), st.integers(0, 40), st.integers(1, MAX_DECODE_TOKENS), st.booleans()),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=60)
@given(SLOTS)
def test_a_static_batch_attends_and_writes_as_a_batch_does_and_touches_nothing_else(
    slots: list[tuple[int, int, int, bool]],
) -> None:
    outputs, caches = [], []
    for how in ("masked", "fused", "static"):
        _, segments, _ = _world(slots)
        batch = Batch(segments, SHAPE, fuse=how == "fused")
        if how == "static":
            key = GraphKey.of(batch)
            assert key is not None
            static = StaticBatch(key, SHAPE)
            for _ in range(2):  # filled again, nothing is left of the first time
                static.fill(batch)
                outputs.append(static.run(_attended(static, SHAPE.head_size))[: len(batch.logits_row_list)])
        else:
            outputs.append(_attended(batch, SHAPE.head_size)(batch)[: len(batch.logits_row_list)])  # type: ignore[arg-type]
        caches.append(_tensors(segments))
    for other in outputs[1:]:
        torch.testing.assert_close(outputs[0], other, atol=1e-5, rtol=1e-4)
    for other_cache in caches[1:]:
        assert all(torch.equal(other_cache[place], tensor) for place, tensor in caches[0].items())


def test_batches_with_prefill_chunks_several_prefixes_or_many_rows_have_no_key() -> None:
    _, segments, prefix = _world([(64, 3, 1, True), (64, 3, 1, True), (64, 3, MAX_DECODE_TOKENS + 1, False)])
    other = Prefix(prefix.ids, prefix.keys, prefix.values)
    assert GraphKey.of(Batch(segments[:2], SHAPE)) is not None
    assert GraphKey.of(Batch(segments, SHAPE)) is None
    assert GraphKey.of(Batch([segments[0], replace(segments[1], prefix=other)], SHAPE)) is None
    assert GraphKey.of(Batch([segments[0]] * (MAX_ROWS + 1), SHAPE)) is None


def _key(pool: SlotPool, cache: KVCache, prefix: Prefix | None = None) -> GraphKey | None:
    slot = cache.allocate(pool.capacity)
    assert slot is not None
    key = GraphKey.of(Batch([Segment([1], 0, slot, prefix, 1)], SHAPE))
    cache.free(slot)
    return key


def test_a_key_changes_with_the_pools_and_the_prefix() -> None:
    cache, segments, prefix = _world([(64, 0, 1, True)])
    pool = segments[0].slot.pool
    cache.free(segments[0].slot)
    first, prefixed = _key(pool, cache), _key(pool, cache, prefix)
    assert first == _key(pool, cache)
    assert first != prefixed == _key(pool, cache, prefix)
    pool.grow(2)
    grown = _key(pool, cache)
    pool.shrink()
    assert first is not None
    assert prefixed is not None
    assert not first.is_valid
    assert len({first, grown, _key(pool, cache)}) == 3
    valid = _key(pool, cache, prefix)
    assert valid is not None
    assert valid.is_valid
    del segments, prefix
    assert not valid.is_valid


def _batches(count: int) -> list[Batch]:
    """Batches with different keys."""
    _, segments, _ = _world([(64, 3, 1, False)] * (64 * (count + 1)))
    return [Batch(segments[: 64 * number], SHAPE) for number in range(1, count + 1)]


def test_a_key_is_captured_when_it_occurs_again_and_few_graphs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractor.engine.cuda_graphs._MAX_GRAPHS", 2)
    watched = Watched()
    graphs = CudaGraphs(lambda step: step.ids.float(), SHAPE, watched)
    one, two, three = _batches(3)
    assert graphs.forward(one) is None
    for batch in (one, one, two, two, one, three, three, one):
        graphs.forward(batch)
    assert watched.captured == 3
    assert graphs.forward(two) is None  # it was dropped, and starts again
    assert graphs.forward(two) is not None
    assert watched.captured == 4
    graphs.clear()
    assert graphs.forward(one) is None


def test_what_cannot_be_captured_runs_eagerly_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Capture:
        def capture(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            raise RuntimeError("operation not permitted when stream is capturing")

        return capture

    requests = [request(text, constrain=True) for text in (*TEXTS, *MANY)]
    with caplog.at_level(logging.WARNING):
        answers = answer_all(requests, SchedulerConfig(1, 512, 0), new_capture=broken)
    assert [answer.ids for answer in answers] == [plain(each)[0] for each in requests]
    assert caplog.text.count("not captured") == 1


@pytest.mark.usefixtures("eager_to_capture")
def test_out_of_memory_while_capturing_drops_all_graphs_and_halves_the_batch() -> None:
    captures = 0

    def narrow() -> Capture:
        nonlocal captures
        captures += 1
        room = 3

        def capture(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            nonlocal room
            room -= 1
            if not room and captures < 4:
                try:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                finally:  # as the end of a capture that broke off does
                    raise RuntimeError("capture invalidated")
            return compute

        return capture

    requests = [request(text, constrain=True) for text in TEXTS]
    answers = answer_all(requests, new_capture=narrow)
    assert [answer.ids for answer in answers] == [plain(each)[0] for each in requests]
    assert captures >= 2
