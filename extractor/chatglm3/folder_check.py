"""Folders that are not what they seem, recognised by name before anything is loaded.

A model's folder may hold what this package does not read (another program's file, another model) or two things of which
only one would be used. Each check returns what is wrong and the way out, or None. This module knows no torch; what the
tensors say is checked in `checkpoint`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractor.chatglm3.adapter_files import ADAPTER_CONFIG
from extractor.chatglm3.config_file import CONFIG_FILE, read_config
from extractor.errors import CheckpointError

SERVE = "serve it and use --backend openai --base-url http://localhost:8080/v1"
"""The way out for what only other programs read."""

_MAGIC: Mapping[bytes, str] = {
    b"GGUF": "a GGUF file of llama.cpp",
    b"ggml": "a GGML file of chatglm.cpp",
    b"lmgg": "a GGML file of chatglm.cpp",
    b"ggjt": "a GGML file of llama.cpp",
}
"""How the weights of other programs begin, whatever they are called."""

_OTHERS: Mapping[str, str] = {
    ".gguf": "a GGUF file of llama.cpp",
    ".ggml": "a GGML file of chatglm.cpp",
    ".flm": "a model of fastllm",
    ".onnx": "an ONNX model",
    ".mnn": "a model of MNN",
    ".engine": "an engine of TensorRT",
}
"""What the suffix of a file says; it counts where there are no weights of ours."""

_LFS = b"version https://git-lfs"
_OURS = (".safetensors", ".bin")
_MAX_LISTED = 10_000
"""Files of a folder that are looked at."""

_SECOND_GENERATION = ("chatglm2", "codegeex2")
_NAMES: Mapping[str, str] = {
    "glm4": "GLM-4-0414 or later",
    "glm4_moe": "GLM-4.5 or later",
    "glm4v": "GLM-4.1V, which reads images",
    "chatglm4v": "GLM-4V, which reads images",
}
"""Kinds of GLM that have another architecture, by their `model_type`."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """What the checks look at: the files by name, and the keys of `config.json` (none where it cannot be read)."""

    path: Path
    names: frozenset[str]
    config: Mapping[str, Any]
    adapters: tuple[Path, ...]

    @property
    def weights(self) -> list[Path]:
        """The files that look like weights of ours."""
        return [self.path / name for name in sorted(self.names) if name.endswith(_OURS)]


def check_folder(folder: Path, adapters: Sequence[Path] = ()) -> None:
    """Raise CheckpointError, in one line with the way out, for a folder that cannot be loaded as it is.

    An adapter in the folder is used where it is one of `adapters`.
    """
    looked_at = _look_at(folder, adapters)
    for check in _CHECKS:
        problem = check(looked_at)
        if problem is not None:
            raise CheckpointError(f"{folder} {problem}")


def check_file(path: Path) -> None:
    """Raise CheckpointError for a file where a folder is asked for, and say what it is."""
    what = _foreign(path) or ("weights alone" if path.suffix in _OURS else "a file")
    way = SERVE if _foreign(path) else "pass the folder with config.json, tokenizer and weights"
    raise CheckpointError(f"{path} is {what}, not the folder of a model: {way}")


def _look_at(folder: Path, adapters: Sequence[Path]) -> _Folder:
    names = [path.name for path, _ in zip(folder.iterdir(), range(_MAX_LISTED), strict=False)]
    return _Folder(folder, frozenset(names), _peek(folder / CONFIG_FILE), tuple(each.resolve() for each in adapters))


def _peek(path: Path) -> Mapping[str, Any]:
    """Return a JSON object, or none: what is wrong with the file is said by whoever needs it."""
    try:
        return read_config(path) if path.is_file() else {}
    except CheckpointError:
        return {}


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_LFS))
    except OSError:
        return b""


def _foreign(path: Path) -> str | None:
    return _MAGIC.get(_begins(path)[:4]) or _OTHERS.get(path.suffix.lower())


def _adapter(folder: _Folder) -> str | None:
    if ADAPTER_CONFIG not in folder.names or folder.path.resolve() in folder.adapters:
        return None
    if CONFIG_FILE not in folder.names:
        return f"is an adapter, not a model: -m MODEL --adapter {folder.path}, with the model that it was trained on"
    return (
        f"holds an adapter ({ADAPTER_CONFIG}) beside a model: use both with -m {folder.path} --adapter {folder.path}, "
        f"or move {ADAPTER_CONFIG} away if the weights are merged already"
    )


def _other_programs_file(folder: _Folder) -> str | None:
    for path in folder.weights:
        if (what := _MAGIC.get(_begins(path)[:4])) is not None:
            return f"holds {path.name}, {what}: {SERVE}, or pass the original model"
    if any(name.startswith(("model", "pytorch_model")) and name.endswith(_OURS) for name in folder.names):
        return None
    for name in sorted(folder.names):
        if (what := _foreign(folder.path / name)) is not None:
            return f"holds {name}, {what}, and no weights that are read here: {SERVE}, or pass the original model"
    return None


def _pointers(folder: _Folder) -> str | None:
    pointers = [path.name for path in [*folder.weights, folder.path / "tokenizer.model"] if _begins(path) == _LFS]
    if not pointers:
        return None
    more = f" and {len(pointers) - 1} more" if len(pointers) > 1 else ""
    return f"holds a Git LFS pointer in the place of {pointers[0]}{more}: `git lfs pull` there, or download it again"


def _training_state(folder: _Folder) -> str | None:
    shards = [name for name in folder.names if name.startswith(("global_step", "zero_pp_rank"))]
    if not shards or folder.weights:
        return None
    return (
        f"holds the state of a DeepSpeed training ({min(shards)}), not a model: python zero_to_fp32.py . "
        "pytorch_model.bin in it writes the weights"
    )


def _quantized_elsewhere(folder: _Folder) -> str | None:
    settings = folder.config.get("quantization_config")
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    for name, known in (("quantize_config.json", "gptq"), ("quant_config.json", "awq")):
        method = method or (known if name in folder.names else None)
    if method is None and not settings:
        return None
    return f"is quantised by {str(method)[:40].upper()}: {SERVE}, or pass the original model with --precision int4"


def _quantized_by_the_original(folder: _Folder) -> str | None:
    bits = folder.config.get("quantization_bit")
    if not bits:
        return None
    return (
        f"is quantised by the original code (quantization_bit is {str(bits)[:10]}): pass the original model with "
        "--precision int4 or int8; if its weights are floats, set quantization_bit to 0"
    )


def _first_generation(folder: _Folder) -> str | None:
    first = folder.config.get("position_encoding_2d") or "inner_hidden_size" in folder.config
    return f"is ChatGLM-6B, the first generation, another architecture: {SERVE}" if first else None


def _second_generation(folder: _Folder) -> str | None:
    """Recognise ChatGLM2-6B and CodeGeeX2: ChatGLM3's tensors, keys and vocabulary, but another prompt."""
    if folder.config.get("model_type") != "chatglm":
        return None
    found = next((name for name in _names_given(folder) if _is_second(name)), None)
    code = folder.path / "tokenization_chatglm.py"
    source = code.read_bytes()[:100_000] if code.is_file() else b""
    if found is None and b"[Round " in source and b"<|user|>" not in source:
        found = f"the prompt format of {code.name}"
    if found is None and folder.config.get("seq_length") == 32768 and not folder.config.get("rope_ratio"):
        found = "32,768 tokens of context without a rope_ratio"
    if found is None:
        return None
    return (
        f"is ChatGLM2-6B or CodeGeeX2 ({found[:60]}), which has ChatGLM3's tensors and another prompt: {SERVE}, or use "
        "chatglm3-6b"
    )


def _names_given(folder: _Folder) -> list[str]:
    """Return what config and tokenizer say that the model was called."""
    settings = _peek(folder.path / "tokenizer_config.json")
    given = [folder.config.get("_name_or_path"), settings.get("name_or_path"), settings.get("_name_or_path")]
    return [str(name) for name in given if name]


def _is_second(name: str) -> bool:
    plain = name.lower().replace("-", "").replace("_", "")
    return any(each in plain for each in _SECOND_GENERATION)


def _other_architecture(folder: _Folder) -> str | None:
    kind = folder.config.get("model_type")
    if kind in _NAMES:
        return f"is {_NAMES[str(kind)]}: another architecture; {SERVE}"
    if folder.config.get("vision_config"):
        return f"is a GLM that reads images (vision_config): {SERVE}"
    return None


def _scaled_positions(folder: _Folder) -> str | None:
    scaling = folder.config.get("rope_scaling")
    kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, dict) else scaling
    if not scaling or kind == "default":
        return None
    shown = json.dumps(scaling, ensure_ascii=False)[:60]
    return (
        f"has rope_scaling {shown} in config.json, which is not computed here: {SERVE}, or remove it and keep to the "
        "original context"
    )


_CHECKS: tuple[Callable[[_Folder], str | None], ...] = (
    _adapter,
    _other_programs_file,
    _pointers,
    _training_state,
    _quantized_elsewhere,
    _quantized_by_the_original,
    _first_generation,
    _second_generation,
    _other_architecture,
    _scaled_positions,
)
