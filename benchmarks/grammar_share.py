"""What a grammar takes of a run: 30 verbatim fields, long documents.

    python -m benchmarks.grammar_share [--size 0.3b] [--fields 30] [--tokens 6000] [--documents 4] [--tokenizer FILE]

A random checkpoint (`checkpoints.py`) answers through the `chatglm3` backend, as in a run. Counted are the seconds in
which a grammar is built from a document's text, and those in which the tokens are found that may come next, wherever
that happens: much of it is beside the model's steps, in another thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.checkpoints import SIZES, cached_checkpoint
from benchmarks.machine import describe
from benchmarks.rounds import ROOT
from extractor import backends
from extractor.chatglm3.tokenizer import Tokenizer
from extractor.config import ModelConfig
from extractor.data import Chunk, Completion, Document, Json, Prompt
from extractor.engine.constraint import Constraint, Vocabulary
from extractor.stages.prompting import render
from extractor.task.task import Task, make_task

PARTS = {"building": (Vocabulary, ["constrain"]), "tokens that may come": (Constraint, ["masks", "jump_forward"])}
TOKENS_A_FIELD = 24


def schema(fields: int) -> Json:
    """Return a schema of so many verbatim strings of twelve characters at most."""
    field: Json = {"type": "string", "maxLength": workload.LONGEST_VALUE}
    return {"type": "object", "properties": {f"字段{number}": field for number in range(fields)}}


def report(checkpoint: Path, count: int, tokens: int, fields: int) -> Iterator[str]:
    """Yield the lines of the table, for so many documents of so many tokens."""
    documents = workload.long_documents(count, tokens, Tokenizer(checkpoint))
    task = make_task(schema(fields), str(workload.TEMPLATE), "benchmark-fields")
    with ExitStack() as wrapped:
        counted = {part: wrapped.enter_context(timed(kind, names)) for part, (kind, names) in PARTS.items()}
        total, answers = answer(checkpoint, task, documents, TOKENS_A_FIELD * fields)
    written = sum(each.usage.completion_tokens for each in answers)
    work = f"{count} documents of {tokens:,} tokens, {fields} fields, {written:,} tokens of answers"
    yield f"{describe()}. {work}, {total:.1f} s."
    yield ""
    yield "| part | calls | s | of the run |"
    yield "|---|---|---|---|"
    for part, seconds in counted.items():
        yield f"| {part} | {len(seconds):,} | {sum(seconds):.2f} | {sum(seconds) / total:.1%} |"


@contextmanager
def timed(kind: type, names: list[str]) -> Iterator[list[float]]:
    """Have methods of a class add the seconds of each call to the list that is yielded."""
    seconds: list[float] = []

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                seconds.append(time.perf_counter() - began)

        return call

    methods = {name: getattr(kind, name) for name in names}
    for name, method in methods.items():
        setattr(kind, name, wrap(method))
    yield seconds
    for name, method in methods.items():
        setattr(kind, name, method)


def answer(checkpoint: Path, task: Task, documents: list[Document], limit: int) -> tuple[float, list[Completion]]:
    """Return the seconds that the answers took, loading not counted, and the answers."""
    with backends.make("chatglm3", ModelConfig(str(checkpoint), offline=True)) as backend:
        began = time.perf_counter()
        answers: list[Completion] = []
        for document in documents:
            backend.submit(render(Prompt(Chunk(document, 0, 0, len(document.text)), task, (), limit)))
        while len(answers) < len(documents):
            answers += backend.collect()
        return time.perf_counter() - began, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="0.3b")
    parser.add_argument("--fields", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=6000, help="of a document")
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.model (default: the demo model's)")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "benchmarks", help="where checkpoints are kept")
    arguments = parser.parse_args()
    checkpoint = cached_checkpoint(arguments.cache, arguments.size, arguments.tokenizer)
    for line in report(checkpoint, arguments.documents, arguments.tokens, arguments.fields):
        print(line)


if __name__ == "__main__":
    main()
