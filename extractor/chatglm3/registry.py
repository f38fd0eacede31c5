"""The published models by name, and what a user without one is told. Plain data: nothing here asks disk or network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

THREE_WAYS = (
    "Three ways to get a model: (1) online: extractor models pull chatglm3-6b; (2) copy its folder from another "
    "machine and pass it with -m FOLDER; (3) use the bundled toy: -m demo"
)
"""Ends every message about a model that could not be had."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published model: its name here, its id on ModelScope, and the revision that is used unless another is asked.

    `context` (tokens) is for estimates before the model is here; afterwards its own config.json says it.
    """

    name: str
    hub_id: str
    revision: str
    context: int
    summary: str


KNOWN: Mapping[str, KnownModel] = {
    model.name: model
    for model in (
        KnownModel("chatglm3-6b", "ZhipuAI/chatglm3-6b", "v1.0.0", 8192, "for chat and instructions"),
        KnownModel(
            "chatglm3-6b-base", "ZhipuAI/chatglm3-6b-base", "v1.0.1", 8192, "the base model, not tuned for chat"
        ),
        KnownModel("chatglm3-6b-32k", "ZhipuAI/chatglm3-6b-32k", "v1.0.0", 32768, "for chat about long texts"),
    )
}


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds to wait before each further attempt at a download that broke; each attempt resumes the one before."""

    delays: tuple[float, ...] = (2.0, 8.0, 30.0)


DEFAULT_RETRY = Retry()
