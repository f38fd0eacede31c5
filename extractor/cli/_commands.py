"""The commands by name, and what becomes of an error: a message and an exit code, in one place."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from extractor import __version__
from extractor import cli as commands
from extractor.cli import INTERRUPTED, SIGNALS, _origins, _settings, end_at_once
from extractor.cli._console import say, say_plainly
from extractor.cli._streams import escaped_streams
from extractor.errors import ExtractorError, OutputError
from extractor.failures import place


class Commands(click.Group):
    """A group whose commands are the modules of this package; names that begin with `_` are helpers."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the modules."""
        return sorted(
            module.name for module in pkgutil.iter_modules(commands.__path__) if not module.name.startswith("_")
        )

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{commands.__name__}.{name}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line, and what files say of its options. A message about an unknown one lists all."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} Commands: {', '.join(self.list_commands(ctx))}.", ctx) from error
        if name and command and not ctx.resilient_parsing:  # not while a shell completes
            _settings.prepare(ctx, name, command)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Handle what becomes of stdout here: click would exit with 1 when its reader has gone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _closed_pipe()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OutputError("No space left for the output. Free some space and run the same line again.") from error


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  extractor extract FILE -s contact",
)
@click.version_option(__version__, prog_name="extractor")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Extract what a JSON Schema names from documents, with a local ChatGLM3: documents in, checked rows out."""


def run(arguments: Sequence[str]) -> int:
    """Run a line and return its exit code. Messages go to stderr, in UTF-8 whatever the console says.

    A signal raises KeyboardInterrupt from here on, so that what was begun is left in order.
    """
    debug = "--debug" in arguments
    with escaped_streams():
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        sys.unraisablehook = _unraisable
        _interrupted.clear()
        say_plainly()
        try:
            return _result([argument for argument in arguments if argument != "--debug"])
        except (KeyboardInterrupt, click.Abort):
            say("Interrupted.")
            return INTERRUPTED
        except click.ClickException as error:
            _origins.located(error).show()
            return error.exit_code
        except Exception as error:  # the boundary: a bug is told in one line
            if _interrupted.is_set():  # compiled code may raise another error for an interrupt in the middle of it
                say("Interrupted.")
                return INTERRUPTED
            if debug:
                raise
            if isinstance(error, ExtractorError):
                say(f"Error: {error}", "ERROR")
                return error.exit_code
            say(f"Error: {_bug(error)}", "ERROR")
            return ExtractorError.exit_code
        finally:
            sys.unraisablehook = sys.__unraisablehook__


def _result(arguments: Sequence[str]) -> int:
    result = cli.main(arguments, prog_name="extractor", standalone_mode=False, obj=_settings.table)
    return result if isinstance(result, int) else 0


def _bug(error: Exception) -> str:
    what = f"{type(error).__name__} in {place(error)}: {error}"
    return f"a bug of extractor, or a broken machine ({what}). --debug shows the traceback."


_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """End on an interrupt that comes where Python drops exceptions, as in a callback of its imports.

    What an interrupt leaves behind, such as a file that an import had open, is not news.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        end_at_once(signal.SIGINT, None)
    if not _interrupted.is_set():
        sys.__unraisablehook__(lost)


def _closed_pipe() -> int:
    """End quietly after the reader of stdout has gone (`| head`), and keep the interpreter from flushing into it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
