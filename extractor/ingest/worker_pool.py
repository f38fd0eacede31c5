"""Files are read ahead of the run by a few processes, and one that crashes or hangs fails its own file only.

Files are dealt round-robin and results are taken in the order of the files, so every run is the same. What has been
read waits in the pipes, which are small: a process that is ahead blocks, and this one holds one document at a time. A
process ends with the run, however that ends: its standard input is closed then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from extractor.data import Document, FailedDocument
from extractor.errors import ExtractorError, Problem
from extractor.ingest import ipc
from extractor.readers._support.files import File, ReadOptions, hash_of
from extractor.readers._support.time_limit import exceeded

PROCESSES = 4
QUEUE = 4
"""Files that a process is given at most, including the one that it reads."""

LAST_BYTES = 4096
"""Of what a process wrote to standard error."""

COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "extractor.ingest.worker")


class WorkerPool:
    """A few processes, each started when there is a first file for it."""

    def __init__(self, options: ReadOptions) -> None:
        self._workers = [WorkerSlot(options) for _ in range(min(PROCESSES, _processors()))]
        self._submitted = 0
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the results of a file have to be taken before another is submitted."""
        return self._submitted - self._taken >= QUEUE * len(self._workers)

    def submit(self, file: File) -> Iterator[Document | FailedDocument]:
        """Have a file read from now on, and return its documents.

        Not while the pool is full. Results are to be taken in the order in which files were submitted.
        """
        worker = self._workers[self._submitted % len(self._workers)]
        self._submitted += 1
        worker.submit(file)
        return self._results(worker)

    def _results(self, worker: WorkerSlot) -> Iterator[Document | FailedDocument]:
        yield from worker.results()
        self._taken += 1

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.kill()


class WorkerSlot:
    """One process at a time, and the files whose results have not been taken. A dead process is replaced."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._files: deque[File] = deque()
        self._process: WorkerProcess | None = None

    def submit(self, file: File) -> None:
        """Queue a file, in a new process if there is none."""
        self._files.append(file)
        if self._process is None:
            self._process = WorkerProcess()
        self._process.request(file, self._options)

    def results(self) -> Iterator[Document | FailedDocument]:
        """Yield the documents of the first file, and a failure if the process dies over it."""
        process = cast(WorkerProcess, self._process)
        # A line without its end is what a process had written of an answer when it died.
        while (line := process.read_line()).endswith(b"\n") and line != ipc.END:
            yield ipc.from_line(line)
        file = self._files.popleft()
        if line != ipc.END:
            yield self._replace(process, file)

    def kill(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _replace(self, process: WorkerProcess, file: File) -> FailedDocument:
        """Give the remaining files to another process, and return the failure of the one over which this one died."""
        self._process = WorkerProcess() if self._files else None
        for waiting in self._files:
            cast(WorkerProcess, self._process).request(waiting, self._options)
        code, errors = process.end()
        sha256 = hash_of(file, self._options.max_bytes)
        if code == -signal.SIGALRM:
            return file.failed(exceeded(self._options.timeout), sha256)
        message = f"reading it ended the reader ({_last_words(code, errors)}): look at the file"
        return file.failed(Problem("crashed", message), sha256)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Block the signals that are meant for the run: a process that is started meanwhile inherits the mask for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerProcess:
    """A process that reads files. No signal for the run reaches it: the run decides when it ends."""

    def __init__(self) -> None:
        """Start it. Raises ExtractorError where the system has no room for one."""
        self._errors = open(os.memfd_create("errors"), "w+b")  # noqa: SIM115  # needs no folder for temporary files
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

    def request(self, file: File, options: ReadOptions) -> None:
        """Have a file read. That the process has just died shows when its answer is read."""
        with contextlib.suppress(BrokenPipeError):
            requests = cast(BinaryIO, self._popen.stdin)
            requests.write(ipc.request(file, options))
            requests.flush()

    def read_line(self) -> bytes:
        """Return the next line of its answers; an incomplete one when the process has died."""
        return cast(BinaryIO, self._popen.stdout).readline()

    def kill(self) -> None:
        """End it at once, and wait for its end."""
        self._popen.kill()
        self.end()

    def end(self) -> tuple[int, bytes]:
        """Wait for its end; return its exit code and the end of what it wrote to standard error."""
        self._popen.communicate()
        with self._errors:
            self._errors.seek(0)
            return self._popen.returncode, self._errors.read()[-LAST_BYTES:]


def _last_words(code: int, errors: bytes) -> str:
    """Return how a process died, in a few words: the exception, or the signal."""
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        return signal.Signals(-code).name
    return lines[-1][:200] if lines else f"exit code {code}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _environment() -> dict[str, str]:
    """Return the environment in which processes import this very package, wherever it was imported from."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
