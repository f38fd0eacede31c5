"""Constrained decoding: which tokens may come next, by llguidance's matcher over a SentencePiece vocabulary.

A `Vocabulary` is made once per model (about 0.1 s), a `Constraint` once per prompt. Masks are numpy arrays on the CPU;
this module does not know torch, nor how tokens are sampled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

import llguidance
import numpy as np
from llguidance.numpy import fill_next_token_bitmask

from extractor.chatglm3.chat_tokenizer import ChatTokenizer
from extractor.engine.list_ends import Commas, ListEnds, Places, TokenRow
from extractor.engine.speculation import Draft
from extractor.task.answer_grammar import grammar
from extractor.task.task import Task

TokenBitmask = np.ndarray[tuple[int, int], np.dtype[np.uint32]]
"""Token masks (rows, ceil(vocabulary / 32)): bit `t % 32` of word `t // 32` says whether token t may come."""

Propose = Callable[[Sequence[int]], int | None]
"""Given the tokens drafted so far, the next draft token, or None."""

log = logging.getLogger(__name__)

# A long document makes a large automaton, which is wanted here: work is bounded by the model's context, not by fuel.
_LIMITS = llguidance.LLParserLimits(initial_lexer_fuel=10**9, step_lexer_fuel=10**8, max_lexer_states=4_000_000)


class Vocabulary:
    """The tokens of a model as llguidance needs them. `size` is the width of the model's output layer."""

    def __init__(self, tokenizer: ChatTokenizer, size: int) -> None:
        self.size = size
        vocabulary = tokenizer.constraint_vocabulary(size)
        wrapper = llguidance.TokenizerWrapper(vocabulary)
        self._bytes = vocabulary.tokens
        self._tokens = llguidance.LLTokenizer(wrapper, n_vocab=size)
        # Copying a matcher is much cheaper than parsing its grammar.
        self._last: tuple[str, llguidance.LLMatcher | None] = ("", None)

    def constrain(self, task: Task, text: str) -> Constraint | None:
        """Return a constraint for answers about `text`; None when the grammar cannot take the schema.

        The answer is then decoded freely, and parsing, validation and grounding judge it as they judge all answers.
        """
        matcher = self._matcher(grammar(task, text))
        if matcher.is_error():
            log.warning("schema %s cannot be made a grammar; answers are decoded freely", task.name)
            return None
        places = Places.of(task.compiled, text)
        return Constraint(matcher, self._bytes, self.size, ListEnds(places, self._commas) if places else None)

    @cached_property
    def _commas(self) -> Commas:
        return Commas.of(self._bytes, self.size)

    def _matcher(self, source: str) -> llguidance.LLMatcher:
        """Return a new matcher: a copy of the last one where the grammar is the same, as without verbatim fields."""
        last, matcher = self._last
        if matcher is None or source != last:
            parsed = llguidance.LLMatcher.grammar_from_lark(source)
            matcher = llguidance.LLMatcher(self._tokens, parsed, log_level=0, limits=_LIMITS)
            self._last = source, matcher
        return matcher.deep_copy()


class Constraint:
    """The state of the grammar after the tokens of one answer.

    `masks` and `draft` try tokens and roll back: the state is the same before and after, but not in between. So a
    constraint is used by one thread at a time.
    """

    def __init__(
        self, matcher: llguidance.LLMatcher, tokens: Sequence[bytes], size: int, list_ends: ListEnds | None = None
    ) -> None:
        self._matcher = matcher
        self._tokens = tokens
        self._size = size
        self._list_ends = list_ends

    @property
    def done(self) -> bool:
        """Whether the answer is complete, so that nothing but its end may follow."""
        return bool(self._matcher.is_stopped())

    def copy(self) -> Constraint:
        """Return another one in the same state, which costs much less than to make one."""
        list_ends = self._list_ends.copy() if self._list_ends else None
        return Constraint(self._matcher.deep_copy(), self._tokens, self._size, list_ends)

    def masks(self, draft: Draft = ()) -> TokenBitmask:
        """Return which tokens may come now and after each part of a draft: (1 + parts, ceil(vocabulary / 32))."""
        bitmask = np.zeros((1 + len(draft), (self._size + 31) // 32), dtype=np.int32)
        allowed = bitmask.view(np.uint32)
        list_ends = self._list_ends.copy() if self._list_ends and draft else self._list_ends
        consumed = 0
        # The mask before a part allows or forbids its first token; its other tokens are forced, and need none.
        for row, part in enumerate((*draft, ())):
            fill_next_token_bitmask(self._matcher, bitmask, row)
            if list_ends:
                _end_list(allowed[row], list_ends)
            taken = self._matcher.try_consume_tokens(list(part))  # as many as the grammar takes
            consumed += taken
            if list_ends and part:
                list_ends.append(b"".join(self._tokens[token] for token in part[:taken]))
        self._matcher.rollback(consumed)
        return allowed

    def draft(self, propose: Propose, max_tokens: int) -> list[list[int]]:
        """Return a draft: each part is a proposed token and the tokens that it forces.

        It ends at the first proposal that is not allowed, or once it has `max_tokens`; forced tokens may exceed that.
        """
        parts: list[list[int]] = []
        consumed = 0
        while consumed < max_tokens and not self.done:
            token = propose([token for part in parts for token in part])
            if token is None or not self._matcher.try_consume_tokens([token]):
                break
            parts.append([token, *self._forced()])
            consumed += len(parts[-1])
        self._matcher.rollback(consumed)  # `_forced` consumed the forced tokens as well
        return parts

    def advance(self, token: int) -> bool:
        """Consume a token; return False when the grammar does not allow it (the answer then ends there)."""
        allowed = bool(self._matcher.consume_token(token))
        if self._list_ends and allowed:
            self._list_ends.append(self._tokens[token])
        return allowed

    def jump_forward(self) -> list[int]:
        """Consume and return the tokens that the grammar forces next, if any, as the tokenizer would write them."""
        tokens = self._forced()
        if self._list_ends:
            self._list_ends.append(b"".join(self._tokens[token] for token in tokens))
        return tokens

    def _forced(self) -> list[int]:
        # Jump-forward decoding; llguidance calls them fast-forward tokens. `done` first: a stopped matcher has none.
        tokens: list[int] = [] if self.done else self._matcher.compute_ff_tokens()
        return tokens[: self._matcher.try_consume_tokens(tokens)] if tokens else []


def _end_list(allowed: TokenRow, list_ends: ListEnds) -> None:
    """Forbid what would go on with a list that is to end, unless the grammar asks for more of it."""
    forbidden = list_ends.forbidden
    if forbidden is not None and (allowed & ~forbidden).any():
        allowed &= ~forbidden
