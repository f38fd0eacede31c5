"""`extractor schemas`: the bundled schemas, and the schema of the output."""

from __future__ import annotations

import json
from importlib.resources import files

import click

from extractor.task.bundled import SCHEMAS

RECORD = "record"


@click.group(
    short_help="Show schemas, and that of the output rows.",
    epilog="""\b
Examples:
  extractor schemas list
  extractor schemas show contact > my-schema.json     to start your own from
  extractor schemas show record                       the schema of an output row
""",
)
def command() -> None:
    """Show the bundled schemas; `show record` shows the schema of the output rows."""


@command.command("list")
def list_() -> None:
    """List the bundled schemas with the fields that each extracts."""
    for name in SCHEMAS.names():
        schema = json.loads(SCHEMAS.load(name)[1])
        click.echo(f"{name:10} {schema.get('description', '')}：{'、'.join(schema['properties'])}")


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a schema."""
    text = (
        (files("extractor.storage") / "record.schema.json").read_text("utf-8")
        if name == RECORD
        else SCHEMAS.load(name)[1]
    )
    click.echo(text.rstrip("\n"))
