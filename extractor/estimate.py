"""What a run would do, counted, and how long it would take, from the throughput on a few of its prompts.

Documents are read, split and counted as in a run, one at a time; nothing is written, and answers are not parsed. The
estimate leaves out retries.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter

from extractor.data import Backend, Completion, Document, FailedDocument, Json, Prompt
from extractor.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A document that does not fit into one prompt, and its number of chunks."""

    id: str
    characters: int
    chunks: int


@dataclass
class Plan:
    """Counts over all documents.

    `prompts` and `prompt_tokens` are those of all passes, as if none ended early, and of all groups of fields; `sample`
    is a uniform random sample of the prompts of the first pass, for a probe.
    """

    files: Counter[str] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    unreadable: list[FailedDocument] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tokens: int = 0
    prompts: int = 0
    prompt_tokens: int = 0
    groups: int = 1
    passes: int = 1
    split: list[SplitDocument] = field(default_factory=list)
    sample: list[Prompt] = field(default_factory=list)

    @property
    def documents(self) -> int:
        """All documents, those that cannot be read as well."""
        return len(self.lengths) + len(self.unreadable)

    def as_json(self) -> dict[str, Json]:
        """Return the counts."""
        return {
            "files": dict(self.files),
            "documents": self.documents,
            "unreadable": [{"id": each.id, **asdict(each.problem)} for each in self.unreadable],
            "encodings": dict(self.encodings),
            "characters": {
                "all": sum(self.lengths),
                "median": median(self.lengths) if self.lengths else 0,
                "longest": max(self.lengths, default=0),
            },
            "tokens": self.tokens,
            "prompts": self.prompts,
            "prompt_tokens": self.prompt_tokens,
            "groups": self.groups,
            "passes": self.passes,
            "do_not_fit": [asdict(each) for each in self.split],
        }


@dataclass(frozen=True, slots=True)
class Probe:
    """A measurement: prompts answered, tokens read and written, seconds for that; and those for loading the model."""

    prompts: int
    tokens: int
    written: int
    seconds: float
    loading: float


def survey(documents: Iterable[Document | FailedDocument], pipeline: Pipeline, sample: int = 0, seed: int = 0) -> Plan:
    """Count what there is to do. Only counts are kept of each document, and `sample` prompts in all."""
    plan = Plan(groups=len(pipeline.budget.groups), passes=pipeline.config.passes)
    rng, file, numbers = random.Random(seed), "", itertools.count(1)
    for document in documents:
        if (found := document.source.path.partition("#")[0]) != file:
            file = found
            plan.files[os.path.splitext(file)[1].lower() or "(no suffix)"] += 1
        if isinstance(document, FailedDocument):
            plan.unreadable.append(document)
        else:
            prompts = pipeline.prompts(document)
            _add(plan, document, prompts, pipeline)
            for prompt in prompts:
                _draw(plan.sample, prompt, next(numbers), sample, rng)
    plan.split.sort(key=lambda each: (-each.chunks, -each.characters, each.id))
    return plan


def _add(plan: Plan, document: Document, prompts: Sequence[Prompt], pipeline: Pipeline) -> None:
    chunks = len({prompt.chunk.index for prompt in prompts})
    plan.encodings[document.source.encoding or "none"] += 1
    plan.lengths.append(len(document.text))
    plan.tokens += pipeline.backend.count_tokens(document.text)
    plan.prompts += len(prompts) * plan.passes
    plan.prompt_tokens += sum(pipeline.prompter.size(prompt) for prompt in prompts) * plan.passes
    if chunks > 1:
        plan.split.append(SplitDocument(document.id, len(document.text), chunks))


def _draw(sample: list[Prompt], prompt: Prompt, number: int, size: int, rng: random.Random) -> None:
    """Take prompt `number`, counted from 1, into a uniform sample of `size` (reservoir sampling)."""
    if len(sample) < size:
        sample.append(prompt)
    elif (place := rng.randrange(number)) < size:
        sample[place] = prompt


def probe(backend: Backend, prompts: Sequence[Prompt], seconds: float) -> Probe:
    """Load the backend and answer prompts for about so many seconds.

    One is answered alone first, to warm up; then as many more as should fit, all at once, as in a run.
    """
    began = perf_counter()
    with backend:
        loading = perf_counter() - began
        alone, first = _answered(backend, prompts[:1], seconds)
        rest = prompts[1 : 1 + int((seconds - first) / max(first, 1e-6))] if first < seconds else ()
        several, took = _answered(backend, rest, seconds - first)
    if several:
        return _probe(several, took, loading)
    return _probe(alone, first, loading)


def estimate(plan: Plan, measured: Probe) -> float:
    """Return the seconds for all prompts of a plan at the measured throughput, loading included."""
    read = measured.tokens - measured.written
    written = plan.prompts * measured.written / measured.prompts
    share = (plan.prompt_tokens + written) / (read + measured.written)
    return measured.loading + measured.seconds * share


def _answered(backend: Backend, prompts: Sequence[Prompt], seconds: float) -> tuple[list[Completion], float]:
    """Return the prompts answered within a time, or a little later, and the time it took."""
    began = perf_counter()
    for prompt in prompts:
        backend.submit(prompt)
    done: list[Completion] = []
    while len(done) < len(prompts) and perf_counter() - began < seconds:
        done += backend.collect()
    return done, perf_counter() - began


def _probe(done: Sequence[Completion], seconds: float, loading: float) -> Probe:
    written = sum(each.usage.completion_tokens for each in done)
    read = sum(each.usage.prompt_tokens for each in done)
    return Probe(len(done), read + written, written, seconds, loading)
