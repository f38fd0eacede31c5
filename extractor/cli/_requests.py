"""Click's parameters become one frozen request, here and nowhere else.

An option says under which heading of the help it is listed, and `into` which place of the request its value goes:
`model.server.timeout`. `command` builds the request and hands it to the function that it decorates, so that no command
looks up an option by name. This module does not know what the options are.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from extractor.cli import _origins
from extractor.config import (
    DisplayConfig,
    DistributedConfig,
    ModelConfig,
    OutputConfig,
    RunConfig,
    ServerConfig,
    TaskConfig,
)
from extractor.errors import ExtractorError, UsageError
from extractor.ingest import ReadOptions

Request = TypeVar("Request")
Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

_OTHER = "Other options"
SHOW_CONFIG = "show-config"
_SHOWN = f"{__name__}.{SHOW_CONFIG}"
_RANKS = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
"""Where a value may come from, the one that counts first."""


class Option(click.Option):
    """An option under a heading of the help, whose value goes into a `field` of a `part` of the request.

    The field has the name of the option unless given; a flag that `negates` it sets it to false. `aliases` are older
    names, which the help does not show.
    """

    def __init__(
        self,
        names: Sequence[str],
        heading: str = _OTHER,
        part: str = "",
        field: str = "",
        aliases: Sequence[str] = (),
        negates: bool = False,
        **attributes: Any,
    ) -> None:
        super().__init__([*names, *aliases], **attributes)
        self.heading = heading
        self.into = ".".join(filter(None, (part, field or self.name)))
        self.negates = negates
        self._aliases = aliases

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the line of the help, without the aliases."""
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self._aliases]
        return click.Option.get_help_record(shown, ctx)


class Command(click.Command):
    """A command whose help lists its options under their headings, and which can show the values that they would have.

    What it shows comes from the `obj` of the outermost context.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or show its settings instead. An error says where values that it mentions were written."""
        ctx.params = _chosen(ctx, ctx.params)
        if ctx.meta.get(_SHOWN):
            return click.echo(ctx.find_root().obj(ctx))
        try:
            return super().invoke(ctx)
        except ExtractorError as error:
            _origins.note_mentioned(ctx, error)
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each heading, in the order in which options were declared; the common ones last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (line := option.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(option, "heading", _OTHER), []).append(line)
        others = sections.pop(_OTHER, [])
        for heading, lines in [*sections.items(), (_OTHER if sections else "Options", others)]:
            with formatter.section(heading):
                formatter.write_dl(lines)


def section(heading: str, part: str = "") -> Callable[..., Decorator[Any]]:
    """Return `click.option` for options under a heading whose values go into a part of the request."""
    return functools.partial(click.option, cls=Option, heading=heading, part=part)


def options(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator that adds several options, listed in this order."""

    def add(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


def command(request: type[Request], **attributes: Any) -> Callable[[Callable[[Request], Any]], click.Command]:
    """Return a decorator that makes a click command of a function that takes a request."""

    def decorate(function: Callable[[Request], Any]) -> click.Command:
        @functools.wraps(function)  # carries over the options that decorators below have added
        def callback(**values: Any) -> Any:
            return function(pack(request, click.get_current_context().command.params, values))

        made = click.command(cls=Command, **attributes)(callback)
        made.params.append(_show_config())
        return made

    return decorate


def _show_config() -> Option:
    def note(context: click.Context, option: click.Parameter, value: bool) -> None:
        context.meta[_SHOWN] = value

    shown = "Show the value of each option and its source; do nothing."
    return Option([f"--{SHOW_CONFIG}"], is_flag=True, expose_value=False, callback=note, help=shown)


def _chosen(context: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values without a schema that is only a default where fields are asked for on the line, and the reverse."""
    named = {name: context.get_parameter_source(name) for name in ("schema", "fields") if values.get(name)}
    ranks = {name: _RANKS.index(source) for name, source in named.items() if source in _RANKS}
    dropped = [name for name, rank in ranks.items() if rank > min(ranks.values())]
    return {**values, **dict.fromkeys(dropped)}


def pack(request: type[Request], parameters: Iterable[click.Parameter], values: Mapping[str, Any]) -> Request:
    """Return the request of a command's values. Raise UsageError for values that it does not allow."""
    tree: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name in values:
            *parts, field = getattr(parameter, "into", parameter.name).split(".")
            node = tree
            for part in parts:
                node = node.setdefault(part, {})
            value = values[parameter.name]
            node[field] = not value if getattr(parameter, "negates", False) else value
    return request(**_with_parts(tree))


def _with_parts(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _PARTS[name](**_with_parts(value)) if isinstance(value, dict) else value for name, value in tree.items()
    }


def _server(base_url: str | None, **settings: Any) -> ServerConfig | None:
    return ServerConfig(base_url, **settings) if base_url else None


def _distributed(engine: str, **settings: Any) -> DistributedConfig | None:
    """Return the config of `--engine ray`. Raise UsageError for an option of it without it."""
    config = DistributedConfig(**settings)
    if engine == "ray":
        return config
    for each in fields(config):
        if getattr(config, each.name) != each.default:
            raise UsageError(f"--{each.name.replace('_', '-')} is an option of --engine ray: add that.")
    return None


_PARTS: Mapping[str, Callable[..., Any]] = {
    "task": TaskConfig,
    "model": ModelConfig,
    "server": _server,
    "run": RunConfig,
    "read": ReadOptions,
    "output": OutputConfig,
    "distributed": _distributed,
    "display": DisplayConfig,
}
"""What each part of a request is made with."""
