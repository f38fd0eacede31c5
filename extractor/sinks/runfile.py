"""`results.run.json` beside `results.jsonl`: the settings in words, so that a refusal can name what changed; and what
the runs that ended cleanly did in which time, so that a report can tell the throughput."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from extractor.sinks import disk

LONGEST = 60


def path_of(output: str) -> str:
    return f"{os.path.splitext(output)[0]}.run.json"


class Work(NamedTuple):
    """Rows written and the time it took, loading of the model included."""

    rows: int = 0
    seconds: float = 0.0


def write(output: str, fingerprint: str, settings: Mapping[str, str], *, anew: bool = False) -> None:
    """Note the settings of the run, unless they stand there already; `anew` forgets earlier work. Raises OSError."""
    if anew or read(output, fingerprint) != dict(settings):
        _replace(output, {"fingerprint": fingerprint, "settings": dict(settings)})


def read(output: str, fingerprint: str) -> dict[str, str] | None:
    """The settings behind a fingerprint; None where the file is missing, broken or of another run."""
    settings = _content(output, fingerprint).get("settings")
    return settings if isinstance(settings, dict) else None


def add_work(output: str, fingerprint: str, work: Work) -> None:
    """Add what a run has done. Raises OSError."""
    before = read_work(output, fingerprint)
    rows, seconds = before.rows + work.rows, round(before.seconds + work.seconds, 3)
    _replace(output, {**_content(output, fingerprint), "work": {"rows": rows, "seconds": seconds}})


def note_totals(output: str, fingerprint: str, totals: Mapping[str, int]) -> None:
    """Note what an output holds that is more than one file. Raises OSError."""
    _replace(output, {**_content(output, fingerprint), "totals": dict(totals)})


def read_work(output: str, fingerprint: str) -> Work:
    """What the runs of a fingerprint have done in all; nothing where it was not noted."""
    work = _content(output, fingerprint).get("work")
    try:
        return Work(int(work["rows"]), float(work["seconds"])) if work else Work()
    except (KeyError, TypeError, ValueError):
        return Work()


def _content(output: str, fingerprint: str) -> dict[str, Any]:
    """What the file says about a fingerprint; nothing where it is missing, broken or of another run."""
    try:
        with open(path_of(output), "rb") as stream:
            content = orjson.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and content.get("fingerprint") == fingerprint else {}


def _replace(output: str, content: Mapping[str, Any]) -> None:
    disk.replace(path_of(output), [orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])


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
