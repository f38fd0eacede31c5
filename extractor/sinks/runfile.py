"""`results.run.json` beside `results.jsonl`: the settings in words, so that a refusal can name what changed."""

from __future__ import annotations

import os
from collections.abc import Mapping

import orjson

from extractor.sinks import disk

LONGEST = 60


def path_of(output: str) -> str:
    return f"{os.path.splitext(output)[0]}.run.json"


def write(output: str, fingerprint: str, settings: Mapping[str, str]) -> None:
    """Note the settings of the run, unless they stand there already. Raises OSError."""
    if read(output, fingerprint) != dict(settings):
        content = {"fingerprint": fingerprint, "settings": dict(settings)}
        disk.replace(path_of(output), [orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])


def read(output: str, fingerprint: str) -> dict[str, str] | None:
    """The settings behind a fingerprint; None where the file is missing, broken or of another run."""
    try:
        with open(path_of(output), "rb") as stream:
            content = orjson.loads(stream.read())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("fingerprint") != fingerprint:
        return None
    settings = content.get("settings")
    return settings if isinstance(settings, dict) else None


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """What changed between two runs, each setting once: `precision was half, is int8`."""
    names = dict.fromkeys([*old, *new])
    changed = [name for name in names if old.get(name) != new.get(name)]
    return "; ".join(f"{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}" for name in changed)


def _shown(value: str | None) -> str:
    if value is None:
        return "not set"
    flat = " ".join(str(value).split())
    return flat if len(flat) <= LONGEST else f"{flat[:LONGEST]}..."
