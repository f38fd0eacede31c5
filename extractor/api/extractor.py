"""The Extractor: one task on one model, for runs of all kinds."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, overload

from extractor import backends, ingest
from extractor.api.asynchronous import Pulled, pushed
from extractor.api.documents import Item, check, check_one, inputs
from extractor.api.progress import with_bar
from extractor.api.records import TypedRecord, typed
from extractor.api.row_types import as_data, make_task_of, row_type
from extractor.backends._support.shared_backend import SharedBackend
from extractor.config import DEFAULT_BACKEND, ModelConfig, RunConfig, ServerConfig
from extractor.data import Json
from extractor.errors import UsageError
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.stages.grounding import check_examples
from extractor.task.examples import Example, make_examples
from extractor.task.task import Task

if TYPE_CHECKING:
    from extractor.api.evaluation import Evaluated, Gold
    from extractor.evaluation import Resampling

T = TypeVar("T")

Schema = str | os.PathLike[str] | Mapping[str, Json] | Sequence[str]
"""What to extract, where it is no class: a bundled name, a path, a JSON Schema, a list of fields."""


class Options(TypedDict, total=False):
    """The options of an Extractor besides schema, model and prompt."""

    backend: str
    base_url: str | None
    config: RunConfig | None
    examples: str | os.PathLike[str] | Sequence[Mapping[str, Json]]
    read: ReadOptions | None


class Extractor(Generic[T]):
    """Extracts what a schema names, with one model that is loaded on first use and freed on leaving a `with` block.

    `schema` is a bundled name, a path, a schema as a dict, a list of fields, a pydantic model or a dataclass; `model` a
    known name or a directory, or a whole ModelConfig; `examples` a file of annotations or rows of `{"text": ...,
    "data": {...}}` to show to the model; `read` says how files and rows become texts. With `base_url` (and
    `backend="openai"`) the model is one that is served there; a ServerConfig in the ModelConfig has more settings.
    Raises UsageError for a schema, prompt or example that is wrong, ModelError when the model cannot be loaded. Several
    threads may use it at once: their prompts share the batches of the one model.

        with Extractor(schema="contact") as extractor:
            print(extractor.extract("手机号18888888888").data)
    """

    @overload
    def __init__(
        self: Extractor[dict[str, Json]],
        schema: Schema,
        model: str | os.PathLike[str] | ModelConfig = ...,
        prompt: str | os.PathLike[str] = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        schema: type[T],
        model: str | os.PathLike[str] | ModelConfig = ...,
        prompt: str | os.PathLike[str] = ...,
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(  # noqa: PLR0913  # what `extractor run` takes as options
        self,
        schema: Any,
        model: str | os.PathLike[str] | ModelConfig = "demo",
        prompt: str | os.PathLike[str] = "zh",
        *,
        backend: str = DEFAULT_BACKEND,
        base_url: str | None = None,
        config: RunConfig | None = None,
        examples: str | os.PathLike[str] | Sequence[Mapping[str, Json]] = (),
        read: ReadOptions | None = None,
    ) -> None:
        self._kind = row_type(schema)
        bare = make_task_of(schema, self._kind, os.fspath(prompt))
        shown = _examples(examples, bare) if examples else ()
        self.task: Task = make_task_of(schema, self._kind, os.fspath(prompt), shown) if shown else bare
        check_examples(self.task)
        self.config = config or RunConfig()
        self.read = read or ReadOptions()
        model_config = model if isinstance(model, ModelConfig) else ModelConfig(os.fspath(model))
        if base_url:
            model_config = replace(model_config, server=ServerConfig(base_url))
        self._shared = SharedBackend(lambda: backends.make(backend, model_config))

    def run(
        self, documents: Iterable[Item], *, ordered: bool | None = None, progress: bool = False
    ) -> Iterator[TypedRecord[T]]:
        """Yield one record per document, as each is done, or `ordered` as the input is; `progress` shows a bar.

        A document is a text, `bytes` of a file, a path (through the readers of `extractor run`: a file may hold many
        documents), a row `{"id": ..., "text": ...}`, a Document, or one of these with an id before it: `(id, text)`,
        `(name, bytes)`. A column of pandas or polars is many texts. An item that is none of these is a `failed` record.

        Documents are taken as they are needed, so they may be endless; `config.window` bounds the prompts in flight.
        Files are read ahead where the documents are a sequence; of an iterator each when its turn comes. Raises
        UsageError for what is not a series of documents: a single text, a DataFrame.
        """
        check(documents)
        return self._records(self._pipeline(ordered), documents, progress)

    def extract(self, document: Item) -> TypedRecord[T]:
        """Return the record of one document. Raise UsageError for a file that holds several, or none."""
        check_one(document)
        found = list(itertools.islice(ingest.read_items(inputs([document], self.read), self.read), 2))
        if len(found) != 1:
            there = "are several documents" if found else "is no document"
            raise UsageError(f"There {there} in it: run([...]) takes any number.")
        return next(self.run(found))

    def arun(
        self, documents: Iterable[Item] | AsyncIterable[Item], *, ordered: bool | None = None, progress: bool = False
    ) -> AsyncIterator[TypedRecord[T]]:
        """Yield the records of `run` in an event loop, which goes on meanwhile: `async for record in e.arun(texts)`.

        Documents may come from an asynchronous iterator as well. Leaving the loop early ends the run.
        """
        pipeline = self._pipeline(ordered)
        if isinstance(documents, AsyncIterable):
            pulled = Pulled(documents)
            return pushed(self._records(pipeline, pulled, progress), pipeline.stop, pulled)
        check(documents)
        return pushed(self._records(pipeline, documents, progress), pipeline.stop)

    async def aextract(self, document: Item) -> TypedRecord[T]:
        """Return the record of one document, in an event loop. Calls at the same time share the model's batches."""
        return await asyncio.to_thread(self.extract, document)

    def evaluate(
        self,
        gold: Gold,
        documents: Iterable[Item] | None = None,
        *,
        progress: bool = False,
        resampling: Resampling | None = None,
    ) -> Evaluated:
        """Run over the documents of a gold and return the figures of `extractor evaluate -s SCHEMA`.

        `gold` is a file in any format of `extractor evaluate`, or rows: `{"id": ..., "text": ..., "data": {...}}`. Rows
        without a text need `documents`, under the ids of the gold. Raise InputError for gold that cannot be used.
        """
        from extractor.api.evaluation import GoldRows  # takes a while, and is seldom needed

        if self.config.redact:
            raise UsageError("RunConfig(redact=True) masks what is to be compared: evaluate without it.")
        rows = GoldRows.of(gold, self.task, self.read.max_bytes)
        records = list(self.run(rows.documents() if documents is None else documents, progress=progress))
        return rows.compare(records, self.task, resampling)

    def close(self) -> None:
        """Free the model. The next use loads it again."""
        self._shared.close()

    def __enter__(self) -> Extractor[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _pipeline(self, ordered: bool | None) -> Pipeline:
        config = self.config if ordered is None else replace(self.config, ordered=ordered)
        return Pipeline(self.task, self._shared.share(), config)

    def _records(
        self, pipeline: Pipeline, documents: Iterable[Item], progress: bool
    ) -> Generator[TypedRecord[T], None, None]:
        count = len(documents) if isinstance(documents, Sized) else None
        ahead = 0 if count is None else ingest.LOOK_AHEAD
        found = pipeline.run_with_documents(ingest.read_items(inputs(documents, self.read), self.read, ahead))
        redacted = pipeline.config.redact
        records = (typed(record, document, self.task, self._kind, redacted) for document, record in found)
        yield from with_bar(records, count) if progress else records


def _examples(given: str | os.PathLike[str] | Sequence[Mapping[str, Json]], task: Task) -> tuple[Example, ...]:
    if isinstance(given, str | os.PathLike):
        from extractor.annotation_formats import load_examples  # takes a while, and is seldom needed

        return load_examples(os.fspath(given), task)
    return make_examples((f"example {number}", _row(row)) for number, row in enumerate(given, start=1))


def _row(row: Any) -> Json:
    return as_data(row) if isinstance(row, Mapping) else row
