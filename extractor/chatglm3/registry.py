"""The published models by name, and what to tell a user who has none. Plain data: no disk, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

THREE_WAYS = (
    "Three ways to get a model: (1) online: extractor models pull chatglm3-6b; (2) copy its folder from another "
    "machine and pass it with -m FOLDER; (3) use the bundled toy: -m demo"
)
"""Ends every message about a model that could not be obtained."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published model: its name here, its id on ModelScope, and the revision used unless another is requested.

    `context` (tokens) is for estimates before the model is downloaded; afterwards its own config.json is read.
    """

    name: str
    hub_id: str
    revision: str
    context: int
    summary: str


KNOWN_MODELS: Mapping[str, KnownModel] = {
    model.name: model
    for model in (
        KnownModel("chatglm3-6b", "ZhipuAI/chatglm3-6b", "v1.0.0", 8192, "for chat and instructions"),
        KnownModel(
            "chatglm3-6b-base", "ZhipuAI/chatglm3-6b-base", "v1.0.1", 8192, "the base model, not tuned for chat"
        ),
        KnownModel("chatglm3-6b-32k", "ZhipuAI/chatglm3-6b-32k", "v1.0.0", 32768, "for chat about long texts"),
    )
}
