"""`results.run.json` beside `results.jsonl`: the settings by name, so that a refusal can say what changed; what the
rows add up to; what the runs that ended cleanly did in which time; how far the run is, or how the last one ended; and
the versions of what made them."""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import orjson

from extractor import __version__
from extractor.data import STATUSES, Json, Status
from extractor.storage import atomic_files

LONGEST = 60
PLAIN = ".jsonl"
PACKAGES = ("torch", "transformers", "llguidance", "jsonschema")
"""What can make answers differ, beside the model and this program."""


def path_of(output: str) -> str:
    """Return the file beside an output: `rows.run.json` for `rows.jsonl`, `rows.csv.run.json` for `rows.csv`.

    No two files of rows share one, `rows.ndjson` and `rows.JSONL` among them.
    """
    return f"{output.removesuffix(PLAIN)}.run.json"


class Work(NamedTuple):
    """Rows written and the seconds it took, loading of the model included."""

    rows: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What the rows of an output add up to: documents by status, those not `ok` by problem code, and tokens."""

    statuses: Mapping[Status, int] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return the entries of the file."""
        statuses: dict[str, int] = {status: self.statuses.get(status, 0) for status in STATUSES}
        tokens = {name: self.tokens.get(name, 0) for name in ("prompt", "completion")}
        counts = {"documents": sum(statuses.values()), **statuses}
        return {"totals": counts, "problems": dict(self.problems), "tokens": tokens}


def write(output: str, fingerprint: str, settings: Mapping[str, str], *, restart: bool = False) -> None:
    """Note the settings of the run, unless they are noted already; `restart` forgets earlier work. Raises OSError."""
    if restart or read(output, fingerprint) != dict(settings):
        _replace(output, {"fingerprint": fingerprint, "settings": dict(settings), "versions": versions()})


def read(output: str, fingerprint: str) -> dict[str, str] | None:
    """Return the settings behind a fingerprint; None where the file is missing, broken or of another run."""
    settings = _of_run(output, fingerprint).get("settings")
    return settings if isinstance(settings, dict) else None


def writer_version(output: str) -> str | None:
    """Return the version of this program that last wrote the output; None where that is not noted."""
    noted = _content(output).get("versions")
    return str(noted["extractor"]) if isinstance(noted, dict) and "extractor" in noted else None


def note_run(output: str, fingerprint: str, run: Mapping[str, Json]) -> None:
    """Note how far a run is; all else stays. Raises OSError."""
    if content := _of_run(output, fingerprint):
        _replace(output, {**content, "run": run})


def add_work(output: str, fingerprint: str, work: Work, totals: Totals, run: Mapping[str, Json] | None = None) -> None:
    """Add what a run has done, and note what the rows add up to now and how the run ended. Raises OSError.

    A run that wrote nothing changes neither versions nor work, nor what is noted of the last one that ended as it did.
    """
    before, content = read_work(output, fingerprint), _of_run(output, fingerprint)
    rows, seconds = before.rows + work.rows, round(before.seconds + work.seconds, 3)
    noted = {
        **content,
        "versions": versions() if work.rows else content.get("versions", versions()),
        **totals.as_json(),
        "work": {"rows": rows, "seconds": seconds},
        "documents_per_second": round(rows / seconds, 3) if seconds else None,
    }
    if run is not None and (work.rows or content.get("run", {}).get("state") != run["state"]):
        noted["run"] = run
    if noted != content:
        _replace(output, noted)


def read_work(output: str, fingerprint: str) -> Work:
    """Return what the runs of a fingerprint have done in all; nothing where it was not noted."""
    work = _of_run(output, fingerprint).get("work")
    try:
        return Work(int(work["rows"]), float(work["seconds"])) if work else Work()
    except (KeyError, TypeError, ValueError):
        return Work()


def versions() -> dict[str, str]:
    """Return the versions of what this runs on, by name; nothing is imported for it."""
    return {"extractor": __version__, "python": platform.python_version(), **_installed()}


@functools.cache
def _installed() -> Mapping[str, str]:
    """Return the versions of the packages that are installed; finding them takes milliseconds each."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _of_run(output: str, fingerprint: str) -> dict[str, Json]:
    """Return what the file says about a fingerprint; nothing where it is of another run."""
    content = _content(output)
    return content if content.get("fingerprint") == fingerprint else {}


def _content(output: str) -> dict[str, Json]:
    """Return what the file says; nothing where it is missing or broken."""
    try:
        with open(path_of(output), "rb") as stream:
            content = orjson.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _replace(output: str, content: Mapping[str, Json]) -> None:
    atomic_files.replace(
        path_of(output), [orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)]
    )


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return what changed between two runs, each setting once: `precision was half, is int8`."""
    names = dict.fromkeys([*old, *new])
    changed = [name for name in names if old.get(name) != new.get(name)]
    return "; ".join(f"{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}" for name in changed)


def _shown(value: str | None) -> str:
    if value is None:
        return "not set"
    flat = " ".join(str(value).split())
    return flat if len(flat) <= LONGEST else f"{flat[:LONGEST]}..."
