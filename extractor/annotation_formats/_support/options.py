"""What a format is given to write with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from extractor.annotation_formats._support.annotated_text import Notes
from extractor.data import Document, Prompt
from extractor.task.task import Task

Ask = Callable[[Document], Sequence[Prompt]]
"""What a run would ask about a document."""


@dataclass(frozen=True)
class WriteOptions:
    """`task` says what the fields are, `ask` what a run asks, where there is a schema; `notes` takes what is lost."""

    notes: Notes = field(default_factory=Notes)
    task: Task | None = None
    ask: Ask | None = None
