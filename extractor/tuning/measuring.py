"""How good a model is on the held-out documents, asked through the engine exactly as a run asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from extractor import backends
from extractor.annotation_formats import AnnotatedText
from extractor.config import DEFAULT_BACKEND, ModelConfig, RunConfig
from extractor.evaluation import Annotation, Resampling, Scope, evaluate
from extractor.pipeline import Pipeline
from extractor.task.task import Task
from extractor.tuning.questions import as_document


@contextlib.contextmanager
def _as_many_threads() -> Iterator[None]:
    """Compute with as many threads as before in the end: the engine uses one for a small model, learning uses all."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class Measure:
    """F1 of all values (by meaning), and values found where the gold has none."""

    f1: float
    made_up: int


def measure(items: Sequence[AnnotatedText], task: Task, model: ModelConfig) -> Measure:
    """Extract from the documents with a model, and compare with their gold."""
    numbered = [replace(item, id=str(number)) for number, item in enumerate(items)]
    with _as_many_threads(), backends.make(DEFAULT_BACKEND, model) as backend:
        records = Pipeline(task, backend, RunConfig()).run(map(as_document, numbered))
        found = {record.id: Annotation(record.id, record.data) for record in records}
    gold = [Annotation(item.id, item.data) for item in numbered]
    evaluation = evaluate(gold, found, Scope(task.all_fields))
    f1 = evaluation.scores("normalized", Resampling(1)).micro.f1.value
    return Measure(f1 or 0.0, evaluation.made_up().where_null)
