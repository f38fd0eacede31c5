"""Batch information extraction with a local ChatGLM3. The stages, in order:

1. `readers`     files, folders and stdin become Documents, or Unreadables with a reason.
2. `chunking`    a Document becomes one or more Chunks that fit the model's context.
3. `prompting`   a Chunk and a Task become a Prompt.
4. `generating`  Prompts go through a backend and come back as Completions; a Rejection is asked again.
5. `parsing`     a Completion becomes an Extraction, or a Rejection with its reason.
6. `grounding`   each value of an Extraction gets the place where it stands in the text.
7. `merging`     all that came of a Document becomes one Record.
8. `sinks`       Records become lines of a file, and a killed run goes on where it was.

`pipeline` is the only module that knows this order.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from extractor.api import Extractor
    from extractor.chatglm3 import ChatGLM3
    from extractor.config import ModelConfig, RunConfig, ServerConfig
    from extractor.data import Document, Record, Unreadable
    from extractor.errors import ExtractorError
    from extractor.task.task import Task, load_task, make_task

__all__ = [
    "ChatGLM3",
    "Document",
    "Extractor",
    "ExtractorError",
    "ModelConfig",
    "Record",
    "RunConfig",
    "ServerConfig",
    "Task",
    "Unreadable",
    "load_task",
    "make_task",
]

_HOMES = {
    "ChatGLM3": "chatglm3",
    "Document": "types",
    "Extractor": "api",
    "ExtractorError": "errors",
    "ModelConfig": "config",
    "Record": "types",
    "RunConfig": "config",
    "ServerConfig": "config",
    "Task": "tasks",
    "Unreadable": "types",
    "load_task": "tasks",
    "make_task": "tasks",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for (PEP 562), so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
