"""The pipeline from Python: `Extractor(schema="contact").run(texts)` yields Records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from extractor import backends
from extractor.backends._support.shared_backend import SharedBackend
from extractor.config import DEFAULT_BACKEND, ModelConfig, RunConfig, ServerConfig
from extractor.data import Document, FailedDocument, Json, Record, Source
from extractor.errors import Problem
from extractor.pipeline import Pipeline
from extractor.stages.grounding import check_examples
from extractor.task.examples import Example, make_examples
from extractor.task.task import Task, load_task, make_task


class Extractor:
    """Extracts what a schema names, with one model that is loaded on first use and freed on leaving a `with` block.

    `schema` is a bundled name, a path or a schema as a dict; `model` a known name or a directory, or a whole
    ModelConfig; `examples` a file of annotations or rows of `{"text": ..., "data": {...}}` to show to the model. With
    `base_url` (and `backend="openai"`) the model is one that is served there; a ServerConfig in the ModelConfig has
    more settings.
    Raises UsageError for a schema, prompt or example that is wrong, ModelError when the model cannot be loaded. Several
    threads may use it at once: their prompts share the batches of the one model.

        with Extractor(schema="contact") as extractor:
            print(extractor.extract("手机号18888888888").data)
    """

    def __init__(  # noqa: PLR0913  # what `extractor run` takes as options
        self,
        schema: str | Mapping[str, Json],
        model: str | ModelConfig = "demo",
        prompt: str = "zh",
        *,
        backend: str = DEFAULT_BACKEND,
        base_url: str | None = None,
        config: RunConfig | None = None,
        examples: str | Sequence[Mapping[str, Json]] = (),
    ) -> None:
        bare = _task(schema, prompt)
        self.task: Task = _task(schema, prompt, _examples(examples, bare)) if examples else bare
        check_examples(self.task)
        self.config = config or RunConfig()
        model_config = model if isinstance(model, ModelConfig) else ModelConfig(model)
        if base_url:
            model_config = replace(model_config, server=ServerConfig(base_url))
        self._shared = SharedBackend(lambda: backends.make(backend, model_config))

    def run(self, documents: Iterable[str | Document | FailedDocument]) -> Iterator[Record]:
        """Yield one Record per document, as each is done. A plain string is a document with its number as id.

        Documents are taken as they are needed, so they may be endless; `config.window` bounds the prompts in flight.
        """
        pipeline = Pipeline(self.task, self._shared.share(), self.config)
        return pipeline.run(_document(number, item) for number, item in enumerate(documents))

    def extract(self, text: str) -> Record:
        """Return the Record of one text."""
        return next(iter(self.run([text])))

    def close(self) -> None:
        """Free the model. The next use loads it again."""
        self._shared.close()

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _task(schema: str | Mapping[str, Json], prompt: str, examples: Sequence[Example] = ()) -> Task:
    if isinstance(schema, str):
        return load_task(schema, prompt, examples)
    return make_task(schema, prompt, examples=examples)


def _examples(given: str | Sequence[Mapping[str, Json]], task: Task) -> tuple[Example, ...]:
    if isinstance(given, str):
        from extractor.annotation_formats import load_examples  # takes a while, and is seldom needed

        return load_examples(given, task)
    return make_examples((f"example {number}", row) for number, row in enumerate(given, start=1))


def _document(number: int, item: str | Document | FailedDocument) -> Document | FailedDocument:
    if not isinstance(item, str):
        return item
    digest = hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()
    source = Source("", digest, None, len(item))
    if not item.strip():
        return FailedDocument(str(number), source, Problem("empty", "the text is empty"))
    return Document(str(number), item, source)
