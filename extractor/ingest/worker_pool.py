"""Files are read ahead of the run by a few processes, and one that crashes or hangs takes down its own file only.

Files go round the processes in turn and results are taken in the order of the files, so the run is the same every
time. What has been read waits in the pipes, which are small: a process that is ahead stands still, and this one holds
one document at a time. A process ends with the run, whichever way that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from extractor.data import Document, FailedDocument
from extractor.errors import ExtractorError, Problem
from extractor.ingest import ipc
from extractor.readers._support.files import File, ReadOptions, hash_of

PROCESSES = 4
QUEUE = 4
"""Files that a process is given at most, the one that it reads among them."""

LAST_BYTES = 4096
"""Of what a process wrote to standard error."""

COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "extractor.ingest.worker")


class Ahead:
    """A few processes, each started when there is a first file for it."""

    def __init__(self, options: ReadOptions) -> None:
        self._workers = [Worker(options) for _ in range(min(PROCESSES, _processors()))]
        self._given = 0
        self._taken = 0

    @property
    def is_full(self) -> bool:
        return self._given - self._taken >= QUEUE * len(self._workers)

    def read(self, file: File) -> Iterator[Document | FailedDocument]:
        """Have a file read from now on; not while it is full. Its documents are to be taken before those of files that
        were given later."""
        worker = self._workers[self._given % len(self._workers)]
        self._given += 1
        worker.give(file)
        return self._taken_from(worker)

    def _taken_from(self, worker: Worker) -> Iterator[Document | FailedDocument]:
        yield from worker.take()
        self._taken += 1

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.kill()


class Worker:
    """One process at a time, and the files that it has still to answer for. A dead one is replaced."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._files: deque[File] = deque()
        self._process: Process | None = None

    def give(self, file: File) -> None:
        self._files.append(file)
        if self._process is None:
            self._process = Process()
        self._process.ask(file, self._options)

    def take(self) -> Iterator[Document | FailedDocument]:
        """What the process makes of its first file, and why there is no more if it dies over it."""
        process = cast(Process, self._process)
        while (line := process.answer()).endswith(b"\n") and line != ipc.END:
            yield ipc.from_line(line)
        file = self._files.popleft()
        if line != ipc.END:
            yield self._died(file, process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _died(self, file: File, process: Process) -> FailedDocument:
        """Another process gets the files that are left; this one says how it ended."""
        self._process = Process() if self._files else None
        for waiting in self._files:
            cast(Process, self._process).ask(waiting, self._options)
        code, errors = process.end()
        sha256 = hash_of(file, self._options.max_bytes)
        if code == -signal.SIGALRM:
            message = f"not read within {self._options.timeout:g} seconds: look at the file, or raise --read-timeout"
            return file.failed(Problem("timeout", message), sha256)
        message = f"reading it ended the reader ({_last_words(code, errors)}): look at the file"
        return file.failed(Problem("crashed", message), sha256)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """A process that is started meanwhile never hears of these signals: they are meant for the run."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Process:
    """A process that reads files. No signal for the run reaches it: the run decides when it ends."""

    def __init__(self) -> None:
        """Start it. Raises ExtractorError where the system has no room for one."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with _signals_held():
                self._popen = subprocess.Popen(
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise ExtractorError(f"No process can be started to read documents ({error}). Free memory.") from error

    def ask(self, file: File, options: ReadOptions) -> None:
        """Have a file read. That the process has just died is found out when its answer is taken."""
        with contextlib.suppress(BrokenPipeError):
            requests = cast(BinaryIO, self._popen.stdin)
            requests.write(ipc.request(file, options))
            requests.flush()

    def answer(self) -> bytes:
        """The next line; one that is not whole when the process has died."""
        return cast(BinaryIO, self._popen.stdout).readline()

    def kill(self) -> None:
        self._popen.kill()
        self.end()

    def end(self) -> tuple[int, bytes]:
        """Wait for its end; returns its exit code and what it said on standard error."""
        self._popen.communicate()
        with self._errors:
            self._errors.seek(0)
            return self._popen.returncode, self._errors.read()[-LAST_BYTES:]


def _last_words(code: int, errors: bytes) -> str:
    """How a process died, in a few words: the exception, or the signal."""
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        return signal.Signals(-code).name
    return lines[-1][:200] if lines else f"exit code {code}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _environment() -> dict[str, str]:
    """The processes run this very package, wherever it was imported from."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
