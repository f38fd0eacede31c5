"""Talk to a ChatGLM3: `response, history = model.chat("你好", history=[])`, or the same streamed.

The original's `model.chat(tokenizer, "你好", history=[])` works as well. The history is the original's: a list of dicts
`{"role", "content", "metadata"?, "tools"?}`. When it exceeds the context, the oldest turns are left out of the prompt
(never the system turn or the question) and a warning is logged; the history itself keeps them. This module does not
know documents, schemas or batches.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

from transformers import GlmForCausalLM

from extractor.chatglm3.adapters import VirtualTokens, adapters_of
from extractor.chatglm3.chat_format import ASSISTANT, PROMPT_START, Turn, with_system
from extractor.chatglm3.chat_tokenizer import ChatTokenizer, load_tokenizer
from extractor.chatglm3.generation import GenerationOptions, generate
from extractor.chatglm3.hub import resolve
from extractor.chatglm3.layouts import read_dims
from extractor.chatglm3.tokenizer import IncrementalDecoder
from extractor.chatglm3.tool_calls import LONGEST_NAME, Response, assistant_turn, is_tool_line, response_of
from extractor.chatglm3.transformers_model import load_model
from extractor.errors import UsageError

_log = logging.getLogger(__name__)

_FRAME = len(PROMPT_START) + 1
"""Tokens of a prompt outside its turns: `[gMASK] sop` and the opened `<|assistant|>`."""


class ChatOptions(TypedDict, total=False):
    """Options of `chat` and `stream`. `system` and `tools` replace the history's system turn; `role` is `observation`
    when `query` is a tool's result; the others are those of `GenerationOptions`."""

    system: str | None
    tools: Sequence[Mapping[str, Any]] | None
    role: str
    max_tokens: int
    temperature: float
    top_p: float
    seed: int


class Answer:
    """An answer being decoded: iterate for its text; then `response` and `history` are complete.

    The iteration yields only text: a tool call is in `response`. `dropped` is the number of old turns that were left
    out of the prompt to fit the context.
    """

    def __init__(self, ids: Iterator[int], tokenizer: ChatTokenizer, history: list[Turn], dropped: int = 0) -> None:
        self.dropped = dropped
        self._history = history
        self._turns: list[str] = [""]
        self._shown = _VisibleText()
        self._text = (text for text in self._decode(ids, tokenizer) if text)

    def __iter__(self) -> Iterator[str]:
        return self._text

    @property
    def response(self) -> Response:
        """Text, or a tool call `{"name", "parameters"}`. Decodes the rest of the answer first."""
        return response_of(self.history[-1])

    @property
    def history(self) -> list[Turn]:
        """The turns up to and including this answer. Decodes the rest of the answer first."""
        for _ in self._text:
            pass
        return [*self._history, *map(assistant_turn, self._turns)]

    def _decode(self, ids: Iterator[int], tokenizer: ChatTokenizer) -> Iterator[str]:
        decoder = tokenizer.decoder()
        for token in ids:
            if token == tokenizer.special.get(ASSISTANT):
                yield self._end_turn(decoder)
                self._begin_turn()
            else:
                yield self._add(decoder.feed(token))
        yield self._end_turn(decoder)

    def _add(self, text: str) -> str:
        self._turns[-1] += text
        return self._shown.feed(text)

    def _begin_turn(self) -> None:
        self._turns.append("")
        self._shown = _VisibleText()

    def _end_turn(self, decoder: IncrementalDecoder) -> str:
        return self._add(decoder.flush()) + self._shown.flush()


class _VisibleText:
    """A filter that holds back the metadata line of a turn, and all of a turn that is a tool call."""

    def __init__(self) -> None:
        self._held = ""
        self._open = False
        self._tool = False

    def feed(self, text: str) -> str:
        if self._open:
            return text
        self._held += text
        line, newline, rest = self._held.partition("\n")
        if self._tool or (newline and line.strip() and is_tool_line(line)):
            self._tool = True
            return ""
        if newline or len(self._held) > LONGEST_NAME:
            return self._release(rest if newline and not line.strip() else self._held)
        return ""

    def flush(self) -> str:
        return "" if self._open or self._tool else self._release(self._held)

    def _release(self, text: str) -> str:
        """Let text through from the first character that is not white space."""
        visible = text.lstrip()
        self._open = bool(visible)
        self._held = "" if visible else "\n"
        return visible


class ChatGLM3:
    """A loaded model with its tokenizer. `load` is the usual way to get one."""

    def __init__(self, model: GlmForCausalLM, tokenizer: ChatTokenizer, prefix: VirtualTokens | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.prefix = prefix

    @classmethod
    def load(
        cls,
        model: str | Path = "demo",
        precision: str = "half",
        device: str = "auto",
        *,
        revision: str | None = None,
        offline: bool = False,
        adapters: Sequence[str | Path] = (),
    ) -> ChatGLM3:
        """Load by name (`chatglm3-6b`, `demo`, ...; downloaded once) or from a folder, with adapters or without.

        Raises DownloadError, CheckpointError or ModelError, each in one line with the next step.
        """
        location = resolve(model, revision=revision, offline=offline, adapters=adapters)
        dims = read_dims(location.path)
        tokenizer = load_tokenizer(location.path, dims)
        adapter = adapters_of(location.path, location.adapters, dims)
        network = load_model(location.path, precision, device, adapter)
        return cls(network, tokenizer, adapter.prefix)

    @property
    def context(self) -> int:
        """Maximum length of prompt and answer together, in tokens."""
        return int(self.model.config.max_position_embeddings)

    @overload
    def chat(
        self, query: str, history: Sequence[Turn] | None = None, **options: Unpack[ChatOptions]
    ) -> tuple[Response, list[Turn]]: ...

    @overload
    def chat(
        self, tokenizer: object, query: str, history: Sequence[Turn] | None = None, **options: Unpack[ChatOptions]
    ) -> tuple[Response, list[Turn]]: ...

    def chat(self, *question: Any, **options: Any) -> tuple[Response, list[Turn]]:
        """Return the response to `chat(query, history)`, text or a tool call as parsed data, and the history with both.

        A tokenizer may come first, as in the original: `chat(tokenizer, query, history)`. The model uses its own, which
        is the right one. Greedy unless a temperature is given. The history that was passed in is not changed. Raises
        UsageError where the question alone exceeds the context.
        """
        answer = self.stream(*_without_tokenizer(question), **options)
        return answer.response, answer.history

    def stream(self, query: str, history: Sequence[Turn] | None = None, **options: Unpack[ChatOptions]) -> Answer:
        """Return the same as `chat`, to be iterated for pieces of text that never end in half a character."""
        fields = dict(options)
        system, tools, role = fields.pop("system", None), fields.pop("tools", None), fields.pop("role", "user")
        generation = GenerationOptions(**fields)  # type: ignore[arg-type]
        turns = with_system(list(history or ()), system, tools)  # type: ignore[arg-type]
        turns = [*turns, {"role": role, "content": query}]
        kept = self._fit(turns, generation.max_tokens)
        prompt = self.tokenizer.chat_prompt(kept)
        room = self.context - len(prompt)
        generation = replace(generation, max_tokens=min(generation.max_tokens, room))
        ids = generate(self.model, prompt, self.tokenizer.stop_ids, generation, self.prefix)
        return Answer(ids, self.tokenizer, turns, dropped=len(turns) - len(kept))

    def _fit(self, turns: list[Turn], max_tokens: int) -> list[Turn]:
        """Drop the oldest turns until the prompt leaves room for the answer (at most half the context is reserved)."""
        budget = self.context - min(max_tokens, self.context // 2)
        kept = fit_turns(turns, [len(self.tokenizer.encode_turn(turn)) for turn in turns], budget - _FRAME)
        if len(kept) < len(turns):
            _log.warning("the chat exceeds the context of %d tokens: old turns are left out", self.context)
        return kept


def _without_tokenizer(question: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of `chat` without a tokenizer. Raise UsageError for what is none in its place."""
    if not question or isinstance(question[0], str):
        return question
    if not (hasattr(question[0], "encode") and hasattr(question[0], "decode")):
        kind = type(question[0]).__name__
        raise UsageError(f'the question is a {kind}: write chat("你好", history), or chat(tokenizer, "你好", history)')
    return question[1:]


def fit_turns(turns: list[Turn], lengths: Sequence[int], budget: int) -> list[Turn]:
    """Return the turns that fit `budget` tokens: a leading system turn, the last turn, and the newest between them.

    After the system turn comes a user's turn, so that no answer is kept without its question. `lengths` are in tokens.
    Raises UsageError where the system turn and the last turn alone do not fit.
    """
    first = 1 if turns[0].get("role") == "system" and len(turns) > 1 else 0
    room = budget - sum(lengths[:first]) - lengths[-1]
    if room < 0:
        raise UsageError(
            f"the question takes {budget - room} tokens and the model has room for {budget}: shorten it, ask for a "
            "shorter answer (max_tokens) or use chatglm3-6b-32k"
        )
    start = len(turns) - 1
    while start > first and lengths[start - 1] <= room:
        start -= 1
        room -= lengths[start]
    while first < start < len(turns) - 1 and turns[start].get("role") != "user":
        start += 1
    return [*turns[:first], *turns[start:]]
