"""What all commands do with stderr: the level and the form of the log, and what a run says beside it.

With `--log-format json` each line is an object, whoever writes it: a log that a program reads has no other lines.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import click

from extractor.config import DisplayConfig

_SAID = "extractor"
"""The logger whose name is on what is said beside the log."""


class JsonLines(logging.Formatter):
    """Log records as JSON objects, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; a traceback goes into the object."""
        entry = _entry(record.levelname, record.name, record.getMessage(), record.created)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_logging(display: DisplayConfig) -> None:
    """Log to stderr as `log_level` says; without one warnings, when quiet errors alone, when verbose what goes on."""
    _Form.is_json = display.log_format == "json"
    usual = "error" if display.quiet else "info" if display.verbose else "warning"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    if _Form.is_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    logging.getLogger("extractor").setLevel((display.log_level or usual).upper())


def say(message: str, level: str = "INFO") -> None:
    """Print what is for the one who started the command, in the form of the log."""
    if _Form.is_json:
        message = json.dumps(_entry(level, _SAID, message.strip(), datetime.now(UTC).timestamp()), ensure_ascii=False)
    click.echo(message, err=True)


def say_plainly() -> None:
    """Go back to plain text, as every command begins."""
    _Form.is_json = False


class _Form:
    """The form of stderr in this process, as that of the log."""

    is_json = False


def _entry(level: str, name: str, message: str, created: float) -> dict[str, str]:
    time = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "level": level, "logger": name, "message": message}


def duration(seconds: float) -> str:
    """Return a time as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def label_demo(model: str, purpose: str = "For real work: -m chatglm3-6b") -> None:
    """Say on stderr that the bundled model is a toy: nobody should take its answers for ChatGLM3-6B's."""
    if model == "demo":
        say(f"Model: demo, a toy of a few million parameters. {purpose}")
