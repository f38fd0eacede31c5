"""Commands in processes that note, with all that they start, which programs they run and whom they talk to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cli.conftest import environment

HOOK = """
import os, sys

NOTED = ("watched.begun", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen",
         "socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto")

def _note(event, arguments):
    if event in NOTED:
        what = arguments[-1] if event.startswith("socket.connect") else arguments[0]
        line = f"{event} {what!r}\\n".encode("utf-8", "replace")
        descriptor = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)

if "WATCHED" in os.environ:
    sys.addaudithook(_note)
    sys.audit("watched.begun", " ".join(sys.orig_argv))
"""


@dataclass(frozen=True)
class Watched:
    """What a command did: its exit code, what it said, and a line for each program and connection."""

    code: int
    said: str
    events: tuple[str, ...]

    @property
    def connections(self) -> list[str]:
        """Attempts to reach anybody over a network."""
        return [each for each in self.events if each.startswith("socket.") and "('" in each or "getaddrinfo" in each]

    @property
    def programs(self) -> list[str]:
        """Programs that were started, apart from Python."""
        started = [each for each in self.events if each.startswith(("os.", "subprocess."))]
        return [each for each in started if sys.executable not in each]


def watch(folder: Path, *arguments: str | Path, **variables: str) -> Watched:
    """Run a command in a folder."""
    hook, log = folder / "hook", folder / "events"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(HOOK)
    log.unlink(missing_ok=True)
    paths = os.pathsep.join(filter(None, (str(hook), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "extractor", *map(str, arguments)],
        cwd=folder,
        env={**environment(), "PYTHONPATH": paths, "WATCHED": str(log), **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Watched(done.returncode, done.stdout + done.stderr, tuple(log.read_text("utf-8").splitlines()))
