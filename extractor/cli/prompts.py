"""`extractor prompts`: the bundled prompt templates."""

from __future__ import annotations

import click

from extractor.registry import PROMPTS


@click.group(
    epilog="""\b
Examples:
  extractor prompts list
  extractor prompts show zh > my-prompt.jinja     a start for your own: extractor run ... -p my-prompt.jinja
"""
)
def command() -> None:
    """Show the bundled prompt templates (Jinja2)."""


@command.command("list")
def list_() -> None:
    """List the bundled prompts with their first line."""
    for name in PROMPTS.names():
        first = next((line for line in PROMPTS.load(name)[1].splitlines() if line and not line.startswith("{")), "")
        click.echo(f"{name:6} {first[:80]}")


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a template."""
    click.echo(PROMPTS.load(name)[1].rstrip("\n"))
