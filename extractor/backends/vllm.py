"""vLLM in this process, for a machine whose owner prefers that engine. It reads models in the layout of transformers.

The grammar that confines verbatim values to the document is the local engine's own; vLLM enforces it with guidance.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractor.backends._support.align_tokens import align_tokens
from extractor.backends._support.escape_control_tokens import escape_control_tokens
from extractor.chatglm3 import checkpoint_files
from extractor.config import ModelConfig
from extractor.data import Completion, Json, Prompt, Usage
from extractor.errors import CheckpointError, ModelError, UsageError
from extractor.task.answer_grammar import ANY_LEAD, grammar

QUIET = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""What vLLM reads while it is imported: stdout carries nothing but rows. The user's settings take precedence."""

os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})

import vllm  # noqa: E402
from vllm import EngineArgs, LLMEngine, SamplingParams  # noqa: E402
from vllm.platforms import current_platform  # noqa: E402
from vllm.sampling_params import StructuredOutputsParams  # noqa: E402
from vllm.tokenizers import get_tokenizer  # noqa: E402

_EXPORT = "vLLM reads the layout of transformers: extractor models export MODEL FOLDER, then -m FOLDER"
_DTYPES = {"half": "auto", "float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}
"""`--precision` -> vLLM's name; `half` is the type that the folder says."""
_TEXT_FILES = ("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class _InFlight:
    prompt: Prompt
    tokens: int
    since: float


class Backend:
    """A queue in front of vLLM's engine: prompts join and leave its batch at every step.

    Creating raises CheckpointError for a folder that vLLM does not read, entering ModelError when the model cannot be
    loaded.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._dtype = _dtype(config)
        self._folder = _folder(config.model)
        self._shape = _shape(self._folder)
        self._tokenizer = get_tokenizer(str(self._folder))
        self._numbers = map(str, itertools.count())
        self._in_flight: dict[str, _InFlight] = {}
        self._finished: list[Completion] = []
        self._engine: LLMEngine | None = None
        self.name = self._folder.name
        self.context = int(self._shape["max_position_embeddings"])

    @property
    def identity(self) -> str:
        files = [self._folder / name for name in _TEXT_FILES if (self._folder / name).is_file()]
        digest = checkpoint_files.digest_of((*files, *checkpoint_files.weight_files(self._folder)))
        return f"sha256:{digest[:32]} vllm {vllm.__version__} {self._config.precision}"

    def __enter__(self) -> Backend:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        arguments = EngineArgs(
            model=str(self._folder),
            dtype=self._dtype,
            max_num_seqs=self._config.batch_size,
            max_model_len=self.context,
            kv_cache_memory_bytes=self._config.kv_memory,
            enforce_eager=current_platform.is_cpu(),
            enable_prefix_caching=True,
            disable_log_stats=True,
        )
        try:
            self._engine = LLMEngine.from_engine_args(arguments)
        except (ValueError, RuntimeError, OSError) as error:
            message = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelError(f"vLLM cannot load {self._folder}: {message}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        if self._engine is not None:
            self._engine.engine_core.shutdown()
        self._engine = None
        self._in_flight.clear()

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, without special ones."""
        return len(self._tokenizer.encode(escape_control_tokens(text), add_special_tokens=False))

    def submit(self, prompt: Prompt) -> None:
        """Add a request to the engine; a prompt beyond the context is answered at once, with `overflow`."""
        messages = [{"role": each.role, "content": escape_control_tokens(each.content)} for each in prompt.messages]
        ids = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if len(ids) + prompt.max_tokens > self.context:
            detail = f"{len(ids)} tokens and {prompt.max_tokens} for the answer exceed the context of {self.context}"
            self._finished.append(Completion(prompt, "", "overflow", Usage(len(ids)), detail=detail))
            return
        number = next(self._numbers)
        self._in_flight[number] = _InFlight(prompt, len(ids), time.perf_counter())
        self._ready.add_request(number, {"prompt_token_ids": list(ids)}, _sampling(prompt))

    @property
    def _ready(self) -> LLMEngine:
        if self._engine is None:
            raise ModelError("The model is not loaded: use the backend in a `with` block.")
        return self._engine

    def collect(self) -> list[Completion]:
        """Step the engine until an answer is finished."""
        while not self._finished and self._in_flight:
            for output in self._ready.step():
                if output.finished:
                    self._finished.append(_completion(self._in_flight.pop(output.request_id), output.outputs[0]))
        finished, self._finished = self._finished, []
        return finished


def _sampling(prompt: Prompt) -> SamplingParams:
    constraint = None
    if prompt.constrain:
        constraint = StructuredOutputsParams(grammar=grammar(prompt.task, prompt.chunk.text, lead=ANY_LEAD))
    return SamplingParams(
        temperature=prompt.sampling.temperature,
        seed=prompt.sampling.seed,
        max_tokens=prompt.max_tokens,
        logprobs=0,
        structured_outputs=constraint,
    )


def _completion(request: _InFlight, output: Any) -> Completion:
    usage = Usage(request.tokens, len(output.token_ids), time.perf_counter() - request.since)
    decoding = "grammar" if request.prompt.constrain else "none"
    if output.finish_reason not in ("stop", "length"):
        detail = f"vLLM gave up: {output.finish_reason}"
        return Completion(request.prompt, "", "error", usage, detail=detail, decoding=decoding)
    tokens = align_tokens(output.text, _tokens(output))
    return Completion(request.prompt, output.text.strip(), output.finish_reason, usage, tokens, decoding=decoding)


def _tokens(output: Any) -> Iterator[tuple[str, float]]:
    """Yield the tokens of the answer, as vLLM spells them, with their log-probabilities."""
    for token, choices in zip(output.token_ids, output.logprobs or (), strict=False):
        yield choices[token].decoded_token or "", choices[token].logprob


def _dtype(config: ModelConfig) -> str:
    if config.precision not in _DTYPES:
        raise UsageError(f"--backend vllm has no --precision {config.precision}: {', '.join(_DTYPES)}.")
    if config.device != "auto" or config.revision:
        raise UsageError("--backend vllm takes the device that it finds, and a folder has no revision: leave out both.")
    return _DTYPES[config.precision]


def _folder(model: str) -> Path:
    folder = Path(os.path.expanduser(model))
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{model} is not a folder with a model. {_EXPORT}.")
    return folder.resolve()


def _shape(folder: Path) -> Mapping[str, Json]:
    """Return the `config.json`, if it is of the layout of transformers."""
    try:
        shape: Json = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'} is not JSON: copy the model again.") from error
    if not isinstance(shape, dict) or not isinstance(shape.get("max_position_embeddings"), int):
        raise CheckpointError(f"{folder} is in another layout. {_EXPORT}.")
    return shape
