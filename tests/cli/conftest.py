"""Runs the real command line in a process of its own, on the bundled demo model where nothing else is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "data" / "samples"

Row = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "extractor", *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread each: the tests of a machine with two cores run beside each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::ResourceWarning"}


@pytest.fixture
def extractor(tmp_path: Path) -> Run:
    """Call the command line in an empty directory; `stdin` is text or bytes, output comes back as text."""

    def run(*arguments: str | Path, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=environment(),
            timeout=timeout,
            check=False,
        )

    return run


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def by_id(found: Sequence[Row]) -> dict[str, Row]:
    """Return rows by id, each of which occurs once."""
    table = {row["id"]: row for row in found}
    assert len(table) == len(found), "an id occurs in the output twice"
    return table


def assert_same_rows(found: Sequence[Row], expected: Sequence[Row]) -> None:
    """Equal but for timings. Probabilities may differ in their last digits: a restart makes other batches."""
    assert by_id(found).keys() == by_id(expected).keys()
    for name, row in by_id(found).items():
        other = by_id(expected)[name]
        assert row["confidence"] == pytest.approx(other["confidence"], abs=2e-4)
        assert _comparable(row) == _comparable(other)


def _comparable(row: Row) -> Row:
    usage = {key: value for key, value in row["usage"].items() if key != "seconds"}
    return {**row, "usage": usage, "confidence": None}
