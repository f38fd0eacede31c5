"""The engine's answers are those of plain decoding, whatever runs beside them, on a real (tiny, random) model."""

import gc
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from weakref import ref

import pytest
import torch

from extractor.chatglm3.checkpoint import load_parameters
from extractor.data import Sampling
from extractor.engine import platforms
from extractor.engine.batch import Batch
from extractor.engine.constraint import Constraint, Propose, TokenBitmask
from extractor.engine.cuda_graphs import NewCapture, no_capture
from extractor.engine.engine import Engine, Request, SchedulerConfig
from extractor.engine.kv_cache import KVCache
from extractor.engine.model_runner import ModelRunner
from extractor.engine.scheduler import Scheduler
from extractor.engine.speculation import Draft
from extractor.kernels import processor
from extractor.kernels.processor import Level
from extractor.task.task import Task, make_task
from tests.engine.answering import CHECKPOINT, CONFIG, CONTACT, TOKENIZER, answer_all, plain, request, run, runner

TEXTS = [
    "短",
    "手机号18888888888 邮箱123456789@qq.com",
    "账号:root 密码:xiaohua123\n" * 20,
    "General Language Model " * 60,
    "订单号：CK-5518-204，金额：742.30。",
]
PREFIX = "从下面的文字中提取信息，只输出文字中有的内容，不要解释，也不要补充，没有的写 null。\n" * 3
MANY = [PREFIX + TEXTS[number % 5] + str(number) for number in range(12)]
FREE = make_task(
    {
        "properties": {
            "备注": {"type": "string", "x-ground": "none", "maxLength": 6},
            "数": {"type": "integer", "maximum": 99},
        }
    }
)
CONSTANT = make_task({"properties": {"备注": {"const": None}}, "required": ["备注"]})


def _tokens_read(engine: Engine) -> int:
    return engine.statistics.prefill_tokens + engine.statistics.decode_tokens


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
def test_answers_are_token_for_token_those_of_plain_decoding(config: SchedulerConfig, constrain: bool) -> None:
    requests = [request(text, constrain=constrain) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, config)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


def test_a_schema_without_verbatim_fields_is_decoded_like_plain_decoding_too() -> None:
    requests = [request(text, constrain=True, task=FREE) for text in TEXTS]
    answers = answer_all(requests)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


def test_probabilities_do_not_depend_on_the_batch() -> None:
    requests = [request(text, constrain=True) for text in TEXTS]
    together = answer_all(requests, SchedulerConfig(64, 512, 640))
    for one, each in zip(together, requests, strict=True):
        (other,) = answer_all([each], SchedulerConfig(1, 512, 0))
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_greedy_answers_are_those_of_the_reference() -> None:
    reference = json.loads((CHECKPOINT / "reference.json").read_text("utf-8"))
    requests = [
        replace(request("", constrain=False), ids=tuple(c["input_ids"]), max_tokens=32) for c in reference["cases"]
    ]
    answers = answer_all(requests, stop_ids=reference["eos_ids"])
    for case, answer in zip(reference["cases"], answers, strict=True):
        ended = case["greedy_32"][-1] in reference["eos_ids"]
        assert answer.ids == (case["greedy_32"][:-1] if ended else case["greedy_32"])
        assert answer.finish == ("stop" if ended else "length")


@pytest.mark.parametrize("beside", [0, 32])
def test_the_first_answer_does_not_wait_until_the_prompts_after_it_are_read(beside: int) -> None:
    config = SchedulerConfig(64, 512, 32, beside)
    engine = Engine(runner(), TOKENIZER.stop_ids, config, 2**30)
    texts = [f"{number} General Language Model " * 60 for number in range(12)]
    requests = [request(text, constrain=False, max_tokens=8) for text in texts]
    first, *_ = [engine.add(each) for each in requests]
    ended: list[tuple[int, object]] = []
    while not ended:
        ended = list(engine.step())
    read, steps = _tokens_read(engine), engine.statistics.steps
    everything = sum(len(each.ids) for each in requests)
    run(engine)
    engine.close()
    assert [key for key, _ in ended] == [first]
    assert read <= len(requests[0].ids) + (beside + 16) * steps
    assert read < everything / 4


def test_a_long_first_answer_keeps_the_prompts_after_it_waiting_for_some_steps_only() -> None:
    engine = Engine(runner(), [], SchedulerConfig(64, 512, 32), 2**30)  # no stop ids: answers go on to their limit
    texts = [f"{number} General Language Model " * 100 for number in range(12)]
    requests = [request(text, constrain=False, max_tokens=200) for text in texts]
    keys = [engine.add(each) for each in requests]
    while _tokens_read(engine) < len(requests[0].ids):
        assert not engine.step()
    read = [0]
    while read[-1] < 400:
        before = _tokens_read(engine)
        assert not engine.step()
        read.append(_tokens_read(engine) - before)
    answers = run(engine)
    engine.close()
    assert set(answers) == set(keys)
    assert 40 < len(read) < 60


def test_a_constrained_answer_of_a_random_model_is_json_of_the_schema_and_verbatim() -> None:
    requests = [request(text, constrain=True, max_tokens=2000) for text in TEXTS[:3]]
    for text, answer in zip(TEXTS, answer_all(requests), strict=False):
        assert answer.finish == "stop"
        data = json.loads(TOKENIZER.decode(answer.ids))
        assert list(data) == ["手机号", "邮箱", "账号", "密码"]
        assert all(value is None or (value and value in text) for value in data.values())


def test_forced_tokens_are_certain_canonical_and_cost_no_step_of_their_own() -> None:
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(1, 512, 0), 2**30)
    engine.add(request(TEXTS[1], constrain=True))
    (answer,) = run(engine).values()
    engine.close()
    skeleton = TOKENIZER.encode_continuation(' {"手机号": ')
    shared = next(place for place, token in enumerate(skeleton) if answer.ids[place] != token)
    assert shared >= len(skeleton) - 1  # the last may be written together with what follows
    assert answer.logprobs[:shared] == [0.0] * shared
    assert engine.statistics.steps == engine.statistics.sampled_tokens < len(answer.ids)


def test_copied_text_is_drafted_and_accepted_in_fewer_steps_with_the_same_answer() -> None:
    text = "编号ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    only = make_task({"properties": {"x": {"type": "string", "pattern": "^A[A-Z]{20}$"}}, "required": ["x"]})
    steps = []
    for speculative_rows in (0, 32):
        engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(1, 512, speculative_rows), 2**30)
        engine.add(request(text, constrain=True, task=only))
        (answer,) = run(engine).values()
        engine.close()
        steps.append((engine.statistics.steps, TOKENIZER.decode(answer.ids)))
    assert steps[0][1] == steps[1][1]
    assert steps[1][0] <= steps[0][0]


def test_the_shared_prefix_is_prefilled_once() -> None:
    requests = [request(text, constrain=False, max_tokens=1) for text in MANY]
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, 2**30)
    for each in requests:
        engine.add(each)
    run(engine)
    engine.close()
    shared = len(TOKENIZER.encode(PREFIX))
    everything = sum(len(each.ids) for each in requests)
    assert _tokens_read(engine) < everything - (len(MANY) - 1) * (shared - 8)


def test_a_retry_prefills_only_what_is_new_in_its_prompt() -> None:
    first = request(TEXTS[2], constrain=False, max_tokens=4)
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(64, 512, 0), 2**30)
    engine.add(first)
    run(engine)
    before = _tokens_read(engine)
    retry = replace(first, ids=(*first.ids[:-1], *TOKENIZER.encode("请再试一次")))
    engine.add(retry)
    (answer,) = run(engine).values()
    engine.close()
    assert _tokens_read(engine) - before < 24
    assert answer.ids == plain(retry)[0]


@pytest.mark.parametrize("kibibytes", [1700, 2000, 2600])
def test_a_cache_that_holds_few_sequences_preempts_them_and_gives_the_same_answers(kibibytes: int) -> None:
    requests = [request(text, constrain=True, max_tokens=120) for text in (*TEXTS, *MANY)]
    answers = answer_all(requests, cache_bytes=kibibytes * 1024)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


def test_the_cache_stays_within_its_budget() -> None:
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, 1700 * 1024)
    for text in (*TEXTS, *MANY) * 2:
        engine.add(request(text, constrain=True, max_tokens=200))
    while engine.busy:
        engine.step()
        assert engine.cache_bytes <= 1700 * 1024
    engine.close()


def test_a_sequence_that_does_not_fit_into_the_cache_ends_and_the_others_continue() -> None:
    requests = [request(text, constrain=False, max_tokens=8) for text in ("短", "长" * 3000, TEXTS[1])]
    answers = answer_all(requests, cache_bytes=300 * 1024)
    assert [answer.finish for answer in answers] == ["length", "memory", "length"]


def test_an_output_is_not_lost_when_its_step_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, 300 * 1024)
    key = engine.add(request("长" * 3000, constrain=False))
    with monkeypatch.context() as scarce:
        scarce.setattr(Scheduler, "schedule", _raise_out_of_memory)
        outputs = dict(engine.step())
    engine.close()
    assert outputs[key].finish == "memory"


def _raise_out_of_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def _prompt(length: int, seed: int, begin: Sequence[int] = ()) -> tuple[int, ...]:
    """Return random tokens after those that it begins with."""
    drawn = torch.randint(100, 900, (length - len(begin),), generator=torch.Generator().manual_seed(seed))
    return (*begin, *drawn.tolist())


def _cache_bytes(tokens: int) -> int:
    return tokens * runner().kv_shape.token_bytes


def test_an_answer_that_outgrows_its_slot_continues_in_a_cache_without_room_for_two_slots() -> None:
    long = Request(_prompt(50, 1), 120)
    (answer,) = answer_all([long], cache_bytes=_cache_bytes(256 + 64))
    assert (answer.ids, answer.finish) == plain(long)
    assert len(long.ids) + len(answer.ids) > 112


def test_a_retry_in_a_slot_too_small_for_it_continues_in_a_cache_without_room_for_two_slots() -> None:
    first = Request(_prompt(100, 0), 4)
    retry = Request(_prompt(300, 2, first.ids), 4)
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, _cache_bytes(512 + 64))
    engine.add(first)
    run(engine)
    engine.add(retry)
    (answer,) = run(engine).values()
    engine.close()
    assert (answer.ids, answer.finish) == plain(retry)


def test_no_prefix_is_prefilled_where_sequences_fit_into_the_cache_only_without_it() -> None:
    prefix = _prompt(300, 5)
    requests = [Request(_prompt(950, seed, prefix), 5) for seed in range(3)]
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, _cache_bytes(1100))
    keys = [engine.add(each) for each in requests]
    answers = run(engine)
    engine.close()
    assert [(answers[key].ids, answers[key].finish) for key in keys] == [plain(each) for each in requests]
    assert engine.statistics.prefill_tokens <= 3 * 950


def test_a_prefix_of_others_is_given_up_where_a_sequence_fits_into_the_cache_only_without_it() -> None:
    prefix = _prompt(300, 5)
    requests = [Request(_prompt(length, length, prefix), 5) for length in (340, 350, 950)]
    answers = answer_all(requests, cache_bytes=_cache_bytes(1100))
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


@pytest.mark.parametrize(("max_tokens", "finish"), [(18, "length"), (40, "memory")])
def test_a_sequence_runs_without_room_for_a_usual_answer(max_tokens: int, finish: str) -> None:
    """The longer answer is not complete: the cache has no room for that."""
    long = Request(_prompt(990, 4), max_tokens)
    (answer,) = answer_all([long], SchedulerConfig(64, 512, 0), _cache_bytes(1100))
    assert answer.finish == finish
    assert answer.ids[:18] == plain(replace(long, max_tokens=18))[0]


def test_a_preempted_sequence_needs_room_only_for_the_rest_of_its_answer() -> None:
    """Prompt and answer fill the only slot of the cache, with the room that a draft takes."""
    usual = Request(_prompt(970, 4), 38)
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(64, 512, 0), _cache_bytes(1024 + 64))
    engine.add(usual)
    for _ in range(22):
        engine.step()
    engine._scheduler.preempt_all()
    (sequence,) = engine._scheduler.waiting
    assert 0 < sequence.tokens_left < 20
    engine._scheduler.admit()
    assert engine._scheduler.running == [sequence]
    (answer,) = run(engine).values()
    engine.close()
    assert (answer.ids, answer.finish) == plain(usual)


@pytest.mark.parametrize("lacking", ["forward", "store_prefix"])
def test_sequences_do_without_a_prefix_for_which_memory_runs_out(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried again, and no slot is lost."""
    forward, failed = ModelRunner.forward, list[str]()

    def fail(*_: object) -> None:
        failed.append(lacking)
        _raise_out_of_memory()

    def forward_but_prefixes(self: ModelRunner, batch: Batch) -> torch.Tensor:
        if not any(segment.num_logits for segment in batch.segments):
            fail()
        return forward(self, batch)

    if lacking == "forward":
        monkeypatch.setattr(ModelRunner, "forward", forward_but_prefixes)
    else:
        monkeypatch.setattr(KVCache, "store_prefix", fail)
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(1, 512, 0), 2**30)
    requests = [request(text, constrain=False, max_tokens=2) for text in (*MANY[:2], *MANY[4:7])]
    keys = [engine.add(each) for each in requests]
    answers = run(engine)
    engine.close()
    engine._scheduler.preempt_all()
    assert [(answers[key].ids, answers[key].finish) for key in keys] == [plain(each) for each in requests]
    assert len(failed) == 1
    assert not any(pool.in_use for pool in engine._scheduler.kv_cache._pools.values())


@pytest.mark.parametrize("place", ["forward", "batch"])
def test_a_constraint_is_used_by_one_thread_at_a_time_even_after_out_of_memory(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    masking, overlaps, failed = threading.Event(), list[bool](), list[bool]()
    forward, init, masks, draft = ModelRunner.forward, Batch.__init__, Constraint.masks, Constraint.draft

    def fail_once() -> None:
        if not failed:
            failed.append(True)
            _raise_out_of_memory()

    def scarce_forward(self: ModelRunner, batch: Batch) -> torch.Tensor:
        fail_once()
        return forward(self, batch)

    def scarce_batch(self: Batch, *arguments: object) -> None:
        fail_once()
        init(self, *arguments)  # type: ignore[arg-type]

    def slow_masks(self: Constraint, draft: Draft = ()) -> TokenBitmask:
        masking.set()
        time.sleep(0.02)
        bitmask = masks(self, draft)
        masking.clear()
        return bitmask

    def watched_draft(self: Constraint, propose: Propose, max_tokens: int) -> list[list[int]]:
        overlaps.append(masking.is_set())
        return draft(self, propose, max_tokens)

    if place == "forward":
        monkeypatch.setattr(ModelRunner, "forward", scarce_forward)
    else:
        monkeypatch.setattr(Batch, "__init__", scarce_batch)
    monkeypatch.setattr(Constraint, "masks", slow_masks)
    monkeypatch.setattr(Constraint, "draft", watched_draft)
    # A prompt as short as a draft: it is drafted for in the very step after out of memory.
    short = replace(request(TEXTS[1], constrain=True, max_tokens=20), ids=_prompt(3, 0))
    (answer,) = answer_all([short])
    assert failed
    assert overlaps
    assert not any(overlaps)
    assert answer.finish == "length"


def test_a_preempted_sequence_holds_neither_slot_nor_prefix() -> None:
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, 2**30)
    for text in MANY:
        engine.add(request(text, constrain=False))
    engine.step()
    running = list(engine._scheduler.running)
    assert all(each.slot and each.prefix and each.num_cached for each in running)
    engine._scheduler.preempt_all()
    engine.close()
    assert {(each.slot, each.prefix, each.num_cached) for each in running} == {(None, None, 0)}
    assert not any(pool.in_use for pool in engine._scheduler.kv_cache._pools.values())


@pytest.mark.parametrize(
    ("task", "max_tokens", "finish"),
    [(CONTACT, 1, "length"), (CONTACT, 3, "length"), (CONSTANT, 60, "stop")],
    ids=["one token", "a few tokens", "constant schema"],
)
def test_an_answer_that_is_all_forced_costs_no_forward_pass(task: Task, max_tokens: int, finish: str) -> None:
    forced = request(TEXTS[1], constrain=True, max_tokens=max_tokens, task=task)
    other = request(TEXTS[3], constrain=False, max_tokens=2)
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(64, 512, 0), 2**30)
    keys = [engine.add(each) for each in (forced, other, forced)]
    answers = run(engine)
    engine.close()
    assert [(answers[key].ids, answers[key].finish) for key in keys] == [
        plain(each) for each in (forced, other, forced)
    ]
    assert answers[keys[0]].finish == finish
    assert _tokens_read(engine) <= len(other.ids) + 2


def test_sampling_depends_on_its_seed_and_on_nothing_else() -> None:
    other = request(TEXTS[3], constrain=False)
    (alone,) = answer_all([request(TEXTS[1], constrain=False, sampling=Sampling(1.5, 7))])
    _, beside = answer_all([other, request(TEXTS[1], constrain=False, sampling=Sampling(1.5, 7))])
    (different,) = answer_all([request(TEXTS[1], constrain=False, sampling=Sampling(1.5, 8))])
    assert alone.ids == beside.ids
    assert alone.ids != different.ids


def test_a_constrained_sample_does_not_depend_on_what_the_others_may_write() -> None:
    """Beside other documents the logits have columns for their tokens as well."""
    asked = [request(text, constrain=True, sampling=Sampling(1.5, seed)) for seed, text in enumerate(TEXTS)]
    alone = [answer_all([each])[0].ids for each in asked]
    assert [answer.ids for answer in answer_all(asked)] == alone


@pytest.mark.parametrize("most", [1, 3, 20])
def test_an_answer_that_reaches_its_limit_of_tokens_says_so(most: int) -> None:
    (answer,) = answer_all([request(TEXTS[1], constrain=True, max_tokens=most)])
    assert (answer.finish, len(answer.ids), len(answer.logprobs)) == ("length", most, most)


def test_out_of_memory_halves_the_batch_and_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ModelRunner.forward

    def scarce(self: ModelRunner, batch: object) -> torch.Tensor:
        if len(batch.segments) > 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, batch)  # type: ignore[arg-type]

    requests = [request(text, constrain=True) for text in TEXTS]
    monkeypatch.setattr(ModelRunner, "forward", scarce)
    answers = answer_all(requests)
    assert [(answer.ids, answer.finish) for answer in answers] == [plain(each) for each in requests]


@pytest.mark.parametrize("new_capture", [None, no_capture])
def test_an_engine_without_references_is_freed_at_once(new_capture: NewCapture | None) -> None:
    """With its model and its cache, whose memory is needed right then."""
    engine = Engine(runner(), TOKENIZER.stop_ids, CONFIG, 2**28, new_capture)
    for text in MANY:
        engine.add(request(text, constrain=True, max_tokens=20))
    run(engine)
    engine.close()
    engines, caches = ref(engine), ref(engine._scheduler.kv_cache)
    gc.disable()
    try:
        del engine
        assert (engines(), caches()) == (None, None)
    finally:
        gc.enable()


def test_an_error_other_than_out_of_memory_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: ModelRunner, batch: object) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(ModelRunner, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        answer_all([request("x", constrain=False)])


def test_a_prompt_that_continues_one_just_answered_prefills_only_what_is_new() -> None:
    """A retry or a further pass: it is first in the queue, and its constraint may still be in the making."""
    texts = [f"{number} " + "手机号18888888888 邮箱123456789@qq.com " * 12 for number in range(9)]
    engine = Engine(runner(), TOKENIZER.stop_ids, SchedulerConfig(3, 512, 32), 2**30)
    first = {engine.add(request(text, constrain=True)): text for text in texts}
    further: dict[int, str] = {}
    answers = {}
    while engine.busy:
        for key, answer in engine.step():
            answers[key] = answer
            if key in first:
                text = first[key] + "再找一遍"
                further[engine.add(request(text, constrain=True))] = text
    engine.close()
    expected = [plain(request(text, constrain=True)) for text in further.values()]
    assert [(answers[key].ids, answers[key].finish) for key in further] == expected
    once = sum(len(request(text, constrain=True).ids) for text in texts)
    written = sum(len(answer.ids) for answer in answers.values())
    assert _tokens_read(engine) < 1.2 * once + written + engine.statistics.draft_tokens * 8


@pytest.mark.parametrize("together", [True, False], ids=["beside it", "after it"])
def test_a_prompt_whose_numbers_are_none_ends_so_and_spoils_no_other(together: bool) -> None:
    """A token with an infinite embedding stands for a number that a precision cannot hold.

    The other prompt shares most of its tokens, so after the first it would take over its slot.
    """
    shared = "甲方与乙方就本合同的履行达成如下补充约定，" * 4
    bad, good = (request(shared + end, constrain=False, max_tokens=12) for end in ("手机号18888888888", "邮箱，地址"))
    broken = ModelRunner(load_parameters(CHECKPOINT, "float32", "cpu"))
    broken._embedding[next(each for each in bad.ids[::-1] if each not in good.ids)] = torch.inf
    engine = Engine(broken, TOKENIZER.stop_ids, SchedulerConfig(64, 512, 32), 2**30)
    first = engine.add(bad)
    answers = {} if together else run(engine)
    second = engine.add(good)
    answers |= run(engine)
    engine.close()
    assert (answers[first].ids, answers[first].finish) == ([], "numerics")
    assert (answers[second].ids, answers[second].finish) == plain(good)


@pytest.mark.parametrize(("level", "tokens"), [(Level.AVX2, 0), (Level.BF16, 0), (Level.AMX, 32)])
def test_prompts_are_read_beside_the_first_answer_where_products_of_few_rows_cost_little(
    level: Level, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "level", lambda: level)
    assert platforms.tokens_beside_first(torch.device("cpu")) == tokens
