"""The command line: one module per command, found by its name, imported when it is used.

The only package that knows click. `main` is where errors become messages and exit codes, in one place:
0 all documents ok, 1 some partial or failed, 2 wrong usage, 3 no model, 4 rows could not be written, 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from extractor import __version__
from extractor.errors import ExtractorError, OutputError

INTERRUPTED = 130


class Commands(click.Group):
    """A group whose commands are the modules of this package; names that begin with `_` are helpers."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the modules."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{__name__}.{name}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line. A message about an unknown one lists all."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} Commands: {', '.join(self.list_commands(ctx))}.", ctx) from error

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Messages go to stderr, in UTF-8 whatever the console says."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _use_utf8()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(number, _terminate)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = cli.main(arguments, prog_name="extractor", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ExtractorError as error:
        if debug:
            raise
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0


def _use_utf8() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                encoding="utf-8", errors="surrogateescape" if stream is sys.stdin else "backslashreplace"
            )


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _closed_pipe() -> int:
    """End quietly after the reader of stdout has gone (`| head`), and keep the interpreter from flushing into it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
