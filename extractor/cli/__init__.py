"""The command line: one module per command, found by its name, imported when it is used.

The only package that knows click. `main` minds signals and the standard streams before it imports anything else, since
an interrupt in the middle of an import leaves a traceback, or is lost. `_commands` is where errors become messages and
exit codes: 0 all documents ok, 1 some partial or failed, 2 wrong usage, 3 no model, 4 rows could not be written, 130
interrupted.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False  # as in `typing`, whose import takes longer than the rest
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GARBAGE = (100_000, 50, 100)
"""How much is created before the collector looks for cycles: imports create much, and leave none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of this process, and return its exit code."""
    own = arguments is None
    before = {number: signal.signal(number, end_at_once) for number in SIGNALS}  # also where a shell has them ignored
    _occupy_standard_descriptors()
    if own:
        gc.set_threshold(*GARBAGE)
    from extractor.cli._commands import run

    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    finally:
        for number, handler in before.items():  # with all done, the process ends undisturbed
            signal.signal(number, signal.SIG_IGN if own else handler)
        if own:
            gc.freeze()  # looking for cycles once more, at the end, takes half a second


def end_at_once(number: int, frame: object) -> None:
    """End the process: a handler for where nothing has been begun that could be left undone."""
    try:
        os.write(2, b"Interrupted.\n")
    finally:
        os._exit(INTERRUPTED)


def _occupy_standard_descriptors() -> None:
    """Put the null device where the shell has closed one, so that no file of ours is taken for a standard stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest one, which is this
