"""Where the value of an option comes from: a key of a file, a variable, the command line or the default.

A message about a value that was not written on the line says where it was written. This module does not know how files
are read (`_settings`), nor what the options are for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from click.core import ParameterSource

from extractor.errors import ExtractorError

_ORIGINS = f"{__name__}.origins"
_SHORTEST = 3
"""Characters: a shorter value occurs in messages about others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A file and a key of it: `[run] limit`."""

    path: str
    key: str


Origins = Mapping[tuple[str, ...], Origin]
"""By the names of a command, followed by that of the parameter."""


def note(root: click.Context, origins: Origins) -> None:
    """Have it known what the files say."""
    root.meta[_ORIGINS] = origins


def in_file(ctx: click.Context, option: click.Parameter) -> Origin | None:
    """Return the key that gave an option its value; None where it has another source."""
    if ctx.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT_MAP:
        return None
    origins: Origins = ctx.find_root().meta.get(_ORIGINS, {})
    return origins.get((*ctx.command_path.split()[1:], str(option.name)))


def in_variable(ctx: click.Context, option: click.Parameter) -> str:
    """Return the variable that gave an option its value; empty where it has another source."""
    if ctx.get_parameter_source(str(option.name)) is not ParameterSource.ENVIRONMENT:
        return ""
    return next((name for name in _variables(option) if os.environ.get(name)), "")


def say_where(ctx: click.Context, option: click.Parameter) -> str:
    """Return a note on where the value of an option was written; empty for the command line."""
    if origin := in_file(ctx, option):
        return f" ({origin.path} sets {origin.key}.)"
    name = in_variable(ctx, option)
    return f" ({name} sets it.)" if name else ""


def located(error: click.ClickException) -> click.ClickException:
    """Return an error about the value of an option that says where the value was written."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return error
    note = say_where(error.ctx, error.param)
    return click.BadParameter(error.message + note, error.ctx, error.param, error.param_hint) if note else error


def note_mentioned(ctx: click.Context, error: ExtractorError) -> None:
    """Add to a message where the values were written that it mentions: the option (`The max attempts is 0`), or a text
    that is its value (`no schema 'contcat'`)."""
    message = str(error)
    notes = [say_where(ctx, option) for option in ctx.command.params if _is_mentioned(ctx, option, message)]
    error.args = (message + "".join(notes),)


def _is_mentioned(ctx: click.Context, option: click.Parameter, message: str) -> bool:
    value, key = ctx.params.get(str(option.name)), str(option.name).replace("_", "[ _-]")
    quoted = isinstance(value, str) and len(value) >= _SHORTEST and value in message
    return quoted or re.search(rf"\b{key}\b", message, re.IGNORECASE) is not None


def _variables(option: click.Parameter) -> Sequence[str]:
    return [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
