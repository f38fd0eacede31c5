"""What all commands do with stderr: the level of the log, and the label of the toy model."""

from __future__ import annotations

import logging

import click

from extractor.config import DisplayConfig


def set_logging(display: DisplayConfig) -> None:
    """Log to stderr: errors, warnings as well unless quiet, and what is going on when verbose."""
    level = logging.ERROR if display.quiet else logging.INFO if display.verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    logging.getLogger("extractor").setLevel(level)


def label_demo(model: str, purpose: str = "For real work: -m chatglm3-6b") -> None:
    """Say on stderr that the bundled model is a toy: nobody should take its answers for ChatGLM3-6B's."""
    if model == "demo":
        click.echo(f"Model: demo, a toy of a few million parameters. {purpose}", err=True)
