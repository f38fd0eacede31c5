"""Options that the command line leaves open: EXTRACTOR_* variables, then `extractor.toml` here, then that of the user.

A key at the top of a file, and a variable without a command in its name, hold for all commands that share the option; a
key of a table (`[run]`) and a variable such as EXTRACTOR_RUN_OUTPUT hold for that command alone, and come first. A key
that no option has is an error: a setting is never ignored. This module does not know what the options are for.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from extractor.cli import _origins
from extractor.cli._origins import Origin
from extractor.cli._requests import SHOW_CONFIG, Option
from extractor.errors import UsageError
from extractor.text.text_table import columns

FILE_NAME = "extractor.toml"
PREFIX = "EXTRACTOR"
SHARED = tuple(
    """
    schema fields prompt examples
    model adapter revision offline precision device batch-size kv-memory backend
    base-url concurrency timeout retries context
    max-attempts max-tokens temperature seed passes no-constrain ungrounded min-confidence all-occurrences redact
    rows text-field id-field hidden ocr password max-bytes read-timeout
    quiet verbose log-level log-format
    """.split()
)
"""The options that mean the same in every command that has them."""
_WITH_MODEL = ("chat", "prompts", "schemas")
"""Commands with some of the first ten under declarations of their own."""
_SECRET = ("password",)


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option of a command, and where it comes from."""

    name: str
    value: str
    source: str


def prepare(root: click.Context, name: str, command: click.Command) -> None:
    """Give the options of a command, and of those in it, what files and the environment say.

    Raises UsageError for a file that cannot be read, or that names what is not there.
    """
    commands = root.command.list_commands(root) if isinstance(root.command, click.Group) else []
    values: dict[str, Any] = {}
    origins: dict[tuple[str, ...], Origin] = {}
    for path in reversed(files()):
        content = _read(path)
        _check(path, content, commands)
        _check_group(path, content, name, command)
        for options in _leaves((name,), command):
            for option, value in _of_file(path, content, *options).items():
                _put(values, (*options[0], str(option.name)), _as_option(option, value))
                origins[(*options[0], str(option.name))] = Origin(str(path), _written_key(content, options[0], option))
    for options in _leaves((name,), command):
        _name_variables(*options)
    root.default_map = values
    _origins.note(root, origins)


def files() -> list[Path]:
    """Return the files that there are, the one of the working directory first."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    return [path for path in (Path(FILE_NAME), home / "extractor" / FILE_NAME) if os.path.isfile(path)]


def table(ctx: click.Context) -> str:
    """Return the settings of a command as it would run, and where each comes from. Secrets are not shown."""
    rows = [(each.name, each.value, each.source) for each in effective(ctx)]
    return columns([("option", "value", "from"), *rows])


def effective(ctx: click.Context) -> Iterator[Setting]:
    """Yield the settings of a command."""
    for option in _options(ctx.command):
        name = str(option.name)
        if name in ctx.params:
            shown = _shown(_key(option), ctx.params[name])
            yield Setting(_key(option), shown, _source(ctx, option) if shown else "default")


def _source(ctx: click.Context, option: click.Option) -> str:
    if ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
        return "command line"
    origin = _origins.in_file(ctx, option)
    return origin.path if origin else _origins.in_variable(ctx, option) or "default"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML in UTF-8: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _check(path: Path, content: Mapping[str, Any], commands: Sequence[str]) -> None:
    """Raise UsageError for a key at the top that is neither a shared option nor the table of a command."""
    for key, value in content.items():
        known = commands if isinstance(value, dict) else SHARED
        if _plain(key) not in known:
            what = "command" if isinstance(value, dict) else "option that all commands share"
            more = "" if isinstance(value, dict) else " Those of one command belong into a table, as [run]."
            raise _unknown(path, what, key, known, more)


def _check_group(path: Path, content: Mapping[str, Any], name: str, command: click.Command) -> None:
    """Raise UsageError for a key in the table of a group that is none of its commands."""
    table = content.get(name, {})
    if isinstance(command, click.Group):
        for key in table:
            if key not in command.commands or not isinstance(table[key], dict):
                raise _unknown(path, f"table of a command of `extractor {name}`", key, command.commands)


def _of_file(
    path: Path, content: Mapping[str, Any], names: tuple[str, ...], command: click.Command
) -> dict[click.Option, Any]:
    """Return what a file says about the options of a command."""
    options = {key: option for option in _options(command) for key in _keys(option)}
    found = {options[_plain(key)]: content[key] for key in content if _is_shared(names, options.get(_plain(key)))}
    table: Any = content
    for name in names:
        table = table.get(name, {}) if isinstance(table, dict) else {}
    for key, value in table.items():
        if _plain(key) not in options:
            raise _unknown(path, f"option of `extractor {' '.join(names)}`", key, options)
        found[options[_plain(key)]] = value
    return found


def _written_key(content: Mapping[str, Any], names: tuple[str, ...], option: click.Option) -> str:
    """Return where in a file an option of a command is set, as it is written there: `seed`, `[run] seed`."""
    table: Any = content
    for name in names:
        table = table.get(name, {}) if isinstance(table, dict) else {}
    for keys, heading in ((table, f"[{'.'.join(names)}] "), (content, "")):
        if found := next((key for key in keys if _plain(key) in _keys(option)), None):
            return f"{heading}{found}"
    return _key(option)


def _unknown(path: Path, what: str, key: str, known: Iterable[str], more: str = "") -> UsageError:
    nearest = difflib.get_close_matches(_plain(key), list(known), n=1, cutoff=0.5)
    advice = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(f"{path}: {key!r} is no {what}.{advice}{more}")


def _leaves(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the commands that have options of their own, with their names."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _leaves((*path, name), inner)
    else:
        yield path, command


def _name_variables(path: tuple[str, ...], command: click.Command) -> None:
    for option in _options(command):
        name = _plain(_key(option)).replace("-", "_").upper()
        shared = [f"{PREFIX}_{name}"] if _is_shared(path, option) else []
        option.envvar = list(dict.fromkeys(["_".join((PREFIX, *path, name)).upper(), *shared]))


def _is_shared(path: tuple[str, ...], option: click.Option | None) -> bool:
    if option is None or _key(option) not in SHARED:
        return False
    return isinstance(option, Option) or (path[0] in _WITH_MODEL and SHARED.index(_key(option)) < _OF_MODEL)


_OF_MODEL = SHARED.index("batch-size")


def _options(command: click.Command) -> Iterator[click.Option]:
    return (each for each in command.params if isinstance(each, click.Option) and _key(each) != SHOW_CONFIG)


def _key(option: click.Option) -> str:
    """Return the name of an option in files: the first long one."""
    return next(iter(_keys(option)))


def _keys(option: click.Option) -> list[str]:
    return [each.lstrip("-") for each in option.opts if each.startswith("--")]


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _as_option(option: click.Option, value: Any) -> Any:
    """Return a value of a file as click takes it: numbers as written, one value of many as a list."""
    if option.multiple and not isinstance(value, list):
        value = [value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[last] = value


def _shown(key: str, value: Any) -> str:
    if value is None or value == ():
        return ""
    if key in _SECRET:
        return "***"
    if key == "base-url":
        parts = urlsplit(str(value))
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
