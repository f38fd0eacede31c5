"""Compiled kernels in the cache folder: whatever is found there, a process goes on, with kernels or without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from extractor.kernels import jit

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="this machine has no gcc")

SOURCE = "int answer(void) { return 42; }\n"
LOAD = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO)
from extractor.kernels import jit
jit.SOURCES = Path(sys.argv[1])
library = jit.load("small", {"answer": jit.Signature((), jit.ctypes.c_int)})
print(library.answer() if library else None)
"""


def _load(folder: Path, **environment: str) -> tuple[str, str]:
    """Load a small library in a process of its own; return what it answers, and what was logged."""
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "small.c").write_text(SOURCE)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder / "src")],
        env={**os.environ, "XDG_CACHE_HOME": str(folder), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "extractor" / "kernels").glob("*.so"))


def _truncate(file: Path) -> None:
    os.truncate(file, 4096)


def _empty(file: Path) -> None:
    os.truncate(file, 0)


def _foreign(file: Path) -> None:
    file.write_bytes(b"#!/bin/sh\necho pwned\n")


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _link(file: Path) -> None:
    moved = file.rename(file.parents[2] / "elsewhere.so")
    file.symlink_to(moved)


def _writable(file: Path) -> None:
    file.chmod(0o777)


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut off": _truncate,
    "empty": _empty,
    "another file": _foreign,
    "one bit": _flip,
    "a link": _link,
    "writable by all": _writable,
    "a folder": _directory,
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_bad_file_is_never_loaded_but_built_again(what: str, tmp_path: Path) -> None:
    assert _load(tmp_path)[0] == "42"
    (kept,) = _kept(tmp_path)
    DAMAGE[what](kept)
    answer, log = _load(tmp_path)
    assert answer == "42"
    assert "built again" in log
    if what != "a folder":
        (built,) = _kept(tmp_path)
        assert built.is_file()
        assert not built.is_symlink()
        assert "built again" not in _load(tmp_path)[1]


def test_a_library_is_compiled_once(tmp_path: Path) -> None:
    assert _load(tmp_path)[0] == "42"
    (kept,) = _kept(tmp_path)
    before = kept.stat().st_mtime_ns
    assert _load(tmp_path)[0] == "42"
    assert [each.stat().st_mtime_ns for each in _kept(tmp_path)] == [before]


COMPILERS = ["exit 1", "echo broken >&2; exit 4", "exit 0", "echo x > $(echo $* | sed 's/.*-o //; s/ .*//')"]
"""Compilers that make nothing, or what is not a library."""


def _fake_gcc(folder: Path, script: str) -> str:
    tools = folder / "bin"
    tools.mkdir()
    (tools / "gcc").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "gcc").chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


@pytest.mark.parametrize("script", COMPILERS)
def test_a_compiler_that_fails_costs_the_kernels_and_a_line(script: str, tmp_path: Path) -> None:
    answer, log = _load(tmp_path, PATH=_fake_gcc(tmp_path, script))
    assert (answer, log.count("kernels are left out")) == ("None", 1)
    assert _kept(tmp_path) == []


def test_a_compiler_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _fake_gcc(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jit, "_seconds", jit._Seconds(0.5))
    (tmp_path / "small.c").write_text(SOURCE)
    monkeypatch.setattr(jit, "SOURCES", tmp_path)
    for _ in range(3):  # the limit is one for all
        assert jit.load("small", {}) is None
    started = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while _runs(started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(started)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null"])
def test_without_a_cache_folder_a_library_is_compiled_each_time(folder: str, tmp_path: Path) -> None:
    assert _load(tmp_path, XDG_CACHE_HOME=folder)[0] == "42"


def test_without_a_home_or_a_temporary_folder_there_are_kernels_or_none(tmp_path: Path) -> None:
    assert _load(tmp_path, XDG_CACHE_HOME="", HOME="/proc/nowhere")[0] == "42"
    assert _load(tmp_path, TMPDIR="/proc/nowhere")[0] == "42"


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "extractor" / "kernels").mkdir(parents=True)
    (tmp_path / "extractor" / "kernels").chmod(0o777)
    assert _load(tmp_path)[0] == "42"
    assert _kept(tmp_path) == []
