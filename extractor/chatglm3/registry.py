"""The published models by name, and what to tell a user who has none. Plain data: no disk, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extractor.chatglm3.model_dims import CHATGLM3_6B, ModelDims

THREE_WAYS = (
    "Three ways to get a model: (1) online: extractor models pull chatglm3-6b; (2) copy its folder from another "
    "machine and pass it with -m FOLDER; (3) use the bundled toy: -m demo"
)
"""Ends every message about a model that could not be obtained."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published model: its name here, its id on ModelScope, and the revision used unless another is requested.

    `dims` are for estimates before the model is downloaded; afterwards its own config.json is read.
    """

    name: str
    hub_id: str
    revision: str
    dims: ModelDims
    summary: str


_LONG = replace(CHATGLM3_6B, context=32768)
_GLM4_9B = replace(CHATGLM3_6B, vocab_size=151552, layers=40, context=131072)
_EDGE_4B = ModelDims(
    vocab_size=59264, hidden_size=3072, ffn_size=8192, layers=40, heads=24, groups=6, head_size=128, context=8192
)
_EDGE_1_5B = replace(_EDGE_4B, hidden_size=2048, ffn_size=6144, layers=28, heads=16, groups=4)
_NEWEST = "master"
"""The newest revision, of models whose authors number none."""

KNOWN_MODELS: Mapping[str, KnownModel] = {
    model.name: model
    for model in (
        KnownModel("chatglm3-6b", "ZhipuAI/chatglm3-6b", "v1.0.0", CHATGLM3_6B, "for chat and instructions"),
        KnownModel(
            "chatglm3-6b-base", "ZhipuAI/chatglm3-6b-base", "v1.0.1", CHATGLM3_6B, "the base model, not tuned for chat"
        ),
        KnownModel("chatglm3-6b-32k", "ZhipuAI/chatglm3-6b-32k", "v1.0.0", _LONG, "for chat about long texts"),
        KnownModel("glm-4-9b-chat", "ZhipuAI/glm-4-9b-chat", _NEWEST, _GLM4_9B, "the next generation, for long texts"),
        KnownModel("glm-4-9b-chat-hf", "ZhipuAI/glm-4-9b-chat-hf", _NEWEST, _GLM4_9B, "the same for transformers"),
        KnownModel("glm-edge-1.5b-chat", "ZhipuAI/glm-edge-1.5b-chat", _NEWEST, _EDGE_1_5B, "for small machines"),
        KnownModel("glm-edge-4b-chat", "ZhipuAI/glm-edge-4b-chat", _NEWEST, _EDGE_4B, "for small machines"),
    )
}
