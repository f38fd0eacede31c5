"""Lists of what there is: a line each for people, one JSON array for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import click

from extractor.data import Json

as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects instead of lines.")


def print_list(rows: Iterable[dict[str, Json]], as_json: bool, line: Callable[[dict[str, Json]], str]) -> None:
    """Print rows as a JSON array, or each as its line."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo(line(row))
