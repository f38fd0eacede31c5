"""A plan counts what a run would do, and its estimate is the measured speed times what there is to do."""

import json
import time

import pytest

from extractor.backends import scripted
from extractor.config import RunConfig
from extractor.data import Completion, Document, FailedDocument, Prompt, Source, Usage
from extractor.errors import Problem
from extractor.estimate import Plan, Probe, SplitDocument, estimate, probe, survey
from extractor.pipeline import Pipeline
from extractor.task.task import load_task
from tests.builders import STRING, a_document, a_task

TASK = load_task("contact")


def _pipeline(context: int = 2_000) -> Pipeline:
    return Pipeline(TASK, scripted.Backend(context=context), RunConfig(max_tokens=100))


def _row(number: int, text: str) -> Document:
    return Document(f"rows.jsonl#{number}", text, Source(f"rows.jsonl#{number}", "", "gb18030", len(text)))


def test_everything_is_counted() -> None:
    unreadable = FailedDocument("b.bin", Source("b.bin", ""), Problem("binary", "not text"))
    documents = [a_document("手机号", "a.txt"), unreadable, _row(1, "一"), _row(2, "二三")]
    plan = survey(documents, _pipeline())
    assert plan.files == {".txt": 1, ".bin": 1, ".jsonl": 1}
    assert plan.encodings == {"utf-8": 1, "gb18030": 2}
    assert (plan.documents, plan.unreadable, plan.lengths) == (4, [unreadable], [3, 1, 2])
    assert (plan.tokens, plan.prompts, plan.split) == (6, 3, [])


def test_the_tokens_of_prompts_are_those_that_the_backend_is_asked_with() -> None:
    pipeline = _pipeline()
    document = a_document("手机号：13800000000")
    (prompt,) = pipeline.prompts(document)
    assert survey([document], pipeline).prompt_tokens == pipeline.prompter.size(prompt)
    assert pipeline.prompter.size(prompt) >= sum(len(message.content) for message in prompt.messages)


def test_documents_that_do_not_fit_are_named_with_their_chunks_longest_first() -> None:
    pipeline = _pipeline(context=600)
    texts = {"short": "短文。", "long": "很长的文本。" * 300, "longest": "很长的文本。" * 900}
    plan = survey((a_document(text, name) for name, text in texts.items()), pipeline)
    expected = {name: len(pipeline.prompts(a_document(text))) for name, text in texts.items()}
    assert [each.id for each in plan.split] == ["longest", "long"]
    assert plan.split[1] == SplitDocument("long", 1800, expected["long"])
    assert plan.prompts == sum(expected.values())


def test_the_sample_is_drawn_evenly_from_all_prompts() -> None:
    documents = [a_document(str(number), str(number)) for number in range(400)]
    plans = [survey(documents, _pipeline(), sample=20, seed=seed) for seed in range(10)]
    drawn = [int(prompt.chunk.document.id) for plan in plans for prompt in plan.sample]
    assert len(drawn) == 200
    assert all(len({prompt.chunk.document.id for prompt in plan.sample}) == 20 for plan in plans)
    assert 60 <= sum(number < 200 for number in drawn) <= 140


def test_the_estimate_is_the_measured_speed_times_what_there_is_to_do() -> None:
    """Measured: 10 prompts with 1,000 tokens read and 200 written in 2 s. To do: 300 prompts, 40,000 tokens to read
    and 300 * 20 to write, so 46,000 tokens at 600 a second."""
    plan = Plan(prompts=300, prompt_tokens=40_000)
    assert estimate(plan, Probe(10, 1_200, 200, 2.0, loading=3.0)) == pytest.approx(3 + 46_000 / 600)


def _slow(prompt: Prompt) -> Completion:
    time.sleep(0.01)
    return Completion(prompt, "{}", usage=Usage(100, 20))


def test_a_probe_measures_what_the_backend_takes_and_leaves_nothing_in_flight() -> None:
    pipeline = _pipeline()
    prompts = survey([a_document(str(number)) for number in range(30)], pipeline, sample=30).sample
    backend = scripted.Backend(answer=_slow, batch=4)
    measured = probe(backend, prompts, seconds=20)
    assert (measured.prompts, measured.tokens, measured.written) == (29, 29 * 120, 29 * 20)
    assert measured.seconds >= 0.29
    assert backend.collect() == []
    assert estimate(Plan(prompts=290, prompt_tokens=29_000), measured) >= 2.9


def test_a_probe_ends_soon_after_its_time_and_counts_what_was_done() -> None:
    prompts = survey([a_document(str(number)) for number in range(500)], _pipeline(), sample=500).sample
    began = time.perf_counter()
    measured = probe(scripted.Backend(answer=_slow, batch=2), prompts, seconds=0.3)
    assert time.perf_counter() - began < 5
    assert 0 < measured.prompts < 100


def test_one_prompt_that_takes_all_the_time_is_the_measure() -> None:
    prompts = survey([a_document(str(number)) for number in range(5)], _pipeline(), sample=5).sample
    measured = probe(scripted.Backend(answer=_slow, batch=1), prompts, seconds=0.005)
    assert (measured.prompts, measured.tokens) == (1, 120)


def test_groups_and_passes_are_counted_as_a_run_then_asks_them() -> None:
    properties = {f"字段{number:02d}": STRING for number in range(30)}
    documents = [a_document("字段。" * 10, "short"), a_document("字段。" * 900, "long")]
    backend = scripted.Backend(answer=_something_new, context=3_000)
    pipeline = Pipeline(a_task(**properties), backend, RunConfig(max_tokens=400, passes=3))
    plan = survey(documents, pipeline)
    records = list(pipeline.run(documents))
    assert (plan.groups, plan.passes) == (2, 3)
    assert {record.id: record.provenance.chunks for record in records} == {"short": 1, "long": plan.split[0].chunks}
    assert plan.prompts == backend.submitted == sum(record.attempts for record in records)
    assert plan.as_json()["groups"] == 2


def _something_new(prompt: Prompt) -> str:
    """Each pass finds one field more."""
    names = [field.name for field in prompt.task.fields]
    return json.dumps({names[prompt.pass_number - 1]: "字段"}, ensure_ascii=False)
