"""What a confidence is worth, by its definition: whether it tells right values from wrong ones, and means what it says.

    python -m benchmarks.confidence [--generated 600] [--documents FILE.jsonl ...] [--write]

The demo model answers each document once, under the constraint; then its probabilities without the constraint are read
off a forward pass over prompt and answer. AUROC is the chance that a right value has more confidence than a wrong one
(0.5: none); the expected calibration error is over ten bins; `keep 90 %` is the precision of the surest nine tenths.
Documents are those of `training/*.jsonl`, and others that training's generator has never drawn for training.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GlmForCausalLM

from benchmarks.machine import describe
from benchmarks.results import write_section
from benchmarks.rounds import ROOT
from extractor.backends.chatglm3 import Backend
from extractor.chatglm3 import load_model
from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.config import ModelConfig, RunConfig
from extractor.data import Completion, Document, Extraction, Json, Source
from extractor.evaluation import Annotation, evaluate
from extractor.pipeline import Pipeline
from extractor.stages.grounding import ground
from extractor.stages.parsing import parse
from extractor.task.task import Task, load_task, make_task
from extractor.text.strict_json import value_ranges
from training.synth.documents import example

HEAD = ("confidence of a value", "AUROC", "against the first, 95 %", "calibration error", "keep 90 %", "keep 75 %")
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """A document with its right answer."""

    document: Document
    task: Task
    gold: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an answer with its log-probability under the constraint, and without it."""

    piece: str
    bound: float
    free: float

    @property
    def forced(self) -> bool:
        return self.bound == 0.0


def _product(logs: Iterable[float]) -> float:
    return math.exp(sum(logs))


def _mean(logs: Sequence[float]) -> float:
    return math.exp(sum(logs) / len(logs))


DEFINITIONS: Mapping[str, Callable[[Sequence[Token]], float]] = {
    "product, renormalised under the constraint": lambda tokens: _product(each.bound for each in tokens),
    "the same, geometric mean": lambda tokens: _mean([each.bound for each in tokens]),
    "the same, least token": lambda tokens: math.exp(min(each.bound for each in tokens)),
    "product without the constraint, chosen tokens": lambda tokens: _product(
        each.free for each in tokens if not each.forced
    ),
    "product without the constraint, all tokens": lambda tokens: _product(each.free for each in tokens),
    "geometric mean without the constraint, all tokens": lambda tokens: _mean([each.free for each in tokens]),
}


class Listening(Backend):
    """The backend, remembering the ids of each answer and of its prompt."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.heard: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def _completion(self, flight, answer):  # type: ignore[no-untyped-def]
        completion = super()._completion(flight, answer)
        self.heard[id(completion)] = (flight.ids, tuple(answer.ids))
        return completion


def written(files: Iterable[Path]) -> Iterator[Case]:
    """Documents that people wrote, with their answers."""
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield Case(_document(row["id"], row["text"]), load_task(row["schema"]), row["gold"])


def generated(count: int) -> Iterator[Case]:
    """Documents of the generator, of seeds that training does not use."""
    for number in range(count):
        found = example(Random(f"confidence/{number}"))
        schema = {"type": "object", "properties": {each.name: _property(found.gold[each.name]) for each in found.asked}}
        yield Case(_document(f"generated-{number}", found.text), make_task(schema), found.gold)


def _property(gold: Json) -> Json:
    return {"type": "array", "items": {"type": "string"}} if isinstance(gold, list) else {"type": "string"}


def _document(name: str, text: str) -> Document:
    return Document(name, text, Source(name, "", None, len(text)))


def answers(cases: Sequence[Case], model: GlmForCausalLM) -> Iterator[tuple[Case, Extraction, list[Token]]]:
    """The usable answers to the documents that are asked about in one part, with their tokens."""
    backend = Listening(ModelConfig(precision="float32"))
    asked = {}
    with backend:
        for case in cases:
            prompts = Pipeline(case.task, backend, RunConfig()).prompts(case.document)
            if len(prompts) == 1:
                asked[id(prompts[0])] = case
                backend.submit(prompts[0])
        while completions := backend.collect():
            for completion in completions:
                outcome = parse(completion)
                outcome = ground(outcome) if isinstance(outcome, Extraction) else outcome
                if isinstance(outcome, Extraction):
                    yield (
                        asked[id(completion.prompt)],
                        outcome,
                        _tokens(completion, *backend.heard[id(completion)], model),
                    )


@torch.inference_mode()
def _tokens(completion: Completion, prompt: Sequence[int], answer: Sequence[int], model: GlmForCausalLM) -> list[Token]:
    logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].float()
    free = torch.log_softmax(logits, -1).gather(1, torch.tensor(answer).unsqueeze(1)).squeeze(1).tolist()
    return [Token(piece, bound, each) for (piece, bound), each in zip(completion.tokens, free, strict=True)]


def _of_values(text: str, tokens: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    """The tokens of each value, by its pointer, the quotes included."""
    places, end = [], -"".join(each.piece for each in tokens).index(text)
    for token in tokens:
        places.append((end, end + len(token.piece)))
        end += len(token.piece)
    for pointer, (start, stop) in value_ranges(text).items():
        inside = [token for token, (low, high) in zip(tokens, places, strict=True) if low < stop and start < high]
        if inside:
            yield pointer, inside


def table(cases: Sequence[Case], model: GlmForCausalLM) -> list[str]:
    """Rows of Markdown: what each definition is worth on these documents."""
    found = list(answers(cases, model))
    gold = [Annotation(case.document.id, case.gold, text=case.document.text) for case, _, _ in found]
    values = [(extraction, dict(_of_values(extraction.completion.text, tokens))) for _, extraction, tokens in found]
    judged = [_judged(found, gold, values, define) for define in DEFINITIONS.values()]
    lines = [
        f"| {name} | {' | '.join(_figures(mine, judged[0]))} |" for name, mine in zip(DEFINITIONS, judged, strict=True)
    ]
    right = judged[0].right.mean()
    head = f"{len(found)} documents, {len(judged[0].right)} values, {right:.1%} of them right:"
    return [head, "", f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD), *lines]


@dataclass(frozen=True)
class Judged:
    """The values of one definition: confidence, whether right, the number of the document."""

    sure: NDArray[np.float64]
    right: NDArray[np.bool_]
    document: NDArray[np.int64]
    error: float

    def auroc(self, drawn: NDArray[np.int64]) -> float:
        """Over some values, one perhaps several times."""
        sure, right = self.sure[drawn], self.right[drawn]
        ranks = np.searchsorted(np.sort(sure), sure, "left") + np.searchsorted(np.sort(sure), sure, "right")
        good, bad = int(right.sum()), int((~right).sum())
        return float((ranks[right].sum() / 2 + good / 2 - good * (good + 1) / 2) / (good * bad))

    def surest(self, share: float) -> float:
        kept = np.argsort(-self.sure, kind="stable")[: round(share * len(self.sure))]
        return float(self.right[kept].mean())


def _judged(
    found: Sequence[tuple[Case, Extraction, list[Token]]],
    gold: Sequence[Annotation],
    values: Sequence[tuple[Extraction, Mapping[str, list[Token]]]],
    define: Callable[[Sequence[Token]], float],
) -> Judged:
    given = {
        case.document.id: Annotation(
            case.document.id, extraction.data, confidence={at: define(each) for at, each in tokens.items()}
        )
        for (case, _, _), (extraction, tokens) in zip(found, values, strict=True)
    }
    result = evaluate(gold, given)
    number = {each.id: at for at, each in enumerate(gold)}
    rows = [
        (each.confidence, each.verdict.right, number[each.id])
        for each in result.values
        if each.confidence is not None and each.verdict.outcome != "missed"
    ]
    sure, right, document = (np.array(column) for column in zip(*rows, strict=True))
    return Judged(sure, right, document, result.calibration.error if result.calibration else math.nan)


def _figures(mine: Judged, first: Judged) -> Iterator[str]:
    every = np.arange(len(mine.right))
    yield f"{mine.auroc(every):.3f}"
    rng = np.random.default_rng(0)
    of_document = [np.flatnonzero(mine.document == each) for each in np.unique(mine.document)]
    differences = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([of_document[at] for at in rng.integers(0, len(of_document), len(of_document))])
        differences.append(mine.auroc(drawn) - first.auroc(drawn))
    low, high = np.quantile(differences, [0.025, 0.975])
    yield "" if mine is first else f"{low:+.3f} to {high:+.3f}"
    yield f"{mine.error:.3f}"
    yield from (f"{mine.surest(share):.3f}" for share in (0.9, 0.75))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", type=int, default=600)
    parser.add_argument("--documents", type=Path, nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    model = load_model(DEMO_FOLDER, "float32")
    files = [ROOT / "training" / "dev.jsonl", ROOT / "training" / "test.jsonl", *given.documents]
    parts = [
        "## What a confidence is worth, demo model (`confidence.py`)",
        describe() + ". float32, greedy, first attempts.",
        "Documents that people wrote, contact and order. " + "\n".join(table(list(written(files)), model)),
        "Generated documents. " + "\n".join(table(list(generated(given.generated)), model)),
    ]
    section = "\n\n".join(parts)
    print(section)
    if given.write:
        write_section(section)


if __name__ == "__main__":
    main()
