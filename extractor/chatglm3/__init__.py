"""ChatGLM3 on current transformers: hub, checkpoint, tokenizer and chat. No remote code, nothing evaluated.

    hub.resolve -> model_dims.read_shape -> glm.load_model + tokenizer.Tokenizer -> chat.ChatGLM3

Names are resolved on first use, so importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from extractor.chatglm3.chat import ChatGLM3
    from extractor.chatglm3.glm import load_model
    from extractor.chatglm3.hub import ModelLocation, resolve
    from extractor.chatglm3.model_dims import ModelShape, read_shape
    from extractor.chatglm3.tokenizer import Tokenizer

__all__ = ["ChatGLM3", "ModelLocation", "ModelShape", "Tokenizer", "load_model", "read_shape", "resolve"]

_HOMES = {
    "ChatGLM3": "chat",
    "ModelLocation": "hub",
    "ModelShape": "model_dims",
    "Tokenizer": "tokenizer",
    "load_model": "glm",
    "read_shape": "model_dims",
    "resolve": "hub",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds `name` when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
