"""Which tokens may come next: llguidance's matcher over a SentencePiece vocabulary.

A `Vocabulary` is made once per model (about 0.1 s), a `Constraint` once per prompt. Masks are numpy arrays on the CPU;
this module knows no torch.
"""

from __future__ import annotations

import logging

import llguidance
import numpy as np
from llguidance.numpy import fill_next_token_bitmask, get_bitmask_shape

from extractor.chatglm3.tokenizer import Tokenizer
from extractor.engine.grammar import grammar
from extractor.tasks import Task

log = logging.getLogger(__name__)

# A long document makes a large automaton, which is wanted here: work is bounded by the model's context, not by fuel.
_LIMITS = llguidance.LLParserLimits(initial_lexer_fuel=10**9, step_lexer_fuel=10**8, max_lexer_states=4_000_000)


class Vocabulary:
    """The tokens of a model as llguidance needs them. `size` is the width of the model's output layer."""

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self.size = size
        wrapper = llguidance.TokenizerWrapper(tokenizer.constraint_vocabulary(size))
        self._tokens = llguidance.LLTokenizer(wrapper, n_vocab=size)

    def constrain(self, task: Task, text: str) -> Constraint | None:
        """A constraint for answers about `text`; None when the schema is more than the grammar can take.

        The answer is then decoded freely, and parsing, validation and grounding judge it as they judge all answers.
        """
        source = llguidance.LLMatcher.grammar_from_lark(grammar(task, text))
        matcher = llguidance.LLMatcher(self._tokens, source, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            log.warning("schema %s cannot be made a grammar; answers are decoded freely", task.name)
            return None
        return Constraint(matcher, self.size)


class Constraint:
    """The state of one answer."""

    def __init__(self, matcher: llguidance.LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros(get_bitmask_shape(1, size), dtype=np.int32)
        self._size = size

    @property
    def done(self) -> bool:
        """Whether the answer is complete, so that nothing but its end may follow."""
        return bool(self._matcher.is_stopped())

    def mask(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of the `size` tokens may come next, as booleans."""
        fill_next_token_bitmask(self._matcher, self._bits)
        return np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._size).astype(np.bool_)

    def advance(self, token: int) -> bool:
        """Take a token; False when the grammar does not allow it (the answer then ends there)."""
        return bool(self._matcher.consume_token(token))
