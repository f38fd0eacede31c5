"""A signal at any moment of a start ends the command with 130 and no traceback, and loses no row that was written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import environment, rows

BEGINS = """
import os, signal, sys
from extractor.cli import main
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
os.write(1, b".")
sys.exit(main())
"""
"""The command line, which tells when the interpreter itself has started: until then, nothing of ours runs."""

COMMANDS = {
    "extract": ("extract", "a.txt", "-s", "contact", "--backend", "scripted"),
    "run": ("run", "a.txt", "-s", "contact", "--backend", "scripted", "-o", "rows.jsonl"),
}
LOST_IN_IMPORTS = """
import sys, weakref
from extractor import cli
class Thing: pass
def lose(reference): cli._commands._interrupt(2, None)
from extractor.cli import _commands
def command(arguments):
    thing = Thing(); kept = weakref.ref(thing, lose); del thing
    return 0
_commands._result = command
sys.exit(cli.main([]))
"""
TURNED_INTO_ANOTHER_ERROR = """
import sys
from extractor import cli
from extractor.cli import _commands
from extractor.errors import ModelError
def command(arguments):
    try:
        _commands._interrupt(2, None)
    except KeyboardInterrupt as error:
        raise ModelError("the weights cannot be read") from error
_commands._result = command
sys.exit(cli.main([]))
"""
"""As compiled code does that cannot pass an interrupt on."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_during_the_start_leaves_no_traceback(command: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("手机号13800000000", encoding="utf-8")
    codes = set()
    for wait in (0.02, 0.1, 0.25):
        child = subprocess.Popen(
            [sys.executable, "-c", BEGINS, *COMMANDS[command]],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.read(1) == b"."
            try:
                child.wait(wait)
            except subprocess.TimeoutExpired:
                child.send_signal(number)
            _, errors = child.communicate(timeout=60)
        codes.add(child.returncode)
        assert b"Traceback" not in errors
        assert b"Exception ignored" not in errors
    assert codes <= {130, 0}
    if (tmp_path / "rows.jsonl").exists():
        assert [row["status"] for row in rows(tmp_path / "rows.jsonl")] in ([], ["ok"])


@pytest.mark.parametrize("program", [LOST_IN_IMPORTS, TURNED_INTO_ANOTHER_ERROR], ids=["lost", "turned into another"])
def test_an_interrupt_that_is_no_longer_one_ends_the_command(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"Interrupted.\n")
