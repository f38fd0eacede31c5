"""A full disk costs no row: the error says what to do, and the same line resumes afterwards."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractor.errors import OutputError
from extractor.sinks import Sink, SinkOptions, open_sink
from extractor.storage import atomic_files
from tests.sinks.reading import ids, read
from tests.sinks.records import record

OPTIONS = SinkOptions("f1", {"model": "demo"})


@pytest.fixture(name="small")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _fill(out: Path) -> int:
    """Write until the disk is full; how many rows it took."""
    taken: list[str] = []

    def write_all(sink: Sink) -> None:
        for number in range(10_000):
            sink.write(record(f"{number}.txt"))
            taken.append(f"{number}.txt")

    with open_sink(str(out), OPTIONS) as sink, pytest.raises(OutputError, match="No space left") as caught:
        write_all(sink)
    assert f"{len(taken)} rows are safe" in str(caught.value)
    return len(taken)


def test_a_full_disk_costs_no_row_and_the_same_line_resumes(small: Path) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(bytes(220_000))
    written = _fill(small / "results.jsonl")
    rows = (small / "results.jsonl").read_bytes()
    assert rows.count(b"\n") == written > 10
    assert rows.endswith(b"}\n")
    ballast.unlink()
    with open_sink(str(small / "results.jsonl"), OPTIONS) as sink:
        assert sink.done(f"{written - 1}.txt", record("x").source.sha256) == "ok"
        assert sink.done(f"{written}.txt", record("x").source.sha256) is None
        sink.write(record(f"{written}.txt"))
    ids = [json.loads(line)["id"] for line in (small / "results.jsonl").read_bytes().splitlines()]
    assert ids == [f"{number}.txt" for number in range(written + 1)]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_is_told_as_such() -> None:
    with open_sink("/dev/full", OPTIONS) as sink, pytest.raises(OutputError, match="No space left"):
        sink.write(record("a"))


def test_a_write_that_is_cut_short_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    atomic_files.append(descriptor, b"first\n")
    real = os.write

    def short(target: int, data: bytes) -> int:
        if len(data) < 4:
            raise KeyboardInterrupt
        return real(target, data[:4])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(KeyboardInterrupt):
        atomic_files.append(descriptor, b"second\n")
    os.close(descriptor)
    assert path.read_bytes() == b"first\n"


def test_replacing_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomic_files.replace(str(path), pieces())
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv", ".sqlite", ".parquet", ".xlsx"])
def test_a_full_disk_costs_no_row_in_any_format(tmp_path: Path, small: Path, suffix: str) -> None:
    out, ballast = small / f"results{suffix}", small / "ballast"
    ballast.write_bytes(bytes(160_000))
    taken: list[str] = []

    def write_all() -> None:
        with open_sink(str(out), OPTIONS) as sink:
            for number in range(10_000):
                sink.write(record(f"{number}.txt", str(os.urandom(200))))
                taken.append(f"{number}.txt")

    with pytest.raises(OutputError, match="No space left"):
        write_all()
    ballast.unlink()
    with open_sink(str(out), OPTIONS) as sink:
        pass
    assert len(taken) > 3
    assert len(read(out)) == len(taken)
    with open_sink(str(out), OPTIONS) as sink:
        sink.write(record("last"))
    assert ids(out) == [*taken, "last"]
