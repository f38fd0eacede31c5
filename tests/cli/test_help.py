"""Every command explains itself, with examples, and the README names it."""

import re
from pathlib import Path

import click
import pytest

from extractor.cli._commands import cli
from extractor.ingest.registry import distinct

ROOT = Path(__file__).resolve().parents[2]


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += _commands(command, (*path, name))
    return found


def _command(path: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        command = inner
    return command


@pytest.mark.parametrize("path", _commands(cli), ids=" ".join)
def test_a_command_says_what_it_does_and_what_its_options_are_for(path: tuple[str, ...]) -> None:
    command = _command(path)
    assert command.help
    assert command.help.strip().endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help or parameter.show_default, f"{' '.join(path)} {parameter.name}"


@pytest.mark.parametrize("path", [path for path in _commands(cli) if len(path) == 1], ids=" ".join)
def test_a_command_shows_examples_and_is_in_both_readmes(path: tuple[str, ...]) -> None:
    command = _command(path)
    epilogs = [command.epilog or ""]
    if isinstance(command, click.Group):
        epilogs += [inner.epilog or "" for inner in map(_command, _commands(command, path))]
    assert any(f"extractor {path[0]}" in epilog for epilog in epilogs)
    for readme in ("README.md", "README.zh.md"):
        assert f"extractor {path[0]}" in (ROOT / readme).read_text("utf-8"), readme


def test_no_line_of_the_list_of_commands_is_cut_off() -> None:
    context = click.Context(cli, max_content_width=80, terminal_width=80)
    commands = cli.get_help(context).partition("Commands:")[2]
    assert "evaluate" in commands
    assert "..." not in commands


@pytest.mark.parametrize("name", ["run", "read"])
def test_help_lists_the_formats_that_are_read(name: str) -> None:
    listed = (_command((name,)).epilog or "").partition("Formats")[2].replace(",", "").split()
    own = [format for format in distinct() if format.read.__module__.startswith("extractor.")]
    assert [format.suffixes[0] for format in own if format.suffixes[0][1:] not in listed] == []


@pytest.mark.parametrize("page", ["docs/documents.md", "docs/zh/documents.md"])
def test_the_documentation_lists_every_suffix_that_is_read(page: str) -> None:
    words = set(re.findall(r"`(\.\w+)`", (ROOT / page).read_text("utf-8")))
    own = [format for format in distinct() if format.read.__module__.startswith("extractor.")]
    assert [suffix for format in own for suffix in format.suffixes if suffix not in words] == []
