"""Stage 3: a Chunk and a Task become a Prompt.

A template is Jinja2 source of the user's turn, rendered in a sandbox with limits (`task.rendering`); an optional block
`system` is the system turn.
Its variables: `document` (the chunk's text), `fields` (name, title, description, type of each entity type), `schema`,
`examples` (text, data, answer); on a retry `previous` (`answer`, `errors`) and on a further pass `found` (JSON text of
what the earlier ones found), else none. Text goes in as a value and is never parsed as a template. This module does not
know why a prompt is asked, nor how its answer is sampled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from extractor.data import Chunk, Document, Json, Message, Prompt, Rejection, Source
from extractor.errors import PromptError
from extractor.task import rendering
from extractor.task.task import Task

TURN_TOKENS = 8
"""Tokens: what a chat turn adds to its content, with a little to spare."""


@dataclass(frozen=True, slots=True)
class Prompter:
    """Renders prompts so that they fit a model that reads `context` tokens, in a run of `passes` passes."""

    count_tokens: Callable[[str], int]
    context: int
    passes: int = 1

    def fit(self, draft: Prompt) -> Prompt:
        """Render a draft with as much of the history as the context holds beside the answer.

        The last rejected answer is left out first: it is worth less than what earlier passes found. Raises PromptError
        when the template fails.
        """
        prompt = render(draft)
        if (draft.rejected or draft.found) and not self.fits(prompt):
            prompt = render(draft, previous=False)
        if draft.found and not self.fits(prompt):
            prompt = render(draft, previous=False, found=False)
        return prompt

    def fits(self, prompt: Prompt) -> bool:
        """Tell whether a rendered prompt and its answer fit the context."""
        return self.size(prompt) + prompt.max_tokens <= self.context

    def repeats(self, prompt: Prompt) -> bool:
        """Tell whether the prompt of a further pass shows nothing of what was found, so that an earlier pass asked it.

        That is so where the template does not use `found`, or where what was found does not fit.
        """
        unaware = (render(prompt, previous=previous, found=False).messages for previous in (True, False))
        return bool(prompt.found) and prompt.messages in unaware

    def size(self, prompt: Prompt) -> int:
        """Return about how many tokens a prompt takes, its answer left out."""
        return TURN_TOKENS + sum(self.count_tokens(each.content) + TURN_TOKENS for each in prompt.messages)

    def instructions(self, task: Task) -> int:
        """Return about how many tokens the prompt of a task takes without a document. Raises PromptError."""
        return self.size(check(task, further=self.passes > 1))


def drafts(chunks: Sequence[Chunk], tasks: Iterable[Task], max_tokens: int, constrain: bool) -> Iterator[Prompt]:
    """Yield a prompt without messages for each chunk and each task, chunk by chunk."""
    for chunk, task in product(chunks, tasks):
        yield Prompt(chunk, task, (), max_tokens, constrain=constrain)


def render(prompt: Prompt, *, previous: bool = True, found: bool = True) -> Prompt:
    """Render the messages of a prompt from its task, chunk and history.

    The last rejection is shown to the model if it was about this very chunk, not the whole of which this is a half.
    Without `previous` the last answer is left out, without `found` what earlier passes found. Raises PromptError when
    the template fails.
    """
    history = _History(
        _previous(prompt.chunk, prompt.rejected) if previous else None,
        _found(prompt.known) if found and prompt.known is not None else None,
    )
    return replace(prompt, messages=_messages(prompt.task, prompt.chunk.text, history))


def check(task: Task, *, further: bool = False) -> Prompt:
    """Render the prompt of an empty document: the first, a retry, a further pass.

    Return the first, with which the size of the instructions is measured; with `further` that of a further pass.
    Raises PromptError where the template is wrong, or shows no examples though there are some.
    """
    if task.examples and "examples" not in rendering.variable_names(task.prompt, task.template):
        raise PromptError(f"The prompt {task.prompt!r} shows no `examples`. Put a loop over them into it.")
    _messages(task, "", _History({"answer": "{}", "errors": ("",)}))
    later = _messages(task, "", _History(found="{}"))
    nothing = Chunk(Document("", "", Source("", "")), 0, 0, 0)
    return Prompt(nothing, task, later if further else _messages(task, ""), 1)


@dataclass(frozen=True, slots=True)
class _History:
    """What a template is given of earlier answers."""

    previous: Mapping[str, Json] | None = None
    found: str | None = None


def _found(known: Mapping[str, Json]) -> str:
    return json.dumps({name: value for name, value in known.items() if value not in (None, [])}, ensure_ascii=False)


def _messages(task: Task, text: str, history: _History = _History()) -> tuple[Message, ...]:
    variables = {
        "document": text,
        "fields": [_field(field.name, field.title, field.description, field.type) for field in task.fields],
        "description": task.schema.get("description", ""),
        "schema": task.schema,
        "examples": [{"text": each.text, "data": each.data, "answer": each.answer} for each in task.examples],
        "previous": history.previous,
        "found": history.found,
    }
    turns = rendering.render(task.prompt, task.template, variables)
    system, user = turns.system.strip("\n"), turns.user.rstrip("\n")
    turn = Message("user", user.lstrip("\n") if system else user)
    return (Message("system", system), turn) if system else (turn,)


def _previous(chunk: Chunk, rejected: tuple[Rejection, ...]) -> Mapping[str, Json] | None:
    if not rejected or rejected[-1].chunk != chunk:
        return None
    return {"answer": rejected[-1].completion.text, "errors": rejected[-1].messages}


def _field(name: str, title: str, description: str, kind: str) -> dict[str, str]:
    return {"name": name, "title": title, "description": description, "type": kind}
