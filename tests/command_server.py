"""The command line without its start: a process that has imported what it needs forks for every line that is asked for.

    python -m tests.command_server SOCKET MODULE

The module is `extractor`, or `extractor.ingest.worker`, which is the process that reads files for a run.
`tests/command_client.py` asks for a line, with its own folder, environment and standard streams, and ends as that line
ends. A line runs in a process of its own from the first statement of the module to the end of its
interpreter; what it is spared is a second and more of imports. Where the environment differs in what is read at such a
start, the process is replaced by `python -m MODULE`. Tests of the start itself, of what is imported and of
interrupts meanwhile, start Python themselves, and the commands of README.md run as users run them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

STREAMS = 3
STDERR = 2
COMMANDS = ("extractor.api", "extractor.backends.chatglm3", "extractor.backends.scripted", "tokenizers")
PACKAGES = ("lxml.etree", "msoffcrypto", "olefile", "openpyxl", "pypdfium2.raw", "python_calamine", "selectolax.lexbor")
PRELOADED = {
    "extractor": (*COMMANDS, *(f"extractor.{name}.*" for name in "cli readers sinks precisions chatglm3 task".split())),
    "extractor.ingest.worker": ("extractor.ingest.dispatch", "extractor.ingest.ipc", "extractor.readers.*", *PACKAGES),
}
"""What is imported before a module is run, by that module; all modules of a folder where a name ends in `.*`."""
READ_LATER = set(
    "HOME OLDPWD PATH PWD PYTEST_CURRENT_TEST PYTHONBREAKPOINT PYTHONWARNINGS SHLVL XDG_CACHE_HOME _".split()
)
"""Variables that nothing reads before a command begins; `PYTHONWARNINGS` is minded here."""
READ_LATER_PREFIXES = ("AWS_", "EXTRACTOR_", "MODELSCOPE_", "OPENAI_", "RAY_", "TORCHINDUCTOR_", "VLLM_")
STRICT = "error::ResourceWarning"


@dataclass(frozen=True)
class Request:
    """A line, where it is to run, and the client's standard streams."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int] = field(default_factory=list)

    @classmethod
    def receive(cls, connection: socket.socket) -> Request:
        """Read a request: a line of JSON, with three descriptors. Raises EOFError where the client has gone before."""
        data, streams, _, _ = socket.recv_fds(connection, 1 << 16, STREAMS)
        while not data.endswith(b"\n"):
            more = connection.recv(1 << 16)
            if not more:
                raise EOFError
            data += more
        return cls(**json.loads(data), streams=streams)

    def starts_alike(self) -> bool:
        """Tell whether a Python that starts in this environment would have become what this process is."""
        different = {name for name, _ in self.environment.items() ^ os.environ.items()}
        unknown = {name for name in different - READ_LATER if not name.startswith(READ_LATER_PREFIXES)}
        alone = len(os.listdir("/proc/self/task")) == 1
        return not unknown and alone and self.environment.get("PYTHONWARNINGS", STRICT) == STRICT


class Server:
    """Forks for each connection. A client that goes takes its process with it."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._events = selectors.DefaultSelector()
        self._running: set[int] = set()

    def serve(self) -> Request | None:
        """Return a request in the process that is to do it; None in this one, once standard input has ended."""
        self._events.register(self._listener, selectors.EVENT_READ, self._accept)
        self._events.register(sys.stdin, selectors.EVENT_READ, lambda: None)
        while True:
            (key, _), *_ = self._events.select()  # one at a time: it may end what another is about
            if key.fileobj is sys.stdin:
                for child in self._running:
                    os.kill(child, signal.SIGKILL)
                return None
            request = key.data()
            if request is not None:
                return request

    def _accept(self) -> Request | None:
        connection, _ = self._listener.accept()
        try:
            request = Request.receive(connection)
        except (EOFError, ConnectionError):
            connection.close()
            return None
        child = os.fork()
        if not child:
            self._close()
            connection.close()
            return request
        for descriptor in request.streams:
            os.close(descriptor)
        self._running.add(child)
        ended = os.pidfd_open(child)
        self._events.register(ended, selectors.EVENT_READ, partial(self._ended, child, ended, connection))
        self._events.register(connection, selectors.EVENT_READ, partial(self._heard, child, connection))
        return None

    def _ended(self, child: int, ended: int, connection: socket.socket) -> None:
        _, status = os.waitpid(child, 0)
        self._running.remove(child)
        self._events.unregister(ended)
        os.close(ended)
        with contextlib.suppress(KeyError):
            self._events.unregister(connection)
        with contextlib.suppress(ConnectionError), connection:
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def _heard(self, child: int, connection: socket.socket) -> None:
        """Pass a signal on; kill where the client has gone. As long as it has not been waited for, the id is its."""
        number = b""
        with contextlib.suppress(ConnectionError):
            number = connection.recv(1 << 6).partition(b"\n")[0]
        if not number:
            self._events.unregister(connection)
        os.kill(child, int(number) if number else signal.SIGKILL)

    def _close(self) -> None:
        """Close in a process that was forked what only the server needs."""
        kept = [key.fileobj for key in self._events.get_map().values() if key.fileobj is not sys.stdin]
        self._events.close()
        for each in kept:
            os.close(each) if isinstance(each, int) else each.close()  # type: ignore[union-attr]


def do(request: Request, module: str) -> None:
    """Be the process of a line, to its end."""
    _take_streams(request.streams)
    os.chdir(request.folder)
    if not request.starts_alike():
        options = sys.orig_argv[1 : sys.orig_argv.index("-m")]
        os.execve(sys.executable, [sys.executable, *options, "-m", module, *request.arguments], request.environment)
    os.environ.clear()
    os.environ.update(request.environment)
    if "PYTHONWARNINGS" in request.environment:
        sys.warnoptions.append(STRICT)
        warnings.simplefilter("error", ResourceWarning)
    if not sys.flags.safe_path:
        sys.path[0] = request.folder
    sys.argv[1:] = request.arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _take_streams(descriptors: list[int]) -> None:
    """Make descriptors the standard streams. Python's are opened anew: what a stream is, is asked when it is opened."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        opened = open(  # noqa: SIM115  # for the life of the process
            number,
            "w" if number else "r",
            encoding=old.encoding,
            errors=old.errors,
            newline="\n" if number else None,
            buffering=1 if number == STDERR or os.isatty(number) else -1,
            closefd=False,
        )
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _preload(names: Sequence[str]) -> None:
    """Import what will be needed, and keep the collector from touching it: memory that is written to is copied."""
    for name in names:
        with contextlib.suppress(ModuleNotFoundError):  # a package that is not installed, and is not needed then
            package = importlib.import_module(name.removesuffix(".*"))
            if name.endswith(".*"):
                for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
                    importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def main(path: str, module: str) -> None:
    """Serve a module at a socket until standard input ends."""
    _preload(PRELOADED[module])
    server = Server(path)
    os.write(1, b"ready\n")
    request = server.serve()
    if request is not None:
        do(request, module)


if __name__ == "__main__":
    main(*sys.argv[1:])
