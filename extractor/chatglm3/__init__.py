"""ChatGLM3 on current transformers: download, checkpoint, tokenizer, chat and export. No remote code, no `eval`.

    registry -> hub, download        a model's name to a folder with its files
    checkpoint_files, config_file    which files there are; config.json as checked values
    folder_check, verification       folders that are not what they seem; whether a model would load
    layouts/, weight_mapping         sizes and tensors of a checkpoint under the names of `GlmForCausalLM`
    adapters/, adapter_files         what fine-tuning left: LoRA, P-Tuning
    source_checkpoint, checkpoint    loading: tensors read file by file, checked, merged, copied or quantised
    quantize, quantization_config    int8 and int4 checkpoints
    transformers_model               the checkpoint as transformers' `GlmForCausalLM`
    chat_tokenizer                   which tokenizer a folder holds: tokenizer, fast_tokenizer, glm4_tokenizer
    chat_format, chat_template       what a prompt looks like, of ChatGLM3 and of a folder of transformers
    chat, generation, tool_calls     a conversation; decoding; what the answer means
    export, export_tokenizer         a plain transformers folder; sentencepiece_model and safetensors_writer serve it

Names are resolved on first use, so importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from extractor.chatglm3.chat import ChatGLM3
    from extractor.chatglm3.hub import ModelLocation, resolve
    from extractor.chatglm3.layouts import read_dims
    from extractor.chatglm3.model_dims import ModelDims
    from extractor.chatglm3.tokenizer import Tokenizer
    from extractor.chatglm3.transformers_model import load_model

__all__ = ["ChatGLM3", "ModelDims", "ModelLocation", "Tokenizer", "load_model", "read_dims", "resolve"]

_MODULES = {
    "ChatGLM3": "chat",
    "ModelDims": "model_dims",
    "ModelLocation": "hub",
    "Tokenizer": "tokenizer",
    "load_model": "transformers_model",
    "read_dims": "layouts",
    "resolve": "hub",
}


def __getattr__(name: str) -> Any:
    """Import the module that defines `name` on first access (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
