"""Which tokens may come next: llguidance's matcher over a SentencePiece vocabulary.

A `Vocabulary` is made once per model (about 0.1 s), a `Constraint` once per prompt. Masks are numpy arrays on the CPU;
this module knows no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import llguidance
import numpy as np
from llguidance.numpy import fill_next_token_bitmask

from extractor.chatglm3.tokenizer import Tokenizer
from extractor.task.answer_grammar import grammar
from extractor.task.task import Task

Bits = np.ndarray[tuple[int, int], np.dtype[np.uint32]]
"""Rows of token masks: bit `t % 32` of word `t // 32` says whether token t may come."""

log = logging.getLogger(__name__)

# A long document makes a large automaton, which is wanted here: work is bounded by the model's context, not by fuel.
_LIMITS = llguidance.LLParserLimits(initial_lexer_fuel=10**9, step_lexer_fuel=10**8, max_lexer_states=4_000_000)


class Vocabulary:
    """The tokens of a model as llguidance needs them. `size` is the width of the model's output layer."""

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self.size = size
        wrapper = llguidance.TokenizerWrapper(tokenizer.constraint_vocabulary(size))
        self._tokens = llguidance.LLTokenizer(wrapper, n_vocab=size)
        self._last: tuple[str, llguidance.LLMatcher | None] = ("", None)

    def constrain(self, task: Task, text: str) -> Constraint | None:
        """A constraint for answers about `text`; None when the schema is more than the grammar can take.

        The answer is then decoded freely, and parsing, validation and grounding judge it as they judge all answers.
        """
        matcher = self._matcher(grammar(task, text))
        if matcher.is_error():
            log.warning("schema %s cannot be made a grammar; answers are decoded freely", task.name)
            return None
        return Constraint(matcher, self.size)

    def _matcher(self, source: str) -> llguidance.LLMatcher:
        """A new matcher; the last one is kept to copy, since a grammar without verbatim fields is always the same."""
        known, matcher = self._last
        if matcher is None or source != known:
            parsed = llguidance.LLMatcher.grammar_from_lark(source)
            matcher = llguidance.LLMatcher(self._tokens, parsed, log_level=0, limits=_LIMITS)
            self._last = source, matcher
        return matcher.deep_copy()


class Constraint:
    """The state of one answer."""

    def __init__(self, matcher: llguidance.LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._size = size

    @property
    def done(self) -> bool:
        """Whether the answer is complete, so that nothing but its end may follow."""
        return bool(self._matcher.is_stopped())

    def masks(self, draft: Sequence[Sequence[int]] = ()) -> Bits:
        """Which tokens may come next now and behind each part of a draft: rows of bits, 32 tokens a word."""
        bits = np.zeros((1 + len(draft), (self._size + 31) // 32), dtype=np.int32)
        taken = 0
        for row, part in enumerate((*draft, ())):
            fill_next_token_bitmask(self._matcher, bits, row)
            taken += self._matcher.try_consume_tokens(list(part))
        self._matcher.rollback(taken)
        return bits.view(np.uint32)

    def draft(self, guess: Callable[[Sequence[int]], int | None], most: int) -> list[list[int]]:
        """What may come next if guesses are right: each part is a guess and the tokens that it forces.

        `guess` is told the tokens drafted so far. It ends at the first guess that is not allowed. Nothing is taken.
        """
        parts: list[list[int]] = []
        taken = 0
        while taken < most and not self.done:
            token = guess([token for part in parts for token in part])
            if token is None or not self._matcher.try_consume_tokens([token]):
                break
            parts.append([token, *self.forced()])
            taken += len(parts[-1])
        self._matcher.rollback(taken)
        return parts

    def advance(self, token: int) -> bool:
        """Take a token; False when the grammar does not allow it (the answer then ends there)."""
        return bool(self._matcher.consume_token(token))

    def forced(self) -> list[int]:
        """Take the tokens that must come next, if any, as the tokenizer would write them."""
        tokens: list[int] = [] if self.done else self._matcher.compute_ff_tokens()
        return tokens[: self._matcher.try_consume_tokens(tokens)] if tokens else []
