"""Static steps give what packs give, touch no lane but their own, and are never replayed over tensors that are gone."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from extractor.data import Sampling
from extractor.engine.batch import SHORT, Pack, Run
from extractor.engine.cuda_graphs import MOST_ROWS, Forward, Graphs, Kind, Record, StaticStep, uncaptured
from extractor.engine.engine import Engine, Limits
from extractor.engine.kv_cache import Cache, KeyShape, Pool, Prefix
from tests.engine.answering import LIMITS, TOKENIZER, answer_all, plain, request, run, runner
from tests.engine.test_engine import FREE, MANY, TEXTS

SHAPE = KeyShape(2, 2, 16, 2, torch.float32, torch.device("cpu"))
CAPACITIES = (64, 128, 256)


@pytest.fixture(autouse=True)
def _pools_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tensors are replaced whenever they grow."""
    monkeypatch.setattr("extractor.engine.kv_cache._RESERVED", 1)


@pytest.fixture
def eager_to_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is made static when its kind comes up for the first time."""
    monkeypatch.setattr(Graphs, "_was_seen", lambda *_: True)


class Watched:
    """Records as CUDA does: what is replayed has the addresses of the time when it was recorded."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self) -> Record:
        def record(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            step = compute.__closure__[1].cell_contents  # type: ignore[index]
            assert isinstance(step, StaticStep)
            self.recorded += 1
            before = _addresses(step)
            output = compute()

            def replay() -> Tensor:
                assert _addresses(step) == before
                self.replayed += 1
                return output.copy_(compute())

            return replay

        return record


def _addresses(step: StaticStep) -> list[int]:
    pools = [pool for pool, _ in step._placed]
    assert len(pools) == len(step._kind.shares)
    kept = [tensor for pool in pools for tensor in (*pool.keys, *pool.values)]
    if step._kind.prefix is not None:
        prefix = step._kind.prefix()
        assert prefix is not None
        kept += [*prefix.keys, *prefix.values]
    return [tensor.data_ptr() for tensor in (step._inputs, *kept)]


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize(
    "limits",
    [LIMITS, Limits(1, 512, 0), Limits(1, 512, 32), Limits(3, 48, 32), Limits(64, 4096, 640)],
    ids=["usual", "one by one", "one by one, guessing", "small steps", "large steps, guessing"],
)
def test_answers_of_static_steps_are_those_of_plain_decoding(limits: Limits, constrain: bool) -> None:
    watched = Watched()
    requests = [request(text, constrain=constrain, max_tokens=24) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, limits, recorder=watched)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]
    assert watched.replayed >= watched.recorded > 0


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize("kibibytes", [1700, 2000, 2600])
def test_they_are_in_a_cache_that_holds_few_sequences(kibibytes: int) -> None:
    requests = [request(text, constrain=True, max_tokens=80) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, cache_bytes=kibibytes * 1024, recorder=Watched())
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


@pytest.mark.usefixtures("eager_to_capture")
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_they_are_whoever_joins_and_leaves_when(data: st.DataObject) -> None:
    """With retries in the lanes of those just finished, all lanes given up in between, and forced tokens."""
    engine = Engine(runner(), TOKENIZER.stop_ids, Limits(data.draw(st.integers(1, 8)), 96, 24), 2**21, Watched())
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
    assert {key: answers[key].ids for key in asked} == {key: plain(each)[0] for key, each in asked.items()}


def test_sampled_answers_are_those_without_static_steps() -> None:
    asked = [request(text, constrain=False, sampling=Sampling(1.5, seed)) for seed, text in enumerate(TEXTS)]
    static, usual = answer_all(asked, recorder=uncaptured), answer_all(asked)
    assert [answer.ids for answer in static] == [answer.ids for answer in usual]


def _world(lanes: Sequence[tuple[int, int, int, bool]]) -> tuple[Cache, list[Run], Prefix]:
    """Lanes in (capacity, tokens before, tokens now, behind the prefix), all of the cache filled with numbers."""
    torch.manual_seed(0)
    cache = Cache(SHAPE, 2**26)
    taken = []
    for capacity, *_ in lanes:
        lane = cache.allocate(capacity)
        assert lane is not None
        taken.append(lane)
    for pool in dict.fromkeys(lane.pool for lane in taken):
        for tensor in (*pool.keys, *pool.values):
            tensor.normal_()
    keys, values = ([torch.randn_like(each) for each in SHAPE.empty(37)] for _ in range(2))
    prefix = Prefix(tuple(range(37)), keys, values)
    runs = [
        Run(list(range(5, 5 + now)), before, lane, prefix if behind else None, 1)
        for lane, (_, before, now, behind) in zip(taken, lanes, strict=True)
    ]
    return cache, runs, prefix


def _attended(pack: Pack | StaticStep, size: int) -> Forward:
    """Write and attend with numbers that a token's id and position say."""

    def forward(step: Pack | StaticStep) -> Tensor:
        base = (step.ids[: step.size] * 1000 + step.positions[: step.size]).view(-1, 1, 1).float()
        key = (base * torch.linspace(0.1, 1, SHAPE.groups * size).view(1, SHAPE.groups, size)).sin()
        step.write(1, key, key.cos())
        query = torch.stack([key, -key], dim=2)
        return step.attend(1, query)[step.wanted]

    return forward  # type: ignore[return-value]


def _tensors(runs: Sequence[Run]) -> dict[tuple[int, int], Tensor]:
    pools = {run.lane.pool for run in runs}
    return {(pool.capacity, n): tensor.clone() for pool in pools for n, tensor in enumerate((*pool.keys, *pool.values))}


LANES = st.lists(
    st.tuples(st.sampled_from(CAPACITIES), st.integers(0, 40), st.integers(1, SHORT), st.booleans()),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=60)
@given(LANES)
def test_a_static_step_attends_and_writes_as_a_pack_does_and_touches_nothing_else(
    lanes: list[tuple[int, int, int, bool]],
) -> None:
    outputs, stored = [], []
    for how in ("masked", "fused", "static"):
        _, runs, _ = _world(lanes)
        pack = Pack(runs, SHAPE, fuse=how == "fused")
        if how == "static":
            kind = Kind.of(pack)
            assert kind is not None
            step = StaticStep(kind, SHAPE)
            for _ in range(2):  # filled again, nothing of the first time is left
                step.fill(pack)
                outputs.append(step.run(_attended(step, SHAPE.head_size))[: len(pack.wanted_rows)])
        else:
            outputs.append(_attended(pack, SHAPE.head_size)(pack)[: len(pack.wanted_rows)])  # type: ignore[arg-type]
        stored.append(_tensors(runs))
    for other in outputs[1:]:
        torch.testing.assert_close(outputs[0], other, atol=1e-5, rtol=1e-4)
    for other_store in stored[1:]:
        assert all(torch.equal(other_store[place], tensor) for place, tensor in stored[0].items())


def test_packs_that_need_more_than_short_runs_and_one_prefix_have_no_kind() -> None:
    _, runs, prefix = _world([(64, 3, 1, True), (64, 3, 1, True), (64, 3, SHORT + 1, False)])
    other = Prefix(prefix.ids, prefix.keys, prefix.values)
    assert Kind.of(Pack(runs[:2], SHAPE)) is not None
    assert Kind.of(Pack(runs, SHAPE)) is None
    assert Kind.of(Pack([runs[0], replace(runs[1], prefix=other)], SHAPE)) is None
    assert Kind.of(Pack([runs[0]] * (MOST_ROWS + 1), SHAPE)) is None


def _kind(pool: Pool, cache: Cache, prefix: Prefix | None = None) -> Kind | None:
    lane = cache.allocate(pool.capacity)
    assert lane is not None
    kind = Kind.of(Pack([Run([1], 0, lane, prefix, 1)], SHAPE))
    cache.free(lane)
    return kind


def test_a_kind_is_no_longer_the_same_when_pools_or_prefixes_are_others() -> None:
    cache, runs, prefix = _world([(64, 0, 1, True)])
    pool = runs[0].lane.pool
    cache.free(runs[0].lane)
    first, behind = _kind(pool, cache), _kind(pool, cache, prefix)
    assert first == _kind(pool, cache)
    assert first != behind == _kind(pool, cache, prefix)
    pool.grow(2)
    grown = _kind(pool, cache)
    pool.shrink()
    assert first is not None
    assert behind is not None
    assert not first.fresh
    assert len({first, grown, _kind(pool, cache)}) == 3
    fresh = _kind(pool, cache, prefix)
    assert fresh is not None
    assert fresh.fresh
    del runs, prefix
    assert not fresh.fresh


def _packs(count: int) -> list[Pack]:
    """Packs of different kinds."""
    _, runs, _ = _world([(64, 3, 1, False)] * (64 * (count + 1)))
    return [Pack(runs[: 64 * number], SHAPE) for number in range(1, count + 1)]


def test_a_kind_is_recorded_when_it_comes_again_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractor.engine.cuda_graphs._GRAPHS", 2)
    watched = Watched()
    graphs = Graphs(lambda step: step.ids.float(), SHAPE, watched)
    one, two, three = _packs(3)
    assert graphs.forward(one) is None
    for pack in (one, one, two, two, one, three, three, one):
        graphs.forward(pack)
    assert watched.recorded == 3
    assert graphs.forward(two) is None  # it was dropped, and begins anew
    assert graphs.forward(two) is not None
    assert watched.recorded == 4
    graphs.drop()
    assert graphs.forward(one) is None


def test_what_cannot_be_captured_goes_on_without_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Record:
        def record(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            raise RuntimeError("operation not permitted when stream is capturing")

        return record

    requests = [request(text, constrain=True) for text in (*TEXTS, *MANY)]
    with caplog.at_level(logging.WARNING):
        answers = answer_all(requests, Limits(1, 512, 0), recorder=broken)
    assert [answer.ids for answer in answers] == [plain(each)[0] for each in requests]
    assert caplog.text.count("not captured") == 1


@pytest.mark.usefixtures("eager_to_capture")
def test_out_of_memory_while_capturing_drops_all_graphs_and_halves_the_batch() -> None:
    recorders = 0

    def narrow() -> Record:
        nonlocal recorders
        recorders += 1
        room = 3

        def record(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            nonlocal room
            room -= 1
            if not room and recorders < 4:
                try:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                finally:  # as the end of a capture that broke off does
                    raise RuntimeError("capture invalidated")
            return compute

        return record

    requests = [request(text, constrain=True) for text in TEXTS]
    answers = answer_all(requests, recorder=narrow)
    assert [answer.ids for answer in answers] == [plain(each)[0] for each in requests]
    assert recorders >= 2
