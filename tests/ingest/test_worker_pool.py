"""Readers that crash, hang or fill the memory fail their file alone, and their processes never outlive the run.

The library that parses HTML is replaced by one that does what the page says; the processes around it are real.
"""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import psutil
import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions, worker_pool
from extractor.ingest.worker_pool import COMMAND
from tests.readers.conftest import Read, failure, texts
from tests.readers.making import pdf, zipped

HOSTILE_LIBRARY = """
import ctypes, os
class LexborHTMLParser:
    def __init__(self, page):
        if "segfault" in page: ctypes.string_at(0)
        if "exit" in page: os._exit(3)
        if "raise" in page: raise KeyError("boom")
        if "memory" in page: bytearray(16 << 30)
        print("null")
        while True: pass
"""
READ_AND_WAIT = """
import sys, time
from extractor import ingest
documents = ingest.read([sys.argv[1]])
next(documents)
print(1, flush=True)
time.sleep(60)
"""
ENDS = {"segfault": "SIGSEGV", "exit": "exit code 3", "raise": "KeyError: 'boom'", "memory": "MemoryError"}


@pytest.fixture(autouse=True)
def _as_users_start_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "COMMAND", COMMAND)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, where HTML is parsed by a hostile library."""
    library = tmp_path / "library" / "selectolax"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    (library / "lexbor.py").write_text(HOSTILE_LIBRARY)
    monkeypatch.setenv("PYTHONPATH", str(library.parent))
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _rtf(number: int) -> bytes:
    return b"{\\rtf1 text %d}" % number


def _children() -> list[psutil.Process]:
    """Return the processes that read; the one that renders prompts lasts for all runs of a process."""
    return [each for each in psutil.Process().children() if each.cmdline()[-2:] == list(COMMAND[-2:])]


@pytest.mark.parametrize(("what", "words"), ENDS.items())
def test_a_reader_that_dies_fails_its_file_alone_and_says_how_it_died(hostile: Path, what: str, words: str) -> None:
    for number in range(12):
        (hostile / f"{number:02d}.rtf").write_bytes(_rtf(number))
    (hostile / "05.html").write_text(f"<html>{what}</html>")
    found = list(ingest.read(["*"]))
    assert [item.id for item in found] == sorted(path.name for path in hostile.iterdir())
    (failed,) = [item for item in found if isinstance(item, FailedDocument)]
    assert (failed.id, failed.problem.code) == ("05.html", "crashed")
    assert words in failed.problem.message
    assert len(failed.source.sha256) == 64
    assert [item.text for item in found if isinstance(item, Document)] == [f"text {number}" for number in range(12)]


def test_readers_that_hang_fail_after_their_time_and_the_others_are_read(hostile: Path) -> None:
    for number in range(3):
        (hostile / f"{number}.html").write_text("<html>hang</html>")
        (hostile / f"{number}.rtf").write_bytes(_rtf(number))
    found = list(ingest.read(["*"], ReadOptions(timeout=2.0)))
    assert [item.id for item in found] == sorted(path.name for path in hostile.iterdir())
    assert {item.problem.code for item in found if isinstance(item, FailedDocument)} == {"timeout"}
    assert sum(isinstance(item, Document) for item in found) == 3
    assert "not read within 2 seconds" in failure(found[:1]).message
    assert "--read-timeout" in failure(found[:1]).message


def test_what_a_library_prints_is_not_taken_for_an_answer(hostile: Path) -> None:
    (hostile / "a.html").write_text("<html>hang</html>")
    assert failure(list(ingest.read(["a.html"], ReadOptions(timeout=2.0)))).code == "timeout"


def test_documents_of_an_archive_from_before_the_crash_are_kept(hostile: Path) -> None:
    data = zipped({"a.txt": b"first", "b.rtf": _rtf(2), "c.html": b"<html>segfault</html>", "d.txt": b"last"})
    (hostile / "a.zip").write_bytes(data)
    assert texts(list(ingest.read(["a.zip"]))) == {
        "a.zip/a.txt": "first",
        "a.zip/b.rtf": "text 2",
        "a.zip": "!crashed",
    }


def test_the_message_for_a_missing_package_says_how_to_install_it(hostile: Path) -> None:
    fake = hostile.parent / "library" / "selectolax" / "lexbor.py"
    fake.write_text("raise ModuleNotFoundError(\"No module named 'selectolax'\", name='selectolax')")
    (hostile / "a.html").write_text("<html><body>x</body></html>")
    (hostile / "b.rtf").write_bytes(_rtf(1))
    missing, read = ingest.read(["*"])
    assert isinstance(missing, FailedDocument)
    assert missing.problem.code == "extra"
    assert "selectolax" in missing.problem.message
    assert "pip install 'chatglm3-extractor[docs]'" in missing.problem.message
    assert isinstance(read, Document)


def test_documents_come_in_the_order_of_the_files_whatever_takes_how_long(read: Read, tmp_path: Path) -> None:
    for number in range(30):
        kinds = {".txt": b"text", ".rtf": _rtf(number), ".pdf": pdf(["line"] * 20)}
        for suffix, data in kinds.items():
            (tmp_path / f"{number:02d}{suffix}").write_bytes(data)
    assert [item.id for item in ingest.read(["*"])] == sorted(path.name for path in tmp_path.iterdir())


def test_text_needs_no_process(read: Read) -> None:
    documents = ingest.read(["a.txt", "b.csv"]) if read("a.txt", "x") and read("b.csv", "a,b\n1,2\n") else iter(())
    next(documents)
    assert _children() == []


def test_reading_ahead_is_bounded(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:03d}.rtf").write_bytes(_rtf(number))
    documents = ingest.read([str(tmp_path)])
    next(documents)
    assert 1 <= len(_children()) <= worker_pool.PROCESSES
    time.sleep(1)
    for path in tmp_path.iterdir():
        path.unlink()
    rest = list(documents)
    assert len(rest) == 199
    assert sum(isinstance(item, Document) for item in rest) <= worker_pool.PROCESSES * worker_pool.QUEUE


def test_an_archive_is_never_held_in_memory(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({f"{number}.txt": b"x" * 10_000 for number in range(2_000)}))
    documents = ingest.read(["a.zip"])
    next(documents)
    tracemalloc.start()
    count = sum(1 for _ in documents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1_999
    assert peak < 2_000_000


def test_processes_end_with_the_last_document_and_when_reading_is_abandoned(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}.rtf").write_bytes(_rtf(number))
    assert len(list(ingest.read([str(tmp_path)]))) == 20
    assert _children() == []
    documents = ingest.read([str(tmp_path)])
    next(documents)
    assert _children() != []
    del documents
    assert _children() == []


def test_a_signal_that_is_meant_for_the_run_does_not_end_the_processes(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02d}.rtf").write_bytes(_rtf(number))
    documents = ingest.read([str(tmp_path)])
    next(documents)
    for child in _children():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send_signal(number)
    assert all(isinstance(item, Document) for item in documents)


def test_processes_end_when_the_run_is_killed(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:02d}.rtf").write_bytes(_rtf(number))
    with subprocess.Popen([sys.executable, "-c", READ_AND_WAIT, str(tmp_path)], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"1\n"
        workers = psutil.Process(run.pid).children(recursive=True)
        assert workers
        os.kill(run.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
