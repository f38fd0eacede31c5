"""The pipeline from Python: `Extractor(schema="contact").run(texts)` yields Records."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from extractor import backends
from extractor.config import ModelConfig, RunConfig, ServerConfig
from extractor.pipeline import Pipeline
from extractor.tasks import Task, load_task, make_task
from extractor.types import Backend, Document, Json, Record, Source, Unreadable


class Extractor:
    """Extracts what a schema names, with one model that is loaded on first use and freed on leaving a `with` block.

    `schema` is a bundled name, a path or a schema as a dict; `model` a known name or a directory, or a whole
    ModelConfig. With `base_url` (and `backend="openai"`) the model is one that is served there; a ServerConfig in the
    ModelConfig says more about how it is asked. Raises UsageError for a schema or prompt that is wrong, ModelError when
    the model cannot be had.

        with Extractor(schema="contact") as extractor:
            print(extractor.extract("手机号18888888888").data)
    """

    def __init__(
        self,
        schema: str | Mapping[str, Json],
        model: str | ModelConfig = "demo",
        prompt: str = "zh",
        *,
        backend: str = "chatglm3",
        base_url: str | None = None,
        config: RunConfig | None = None,
    ) -> None:
        self.task: Task = load_task(schema, prompt) if isinstance(schema, str) else make_task(schema, prompt)
        self.config = config or RunConfig()
        self._model = model if isinstance(model, ModelConfig) else ModelConfig(model)
        if base_url:
            self._model = replace(self._model, server=ServerConfig(base_url))
        self._backend_name = backend
        self._lock = threading.Lock()

    @cached_property
    def _backend(self) -> Backend:
        return backends.make(self._backend_name, self._model).__enter__()

    def run(self, documents: Iterable[str | Document | Unreadable]) -> Iterator[Record]:
        """Yield one Record per document, as each is done. A plain string is a text with its number as id.

        Runs on several threads take turns.
        """
        with self._lock:
            pipeline = Pipeline(self.task, self._backend, self.config)
            yield from pipeline.run(_document(number, item) for number, item in enumerate(documents))

    def extract(self, text: str) -> Record:
        """The Record of one text."""
        return next(iter(self.run([text])))

    def close(self) -> None:
        """Free the model. The next use loads it again."""
        if "_backend" in self.__dict__:
            self._backend.__exit__(None, None, None)
            del self.__dict__["_backend"]

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _document(number: int, item: str | Document | Unreadable) -> Document | Unreadable:
    if not isinstance(item, str):
        return item
    digest = hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()
    source = Source("", digest, None, len(item))
    if not item.strip():
        return Unreadable(str(number), source, "empty", "the text is empty")
    return Document(str(number), item, source)
