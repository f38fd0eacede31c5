"""A process that runs a program for a reader, in a group of its own: `supervised.py SECONDS FOLDER PROGRAM...`.

The program, with all that it has started, ends after so many seconds, and when whoever asked for it has died: standard
input is closed then, and the folder, which nobody will look into any more, is removed. Runs without this package.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time

TIMED_OUT, ABANDONED = 124, 125
STEP = 0.05


def main() -> int:
    """Run the program, and return its exit code (128 and more for a signal), or that of why it was ended."""
    seconds, folder, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + float(seconds)
    code = None
    abandoned = False
    while code is None and not abandoned and time.monotonic() < deadline:
        abandoned = bool(select.select([sys.stdin], [], [], STEP)[0])
        code = process.poll()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if abandoned:
        shutil.rmtree(folder, ignore_errors=True)
        return ABANDONED
    if code is None:
        return TIMED_OUT
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
