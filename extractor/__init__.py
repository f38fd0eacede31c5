"""Batch information extraction with a local ChatGLM3. The stages, in order:

1. `ingest`                      files, folders and stdin become Documents, each read by its format in `readers`.
2. `stages.chunking`             a Document becomes one or more Chunks that fit the model's context (`stages.budget`).
3. `stages.prompting`            a Chunk and a Task become a Prompt.
4. `stages.batching`             Prompts go through one of `backends`, a bounded window of them at a time.
5. `stages.parsing`              a Completion becomes an Extraction, or a Rejection with its Problems.
6. `stages.confidence`           each value gets the probability with which it was written.
7. `stages.grounding`            each value gets the place where it occurs in the text, or is not let through.
8. `stages.thresholds`           values that are not sure enough are withheld.
9. `stages.references`           an answer in which a reference names nothing is rejected.
10. `stages.retry`               a Rejection is asked again: a retry is just another Prompt.
11. `stages.merging`             all that came of a Document becomes one Record.
12. `stages.normalizing`         values get their form in one notation, where the schema asks for it.
13. `sinks`                      Records become rows of a file in `storage`, and a killed run resumes.

`pipeline` is the only module that knows this order.
"""

__version__ = "0.2.0"

TYPE_CHECKING = False  # as in `typing`: importing the package costs nothing
if TYPE_CHECKING:
    from typing import Any

    from extractor.api import Extractor, TypedRecord, to_pandas
    from extractor.chatglm3 import ChatGLM3
    from extractor.config import ModelConfig, RunConfig, ServerConfig
    from extractor.data import Document, FailedDocument, Record
    from extractor.errors import ExtractorError
    from extractor.ingest import ReadOptions
    from extractor.task.task import Task, load_task, make_task

__all__ = [
    "ChatGLM3",
    "Document",
    "Extractor",
    "ExtractorError",
    "FailedDocument",
    "ModelConfig",
    "ReadOptions",
    "Record",
    "RunConfig",
    "ServerConfig",
    "Task",
    "TypedRecord",
    "load_task",
    "make_task",
    "to_pandas",
]

_HOMES = {
    "ChatGLM3": "chatglm3",
    "Document": "data",
    "Extractor": "api",
    "ExtractorError": "errors",
    "ModelConfig": "config",
    "ReadOptions": "ingest",
    "Record": "data",
    "RunConfig": "config",
    "ServerConfig": "config",
    "Task": "task.task",
    "TypedRecord": "api",
    "FailedDocument": "data",
    "load_task": "task.task",
    "make_task": "task.task",
    "to_pandas": "api",
}


def __getattr__(name: str) -> "Any":
    """Import what is asked for when it is asked for (PEP 562), so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
