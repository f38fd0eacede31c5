"""ChatGLM3 on this machine, in batches, with answers constrained to schema and document.

Turns prompts into token ids and outputs back into text, beside the engine, which has a thread of its own.
Does not know how they are decoded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from extractor.chatglm3 import read_dims, resolve
from extractor.chatglm3.adapters import adapters_of
from extractor.chatglm3.chat_tokenizer import load_tokenizer
from extractor.chatglm3.checkpoint import load_parameters
from extractor.config import ModelConfig
from extractor.data import Completion, Prompt, Usage
from extractor.engine import platforms
from extractor.engine.constraint import Vocabulary
from extractor.engine.engine import Engine, Output, Request, SchedulerConfig
from extractor.engine.engine_thread import EngineThread
from extractor.engine.model_runner import ModelRunner
from extractor.engine.sequence import Constrain
from extractor.errors import ModelError
from extractor.failures import internal

log = logging.getLogger(__name__)

TAKES_ADAPTERS = True
HOPELESS = 8
"""So many answers of NaN or infinity, and no other, end the run."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    prompt: Prompt
    tokens: int
    since: float


@dataclass(frozen=True, slots=True)
class _Loaded:
    engine: Engine
    thread: EngineThread[_InFlight, Request, Output]
    vocabulary: Vocabulary


class Backend:
    """A queue in front of a local model: prompts join and leave its batch at every step.

    It is used by one thread at a time; leaving it waits for the current step and drops what is in flight.
    A prompt whose keys and values do not fit into memory, even alone, comes back as an `error`, one for which the model
    computes NaN or infinity as `numerics`; where the first answers are all so, collecting more raises ModelError.
    Entering it raises ModelError when the model cannot be loaded.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._location = resolve(config.model, config.revision, config.offline, config.adapters)
        self._shape = read_dims(self._location.path)
        self._adapter = adapters_of(self._location.path, self._location.adapters, self._shape)
        self._tokenizer = load_tokenizer(self._location.path, self._shape)
        # Placeholders: the engine has their keys and values without reading them.
        self._virtual = (0,) * len(self._adapter.prefix or ())
        self._finished: list[Completion] = []
        self._num_finite = self._num_nonfinite = 0  # answers
        self._loaded: _Loaded | None = None
        platforms.use_one_arena()
        self.name = self._location.name

    @property
    def context(self) -> int:
        return self._shape.context

    @property
    def identity(self) -> str:
        return f"{self._location.identity} {self._config.precision}"

    def __enter__(self) -> Backend:
        platforms.tune_process(self._shape.parameters)
        model = load_parameters(self._location.path, self._config.precision, self._config.device, self._adapter)
        runner = ModelRunner(model, self._adapter.prefix)
        device = runner.kv_shape.device
        cache_bytes = self._config.kv_memory or platforms.kv_cache_budget(device)
        config = SchedulerConfig(
            self._config.batch_size,
            platforms.max_batched_tokens(device),
            platforms.speculative_rows(device),
            platforms.tokens_beside_first(device),
        )
        engine = Engine(runner, self._tokenizer.stop_ids, config, cache_bytes)
        vocabulary = Vocabulary(self._tokenizer, self._shape.vocab_size)
        platforms.end_idle_threads()
        # A new thread of Python starts with torch's default number of threads, not with this one's.
        prepare = partial(torch.set_num_threads, torch.get_num_threads())
        thread = EngineThread[_InFlight, Request, Output](engine, prepare)
        self._loaded = _Loaded(engine, thread, vocabulary)
        return self

    def __exit__(self, *exc: object) -> None:
        loaded, self._loaded = self._loaded, None
        self._finished.clear()
        if loaded is not None:
            loaded.thread.close()
            log.info("engine: %s", loaded.engine.statistics)
        del loaded
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text))

    def submit(self, prompt: Prompt) -> None:
        ids = tuple(self._tokenizer.answer_prompt(prompt.messages))
        if len(ids) + prompt.max_tokens > self.context:
            detail = f"{len(ids)} tokens and {prompt.max_tokens} for the answer exceed the context of {self.context}"
            self._finished.append(Completion(prompt, "", "overflow", Usage(len(ids)), detail=detail))
            return
        request = Request(self._virtual + ids, prompt.max_tokens, prompt.sampling, self._constrain(prompt))
        if (ended := self._ready.thread.error) is not None:  # a broken machine, which is not for this prompt to tell
            raise ModelError(f"The engine has ended: {ended}. Run the same line again to resume.") from ended
        self._ready.thread.submit(_InFlight(prompt, len(ids), time.perf_counter()), request)

    @property
    def _ready(self) -> _Loaded:
        if self._loaded is None:
            raise ModelError("The model is not loaded: use the backend in a `with` block.")
        return self._loaded

    def collect(self) -> list[Completion]:
        if not self._num_finite and self._num_nonfinite >= HOPELESS:
            raise ModelError(f"All answers so far are unusable: {self._nonfinite}")
        if self._loaded is not None:
            outputs = self._loaded.thread.collect(wait=not self._finished)
            self._finished += [self._completion(flight, output) for flight, output in outputs]
        finished, self._finished = self._finished, []
        return finished

    def _constrain(self, prompt: Prompt) -> Constrain | None:
        if not prompt.constrain:
            return None
        return partial(self._ready.vocabulary.constrain, prompt.task, prompt.chunk.text)

    @property
    def _nonfinite(self) -> str:
        precision = self._config.precision
        advice = {"bfloat16": "--precision float32", "float32": "another checkpoint"}.get(
            precision, "--precision bfloat16"
        )
        return f"the model computed NaN or infinity with --precision {precision}: use {advice}"

    def _completion(self, flight: _InFlight, output: Output) -> Completion:
        """Return the text and tokens of an output.

        The newline that ChatGLM3 begins an answer with is part of the prompt; the space after it is dropped.
        """
        usage = Usage(flight.tokens, len(output.ids), time.perf_counter() - flight.since)
        if output.finish == "memory":
            detail = f"out of memory with {flight.tokens} tokens; free memory, raise --kv-memory or lower --precision"
            return Completion(flight.prompt, "", "error", usage, detail=detail)
        if output.error is not None:
            problem = internal(flight.prompt.chunk.document.id, output.error)
            return Completion(flight.prompt, "", "internal", usage, detail=problem.message)
        if output.finish == "numerics":
            self._num_nonfinite += 1
            return Completion(flight.prompt, "", "numerics", usage, detail=self._nonfinite)
        self._num_finite += 1
        decoder = self._tokenizer.decoder()
        pieces = [decoder.feed(token) for token in output.ids]
        if pieces:
            pieces[-1] += decoder.flush()
        start = len("".join(pieces)) - len("".join(pieces).lstrip())
        tokens = tuple(zip(_without_first(pieces, start), output.logprobs, strict=True))
        text = "".join(piece for piece, _ in tokens)
        finish: Literal["stop", "length"] = "stop" if output.finish == "stop" else "length"
        return Completion(flight.prompt, text, finish, usage, tokens)


def _without_first(pieces: Sequence[str], count: int) -> list[str]:
    """Return the pieces without the first `count` characters of their text."""
    trimmed = []
    for piece in pieces:
        trimmed.append(piece[count:])
        count = max(0, count - len(piece))
    return trimmed
