"""ChatGLM3 on this machine, in batches, with answers confined to schema and document.

Turns prompts into token ids and answers back into text, beside the engine, which has a thread of its own; how they are
decoded is its business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from extractor.chatglm3 import Tokenizer, read_dims, resolve
from extractor.chatglm3.checkpoint import load_parameters
from extractor.config import ModelConfig
from extractor.data import Completion, Prompt, Usage
from extractor.engine import platform
from extractor.engine.constraint import Vocabulary
from extractor.engine.engine import Answer, Engine, Limits, Request
from extractor.engine.engine_thread import Stepper
from extractor.engine.model_runner import Runner
from extractor.engine.sequence import Constrain
from extractor.errors import ModelError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Flight:
    prompt: Prompt
    tokens: int
    since: float


@dataclass(frozen=True, slots=True)
class _Loaded:
    engine: Engine
    stepper: Stepper[_Flight, Request, Answer]
    vocabulary: Vocabulary


class Backend:
    """A queue in front of a local model: prompts join and leave its batch at every step. It is used by one thread at a
    time; leaving it waits for the step that is under way and drops what is in flight.

    A prompt whose keys and values do not fit into memory, even alone, comes back as an `error`.
    Raises ModelError on entering when the model cannot be had.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._location = resolve(config.model, revision=config.revision, offline=config.offline)
        self._shape = read_dims(self._location.path)
        self._tokenizer = Tokenizer(self._location.path)
        self._newline = tuple(self._tokenizer.encode("\n"))
        self._finished: list[Completion] = []
        self._loaded: _Loaded | None = None
        platform.share_an_arena()
        self.name = self._location.name

    @property
    def context(self) -> int:
        return self._shape.context

    @property
    def identity(self) -> str:
        return f"{self._location.identity} {self._config.precision}"

    def __enter__(self) -> Backend:
        platform.prepare(self._shape.parameters)
        runner = Runner(load_parameters(self._location.path, self._config.precision, self._config.device))
        device = runner.shape.device
        cache = self._config.kv_memory or platform.free_for_cache(device)
        limits = Limits(self._config.batch_size, platform.step_tokens(device), platform.guessing_rows(device))
        engine = Engine(runner, self._tokenizer.stop_ids, limits, cache)
        vocabulary = Vocabulary(self._tokenizer, self._shape.vocab_size)
        platform.end_idle_threads()
        stepper = Stepper[_Flight, Request, Answer](engine, partial(torch.set_num_threads, torch.get_num_threads()))
        self._loaded = _Loaded(engine, stepper, vocabulary)
        return self

    def __exit__(self, *exc: object) -> None:
        loaded, self._loaded = self._loaded, None
        self._finished.clear()
        if loaded is not None:
            loaded.stepper.close()
            log.info("engine: %s", loaded.engine.statistics)
        del loaded
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text))

    def submit(self, prompt: Prompt) -> None:
        ids = tuple(self._tokenizer.chat_prompt(prompt.messages)) + self._newline
        if len(ids) + prompt.max_tokens > self.context:
            detail = f"{len(ids)} tokens and {prompt.max_tokens} for the answer exceed the context of {self.context}"
            self._finished.append(Completion(prompt, "", "overflow", Usage(len(ids)), detail=detail))
            return
        request = Request(ids, prompt.max_tokens, prompt.sampling, self._constrain(prompt))
        self._ready.stepper.submit(_Flight(prompt, len(ids), time.perf_counter()), request)

    @property
    def _ready(self) -> _Loaded:
        if self._loaded is None:
            raise ModelError("The model is not loaded: use the backend in a `with` block.")
        return self._loaded

    def collect(self) -> list[Completion]:
        if self._loaded is not None:
            answered = self._loaded.stepper.collect(wait=not self._finished)
            self._finished += [self._completion(flight, answer) for flight, answer in answered]
        finished, self._finished = self._finished, []
        return finished

    def _constrain(self, prompt: Prompt) -> Constrain | None:
        if not prompt.constrain:
            return None
        return partial(self._ready.vocabulary.constrain, prompt.task, prompt.chunk.text)

    def _completion(self, flight: _Flight, answer: Answer) -> Completion:
        """Text and tokens of an answer. The newline that ChatGLM3 begins with was given; the space behind it goes."""
        usage = Usage(flight.tokens, len(answer.ids), time.perf_counter() - flight.since)
        if answer.finish == "memory":
            detail = f"out of memory with {flight.tokens} tokens; free memory, raise --kv-memory or lower --precision"
            return Completion(flight.prompt, "", "error", usage, detail=detail)
        decoder = self._tokenizer.decoder()
        pieces = [decoder.feed(token) for token in answer.ids]
        if pieces:
            pieces[-1] += decoder.flush()
        start = len("".join(pieces)) - len("".join(pieces).lstrip())
        tokens = tuple(zip(_without_first(pieces, start), answer.logprobs, strict=True))
        text = "".join(piece for piece, _ in tokens)
        return Completion(flight.prompt, text, answer.finish or "length", usage, tokens)


def _without_first(pieces: Sequence[str], count: int) -> list[str]:
    """The pieces without the first `count` characters of their text."""
    trimmed = []
    for piece in pieces:
        trimmed.append(piece[count:])
        count = max(0, count - len(piece))
    return trimmed
