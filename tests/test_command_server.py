"""The lines that most tests run are processes of their own that are spared their start, unless it would be another."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import environment
from tests.command_client import Line

LINE = ["run", "-", "-s", "contact", "--backend", "scripted", "--batch-size", "1", "-o", "-", "-q"]
DOCUMENT = b'{"text": "x"}\n'


@pytest.fixture
def socket(program: Path) -> str:
    if not program.with_name("socket").exists():
        pytest.skip("each line starts from nothing")
    return str(program.with_name("socket"))


def _running() -> psutil.Process:
    """The process of the line that was started last: one that reads files for it may be there as well."""
    servers = [each for each in psutil.Process().children() if each.cmdline()[-1:] == ["extractor"]]
    return max((line for server in servers for line in server.children()), key=lambda line: line.create_time())


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "tests.command_server"),
        ({"EXTRACTOR_PASSWORD": "x", "PATH": "/bin"}, "tests.command_server"),
        ({"PYTHONHASHSEED": "1"}, "extractor"),
        ({"OMP_NUM_THREADS": "2"}, "extractor"),
        ({"PYTHONWARNINGS": "ignore"}, "extractor"),
    ],
)
def test_a_line_starts_anew_where_the_environment_could_make_a_difference(
    socket: str, variables: dict[str, str], module: str
) -> None:
    (stdin, documents), (rows, stdout) = os.pipe(), os.pipe()
    line = Line(socket, LINE, {**environment(), **variables}, (stdin, stdout, stdout))
    os.write(documents, DOCUMENT)
    assert os.read(rows, 1).startswith(b"{")
    assert module in _running().cmdline()
    line.send_signal(signal.SIGKILL)
    assert line.wait(30) == -signal.SIGKILL
    for each in (stdin, documents, rows, stdout):
        os.close(each)


def test_a_line_ends_with_its_client(program: Path, socket: str) -> None:
    client = subprocess.Popen([program, *LINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(DOCUMENT)
    client.stdin.flush()
    assert client.stdout.read(1) == b"{"
    line = _running()
    client.kill()
    client.communicate()
    psutil.wait_procs([line], timeout=30)
    assert not line.is_running()
