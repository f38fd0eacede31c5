"""What holds for every test: none can hang, whatever started the suite, and none fails because the machine is busy."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from extractor.ingest import worker_pool

# Hypothesis' limit of 200 ms an example is wall-clock time: on a loaded machine a slow example breaks it. Tests have a
# limit of their own (pytest-timeout).
settings.register_profile("extractor", deadline=None)
settings.load_profile("extractor")

ROOT = Path(__file__).resolve().parent.parent
CLIENT = """\
#!/bin/sh
exec '{python}' -I -S '{client}' '{socket}' "$@"
"""
SLOW_SECONDS = 600
AGAIN_SECONDS = 20


def pytest_configure() -> None:
    """Take SIGINT as usual where the suite was started with SIGINT ignored (`nohup pytest &`).

    Tests interrupt themselves and their children, and a child inherits what is ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that are marked as slow more time than the limit of pyproject.toml, and their files the first turn.

    Files are handed out whole: a long one that comes last keeps one process busy while the others have nothing to do.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Any) -> Generator[None, Any, Any]:
    """Let the alarm repeat: the first may only lead out of a test and into `Popen.__exit__`, which waits as well."""
    result = yield
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN_SECONDS)
    return result


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """Undo what the command line does to logging when a test runs it in this process (`-q`, `-v` and the handler).

    A test that reads what was logged would otherwise depend on which tests ran before it.
    """
    root, ours = logging.getLogger(), logging.getLogger("extractor")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    for handler in root.handlers:
        if type(handler) is logging.StreamHandler and handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(autouse=True)
def _search_path_of_libraries_is_left_as_it_was() -> Iterator[None]:
    """Undo what OpenCV does to the environment when it is imported: processes that later tests start inherit it."""
    name = "LD_LIBRARY_PATH"
    before = os.environ.get(name)
    yield
    if before is None:
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    """The program `extractor`, spared its imports (`tests/command_server.py`).

    With EXTRACTOR_TEST_COLD each line starts from nothing, as it does for users.
    """
    if "EXTRACTOR_TEST_COLD" in os.environ:
        yield Path(sys.executable).with_name("extractor")
        return
    with _command_server("extractor", (), {**os.environ, "OMP_NUM_THREADS": "1"}) as found:
        yield found


@pytest.fixture(scope="session")
def forked_readers() -> Iterator[None]:
    """Let the processes that read files be spared their imports as well."""
    if "EXTRACTOR_TEST_COLD" in os.environ:
        yield
        return
    python, *options, _, module = worker_pool.COMMAND
    with contextlib.ExitStack() as server, pytest.MonkeyPatch.context() as patched:
        with worker_pool._signals_held():
            found = server.enter_context(_command_server(module, options, worker_pool._environment()))
        patched.setattr(worker_pool, "COMMAND", (str(found),))
        yield


@contextlib.contextmanager
def _command_server(module: str, options: Sequence[str], environment: Mapping[str, str]) -> Iterator[Path]:
    """Start `tests/command_server.py` for a module, and yield a program that runs the module there."""
    # Not a folder of pytest's: the path of a socket has a hundred characters at most.
    with tempfile.TemporaryDirectory() as folder, _start(folder, module, options, environment) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        found = Path(folder, "extractor")
        client = ROOT / "tests" / "command_client.py"
        found.write_text(CLIENT.format(python=sys.executable, client=client, socket=f"{folder}/socket"))
        found.chmod(0o755)
        yield found
        server.communicate()


def _start(
    folder: str, module: str, options: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, *options, "-m", "tests.command_server", f"{folder}/socket", module],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
