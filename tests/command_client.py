"""Asks `tests/command_server.py` for a line of the command line, and ends as it ends. Starts without site packages."""

import contextlib
import json
import os
import socket
import sys


class Line:
    """A line that runs in a process of the server, which ends where this object does."""

    def __init__(self, path: str, arguments: list[str], environment: dict[str, str], streams: tuple[int, int, int]):
        request = {"arguments": arguments, "folder": os.getcwd(), "environment": environment}
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(path)
        socket.send_fds(self._connection, [b" "], streams)
        self._connection.sendall(json.dumps(request).encode() + b"\n")

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if there still is one."""
        with contextlib.suppress(BrokenPipeError):
            self._connection.sendall(b"%d\n" % number)

    def wait(self, seconds: float | None = None) -> int:
        """Return the exit code, negative for a signal. Raises TimeoutError, after which the process is ended."""
        with self._connection, self._connection.makefile("rb") as answer:
            self._connection.settimeout(seconds)
            return int(answer.readline())


def main() -> int:
    """Have a line run with the folder, the environment and the standard streams of this process."""
    _, path, *arguments = sys.argv
    code = Line(path, arguments, dict(os.environ), (0, 1, 2)).wait()
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
