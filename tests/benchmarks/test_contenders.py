"""Contenders really answer: each on a small random model, as in a round but without a process of its own."""

from pathlib import Path

import pytest
import torch

from benchmarks import contenders, workload
from benchmarks.contenders.__main__ import run
from benchmarks.contenders.job import Job, Report
from benchmarks.rounds import Bench


@pytest.fixture(scope="module")
def job(checkpoint: Path) -> Job:
    torch.set_num_threads(1)
    return Bench(checkpoint, checkpoint, "float32").job(workload.documents(5))


@pytest.mark.parametrize("name", ["book-float32", "batches-16", "ours-free"])
def test_without_a_constraint_answers_run_into_their_limit(name: str, job: Job) -> None:
    report = run(name, job)
    assert report.documents == 5
    assert report.prompt_tokens == sum(len(item.ids) for item in job.items)
    assert 5 <= report.tokens <= 5 * workload.FREE_TOKENS
    assert 0 < (report.first or 0) <= report.seconds


@pytest.mark.parametrize("name", ["ours-schema", "ours-verbatim", "ours-alone"])
def test_with_a_constraint_every_answer_is_an_object(name: str, job: Job) -> None:
    report = run(name, job)
    assert (report.documents, report.objects) == (5, 5)
    assert report.prompt_tokens == sum(len(item.ids) for item in job.items)


def test_job_and_report_survive_the_way_between_processes(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "job.json")
    read = Job.read(tmp_path / "job.json")
    assert [tuple(item.ids) for item in read.items] == [item.ids for item in job.items]
    assert (read.schema, read.longest) == (job.schema, job.longest)
    report = Report(3, 1.5, 2.0, None, 0.01, 2**30, 100, 20, 3)
    report.write(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == report


def test_every_contender_has_a_name_and_the_slow_ones_a_limit() -> None:
    assert {"book-bfloat16", "batches-16", "ours-verbatim", "vllm-guidance", "openvino-int8-schema"} <= set(
        contenders.names()
    )
    assert contenders.most_documents("book-bfloat16") == 16
    assert contenders.most_documents("ours-verbatim") is None


def test_warming_up_tells_nothing_about_the_questions(job: Job) -> None:
    warm, asked = tuple(job.warm[0].ids), tuple(job.items[0].ids)
    assert warm[:8] != asked[:8]
    assert not {item.text for item in job.warm} & {item.text for item in job.items}
