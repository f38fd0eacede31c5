"""`extractor schemas`: the bundled schemas, and the schema of the output."""

from __future__ import annotations

import json
from importlib.resources import files

import click

from extractor.task.bundled import SCHEMAS

RECORD = "record"


@click.group(
    short_help="Show schemas, and that of the rows that come out.",
    epilog="""\b
Examples:
  extractor schemas list
  extractor schemas show contact > my-schema.json     a start for your own
  extractor schemas show record                       the envelope of a row of output
""",
)
def command() -> None:
    """Show the bundled schemas; `show record` is the schema of the rows that come out."""


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
