"""ChatGLM3 on this machine, in batches, with answers confined to schema and document.

Turns prompts into token ids and answers back into text; how they are decoded is the engine's business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GlmForCausalLM

from extractor.chatglm3 import Tokenizer, load_model, read_shape, resolve
from extractor.config import ModelConfig
from extractor.engine import batch
from extractor.engine.constraint import Vocabulary
from extractor.errors import ModelError
from extractor.types import Completion, Prompt, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: GlmForCausalLM
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True)
class _Waiting:
    prompt: Prompt
    ids: tuple[int, ...]
    since: float


class Backend:
    """A queue in front of a local model: the prompts that wait are answered a batch at a time, like lengths together.

    Out of memory halves the batch and goes on; a single prompt that does not fit comes back as an `error`.
    Raises ModelError on entering when the model cannot be had.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._location = resolve(config.model, revision=config.revision, offline=config.offline)
        self._shape = read_shape(self._location.path)
        self._tokenizer = Tokenizer(self._location.path)
        self._newline = tuple(self._tokenizer.encode("\n"))
        self._batch_size = config.batch_size
        self._waiting: list[_Waiting] = []
        self._finished: list[Completion] = []
        self._loaded: _Loaded | None = None
        self.name = self._location.name

    @property
    def context(self) -> int:
        return self._shape.context

    @property
    def identity(self) -> str:
        return f"{self._location.identity} {self._config.precision}"

    def __enter__(self) -> Backend:
        model = load_model(self._location.path, self._config.precision, self._config.device)
        self._loaded = _Loaded(model, Vocabulary(self._tokenizer, self._shape.vocab_size))
        return self

    def __exit__(self, *exc: object) -> None:
        self._loaded = None
        self._waiting.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text))

    def submit(self, prompt: Prompt) -> None:
        ids = tuple(self._tokenizer.chat_prompt(prompt.messages)) + self._newline
        if len(ids) + prompt.max_tokens > self.context:
            detail = f"{len(ids)} tokens and {prompt.max_tokens} for the answer exceed the context of {self.context}"
            self._finished.append(Completion(prompt, "", "overflow", Usage(len(ids)), detail=detail))
        else:
            self._waiting.append(_Waiting(prompt, ids, time.perf_counter()))

    @property
    def _ready(self) -> _Loaded:
        if self._loaded is None:
            raise ModelError("The model is not loaded: use the backend in a `with` block.")
        return self._loaded

    def collect(self) -> list[Completion]:
        if not self._finished and self._waiting:
            self._finished = self._answer(self._take())
        finished, self._finished = self._finished, []
        return finished

    def _take(self) -> list[_Waiting]:
        """The prompt that has waited longest and those nearest to it in length: little padding, nobody starves."""
        oldest = self._waiting[0]
        nearest = sorted(self._waiting, key=lambda item: abs(len(item.ids) - len(oldest.ids)))[: self._batch_size]
        taken = {id(item) for item in nearest}
        self._waiting = [item for item in self._waiting if id(item) not in taken]
        return nearest

    def _answer(self, items: Sequence[_Waiting]) -> list[Completion]:
        """Answer all, as many at a time as memory allows; what it does not allow even alone is an `error`."""
        finished: list[Completion] = []
        while len(finished) < len(items):
            part = items[len(finished) :][: self._batch_size]
            try:
                requests = [self._request(item) for item in part]
                answers = batch.generate(self._ready.model, requests, self._tokenizer.stop_ids)
                finished += [self._completion(item, answer) for item, answer in zip(part, answers, strict=True)]
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                finished += self._shrink(part)
        return finished

    def _shrink(self, part: Sequence[_Waiting]) -> list[Completion]:
        """After out of memory: halve the batch from here on, or give up on a prompt that was alone."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(part) == 1:
            detail = f"out of memory with {len(part[0].ids)} tokens; free memory, or use a lower --precision"
            return [Completion(part[0].prompt, "", "error", Usage(len(part[0].ids)), detail=detail)]
        self._batch_size = len(part) // 2
        log.warning("out of memory; going on with batches of %d", self._batch_size)
        return []

    def _request(self, item: _Waiting) -> batch.Request:
        prompt = item.prompt
        constraint = self._ready.vocabulary.constrain(prompt.task, prompt.chunk.text) if prompt.constrain else None
        return batch.Request(item.ids, prompt.max_tokens, prompt.sampling, constraint)

    def _completion(self, item: _Waiting, answer: batch.Answer) -> Completion:
        """Text and tokens of an answer. The newline that ChatGLM3 begins with was given; the space behind it goes."""
        decoder = self._tokenizer.decoder()
        pieces = [decoder.feed(token) for token in answer.ids]
        if pieces:
            pieces[-1] += decoder.flush()
        start = len("".join(pieces)) - len("".join(pieces).lstrip())
        tokens = tuple(zip(_without_first(pieces, start), answer.logprobs, strict=True))
        usage = Usage(len(item.ids), len(answer.ids), time.perf_counter() - item.since)
        text = "".join(piece for piece, _ in tokens)
        return Completion(item.prompt, text, answer.finish or "length", usage, tokens)


def _without_first(pieces: Sequence[str], count: int) -> list[str]:
    """The pieces without the first `count` characters of their text."""
    trimmed = []
    for piece in pieces:
        trimmed.append(piece[count:])
        count = max(0, count - len(piece))
    return trimmed


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
