"""What only a GPU can show: the same tokens in float32, captured steps beside eager ones, int8 and int4."""

import json
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from extractor.chatglm3.checkpoint import load_parameters
from extractor.engine.batch import Batch, Segment
from extractor.engine.cuda_graphs import CudaCapture, CudaGraphs, NewCapture
from extractor.engine.engine import Engine, SchedulerConfig
from extractor.engine.kv_cache import KVCache
from extractor.engine.model_runner import ModelRunner
from extractor.engine.sampler import unpack_bits
from tests.engine.answering import CHECKPOINT, CONFIG, TOKENIZER, plain, request, run
from tests.engine.test_engine import MANY, TEXTS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

DEVICE = torch.device("cuda", 0)


def _runner(precision: str) -> ModelRunner:
    return ModelRunner(load_parameters(CHECKPOINT, precision, "cuda:0"))


@pytest.fixture
def eager_to_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaGraphs, "_was_seen", lambda *_: True)


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize("config", [CONFIG, SchedulerConfig(3, 48, 32)], ids=["usual", "small steps"])
@pytest.mark.parametrize("new_capture", [None, partial(CudaCapture, DEVICE)], ids=["eager", "captured"])
def test_the_gpu_gives_the_same_tokens_in_float32(new_capture: NewCapture | None, config: SchedulerConfig) -> None:
    there = Engine(_runner("float32"), TOKENIZER.stop_ids, config, 2**30, new_capture)
    requests = [request(text, constrain=constrain) for text in (*TEXTS, *MANY) for constrain in (True, False)]
    keys = [there.add(each) for each in requests]
    answers = run(there)
    there.close()
    assert [answers[key].ids for key in keys] == [plain(each)[0] for each in requests]


def _steps(cache: KVCache) -> list[list[Segment]]:
    """Three prompts, then decode steps with segments of one to six tokens."""
    prompts = [TOKENIZER.chat_prompt([{"role": "user", "content": text}]) for text in TEXTS[:3]]
    slots = [cache.allocate(len(ids) + 60) for ids in prompts]
    starts = [0] * 3
    steps = []
    for width in (0, 1, 3, 6, 1, 2):
        segments = []
        for number, slot in enumerate(slots):
            assert slot is not None
            ids = prompts[number][5 : 5 + width] if width else prompts[number]
            segments.append(Segment(ids, starts[number], slot, None, min(2, len(ids))))
            starts[number] += len(ids)
        steps.append(segments)
    return steps


@pytest.mark.usefixtures("eager_to_capture")
@pytest.mark.parametrize(
    ("precision", "rounding"), [("bfloat16", 0.03), ("float16", 0.01), ("int8", 0.1), ("int4", 0.1)]
)
@torch.inference_mode()
def test_a_captured_step_gives_what_an_eager_one_gives(precision: str, rounding: float) -> None:
    """But for rounding: other kernels multiply steps of other sizes. Wrong attention would differ by 1."""
    runner = _runner(precision)
    graphs = CudaGraphs(runner.forward_static, runner.kv_shape, partial(CudaCapture, DEVICE))
    captured = 0
    for segments in _steps(KVCache(runner.kv_shape, 2**26)) * 2:  # the second time, graphs are replayed
        batch = Batch(segments, runner.kv_shape)
        rows = len(batch.logits_row_list)
        expected = runner.forward(batch)[:rows].clone()
        found = graphs.forward(batch)
        if found is not None:
            captured += 1
            assert _difference(found[:rows], expected) < rounding
    assert captured == 10


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).norm() / other.float().norm())


@pytest.mark.parametrize("precision", ["half", "bfloat16", "int8", "int4"])
def test_constrained_answers_are_json_of_the_schema_and_verbatim(precision: str) -> None:
    texts: Sequence[str] = (*TEXTS[:3], *MANY)
    engine = Engine(_runner(precision), TOKENIZER.stop_ids, CONFIG, 2**28)
    keys = [engine.add(request(text, constrain=True, max_tokens=2000)) for text in texts]
    answers = run(engine)
    engine.close()
    for key, text in zip(keys, texts, strict=True):
        assert answers[key].finish == "stop"
        data = json.loads(TOKENIZER.decode(answers[key].ids))
        assert list(data) == ["手机号", "邮箱", "账号", "密码"]
        assert all(value is None or (value and value in text) for value in data.values())


@pytest.mark.usefixtures("eager_to_capture")
def test_graphs_survive_pools_that_grow_and_shrink_and_memory_that_runs_out() -> None:
    """In float32, where the tokens must be those of plain decoding."""
    engine = Engine(_runner("float32"), TOKENIZER.stop_ids, CONFIG, 3 * 2**20, partial(CudaCapture, DEVICE))
    requests = [request(text, constrain=False) for text in (*TEXTS, *MANY)]
    keys = [engine.add(each) for each in requests]
    answers, steps = {}, 0
    while engine.busy:
        answers.update(engine.step())
        steps += 1
        if steps == 10:
            engine._shrink_batch()
    engine.close()
    assert [answers[key].ids for key in keys] == [plain(each)[0] for each in requests]


def test_masks_are_unpacked_on_the_gpu() -> None:
    octets = torch.randint(0, 256, (5, 125), dtype=torch.uint8)
    assert torch.equal(unpack_bits(octets.to(DEVICE), 960).cpu(), unpack_bits(octets, 960))
