"""A process that renders prompt templates and chat templates: a request a line in, a reply a line out, both JSON.

A template is a program of somebody's, and much of what it can ask for (`"a" * 10**11`, `9**9**9`) is one operation that
nothing in Python interrupts. So the kernel keeps the limits: of processor time, whose end ends this process with
SIGPROF, by which the other side knows why; and of memory.

A chat template comes with a model's folder, and may use what those of transformers may: loop controls,
`raise_exception`, `strftime_now`, `tojson` without escapes, and blocks of `generation`, which mean nothing. It is run
as a script, and knows nothing of this package.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.meta
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 1.0
"""Processor time that a template may take for one prompt; usual ones take a few thousandths of it."""

MEMORY_BYTES = 256 << 20
MEMORY_TEXT = "256 MiB"

CHARACTERS = 4_000_000
"""The longest text of a prompt: more than the context of any model."""

MESSAGE = 200
"""Characters of an error that are passed on: what a template names may be a whole document."""

ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


class TooLong(Exception):
    """A text beyond `CHARACTERS`."""


def main() -> None:
    """Serve requests until there are no more, which is also when the run has ended."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    del ENVIRONMENT.globals["lipsum"]  # other text at each call
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        reply = _line(_reply(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()


def _line(reply: dict[str, Any]) -> bytes:
    return json.dumps(reply, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _reply(line: bytes) -> dict[str, Any]:
    """Return the texts of a prompt or the names of a template's variables; for whatever it raises, the reason."""
    try:
        request = json.loads(line.decode("utf-8", "surrogatepass"))
        if "chat" in request:
            return {"text": _joined(_chat_environment().from_string(request["template"]).generate(**request["chat"]))}
        if "variables" in request:
            return _render(request["template"], request["variables"])
        return {"names": sorted(jinja2.meta.find_undeclared_variables(ENVIRONMENT.parse(request["template"])))}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"does not parse, line {error.lineno}: {_short(error)}"}
    except TooLong:
        return {"error": f"does not render: its text has more than {CHARACTERS:,} characters"}
    except MemoryError:
        return {"error": f"does not render: it takes more than {MEMORY_TEXT} of memory"}
    except RecursionError:
        return {"error": "does not render: it calls itself without an end"}
    except Exception as error:  # a template is code, and may raise anything
        return {"error": f"does not render: {_short(error)}"}


def _short(error: Exception) -> str:
    text = " ".join((getattr(error, "message", None) or str(error) or type(error).__name__).split()).rstrip(".")
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]}..."


def _render(source: str, variables: dict[str, Any]) -> dict[str, Any]:
    template = _compile(source)
    return {"system": _joined(_block(template, "system", variables)), "user": _joined(_outside(template, variables))}


@lru_cache(maxsize=16)
def _compile(source: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(source)


def _block(template: jinja2.Template, name: str, variables: dict[str, Any]) -> Iterator[str]:
    if name in template.blocks:
        yield from template.blocks[name](template.new_context(dict(variables)))


def _outside(template: jinja2.Template, variables: dict[str, Any]) -> Iterator[str]:
    """Render the template apart from its system block."""
    context = template.new_context(dict(variables))
    context.blocks["system"] = [lambda _context: iter(())]
    yield from template.root_render_func(context)


def _joined(pieces: Iterable[str]) -> str:
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > CHARACTERS:
            raise TooLong
        kept.append(piece)
    return "".join(kept)


class Generation(Extension):
    """`{% generation %}...{% endgeneration %}` marks what to train on; it is rendered as it is."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[Node]:
        """Return the statements within."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@cache
def _chat_environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _as_json
    environment.globals.update(raise_exception=_raise, strftime_now=lambda form: datetime.now().strftime(form))
    return environment


def _as_json(value: Any, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


if __name__ == "__main__":
    main()
