"""Runs the real command line, each line in a process of its own, on the bundled demo model if nothing else is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command_client import Line

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
def extractor(program: Path, tmp_path: Path) -> Run:
    """Call the command line in an empty directory; `stdin` is text or bytes, output comes back as text."""

    def run(*arguments: str | Path, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, arguments)],
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


class Started:
    """A line that was started in the present directory, and is waited for like a `Popen`; its output is discarded."""

    def __init__(self, program: Path, *arguments: str | Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `communicate`
        line, socket = list(map(str, arguments)), program.with_name("socket")
        with open(os.devnull, "r+b") as null:
            streams = (null.fileno(), null.fileno(), self._errors.fileno())
            self._line = Line(str(socket), line, environment(), streams) if socket.exists() else _Cold(line, streams)
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        self._line.send_signal(number)

    def communicate(self, timeout: float = 60) -> tuple[bytes, bytes]:
        """Wait for the end; return the output, which is empty, and the messages."""
        self.returncode = self._line.wait(timeout)
        with self._errors:
            self._errors.seek(0)
            return b"", self._errors.read()


class _Cold(subprocess.Popen[bytes]):
    """The same without a server of commands."""

    def __init__(self, line: list[str], streams: tuple[int, int, int]) -> None:
        stdin, stdout, stderr = streams
        super().__init__(command(*line), env=environment(), stdin=stdin, stdout=stdout, stderr=stderr)


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
