"""Stage 3: a Chunk and a Task become a Prompt.

A template is Jinja2 source of the user's turn, rendered in a sandbox; an optional block `system` is the system turn.
Its variables: `document` (the chunk's text), `fields` (name, title, description, type of each entity type), `schema`,
`examples` (text, data, answer), and on a retry `previous` (`answer`, `errors`), else none. Text goes in as a value
and is never parsed as a template. This module does not know how long a prompt may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import jinja2
import jinja2.meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from extractor.errors import PromptError
from extractor.tasks import Task
from extractor.types import GREEDY, Chunk, Document, Json, Message, Prompt, Rejection, Sampling, Source

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def render(
    task: Task,
    chunk: Chunk,
    max_tokens: int,
    *,
    sampling: Sampling = GREEDY,
    rejected: tuple[Rejection, ...] = (),
    constrain: bool = True,
) -> Prompt:
    """Render the prompt for a chunk. The last rejection is shown to the model if it was about this very chunk.

    Raises PromptError when the template fails.
    """
    messages = _messages(task, chunk.text, _previous(chunk, rejected))
    return Prompt(chunk, task, messages, max_tokens, sampling, rejected, constrain)


def without_previous(prompt: Prompt) -> Prompt:
    """The same prompt without the last answer in it, for when that does not fit."""
    return replace(prompt, messages=_messages(prompt.task, prompt.chunk.text, None))


def check(task: Task) -> Prompt:
    """Render the prompt of an empty document, first and retry: raises PromptError where the template is wrong, or
    shows no examples though there are some.

    The prompt that comes back shows what the instructions alone take.
    """
    if task.examples and "examples" not in jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(task.template)):
        raise PromptError(f"The prompt {task.prompt!r} shows no `examples`. Put a loop over them into it.")
    _messages(task, "", {"answer": "{}", "errors": ("",)})
    nothing = Chunk(Document("", "", Source("", "")), 0, 0, 0)
    return Prompt(nothing, task, _messages(task, "", None), 1)


def _messages(task: Task, text: str, previous: Mapping[str, Json] | None) -> tuple[Message, ...]:
    template = _compile(task.template)
    variables = {
        "document": text,
        "fields": [_field(field.name, field.title, field.description, field.type) for field in task.fields],
        "schema": task.schema,
        "examples": [{"text": each.text, "data": each.data, "answer": each.answer} for each in task.examples],
        "previous": previous,
    }
    try:
        system = "".join(_block(template, "system", variables)).strip("\n")
        user = "".join(_outside(template, variables)).rstrip("\n")
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise PromptError(f"The prompt {task.prompt!r} does not render: {error}.") from error
    turn = Message("user", user.lstrip("\n") if system else user)
    return (Message("system", system), turn) if system else (turn,)


def _block(template: jinja2.Template, name: str, variables: Mapping[str, Json]) -> Iterator[str]:
    if name in template.blocks:
        yield from template.blocks[name](template.new_context(dict(variables)))


def _outside(template: jinja2.Template, variables: Mapping[str, Json]) -> Iterator[str]:
    """The template's text apart from its system block."""
    context = template.new_context(dict(variables))
    context.blocks["system"] = [lambda _context: iter(())]
    yield from template.root_render_func(context)


def _previous(chunk: Chunk, rejected: tuple[Rejection, ...]) -> Mapping[str, Json] | None:
    if not rejected or rejected[-1].chunk != chunk:
        return None
    return {"answer": rejected[-1].completion.text, "errors": rejected[-1].errors or (rejected[-1].reason,)}


def _field(name: str, title: str, description: str, kind: str) -> dict[str, str]:
    return {"name": name, "title": title, "description": description, "type": kind}


@cache
def _compile(source: str) -> jinja2.Template:
    try:
        return _ENVIRONMENT.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(f"The prompt does not parse, line {error.lineno}: {error.message}.") from error
