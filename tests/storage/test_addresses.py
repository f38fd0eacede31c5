"""Documents from and rows to `s3://`, with an S3 server on this machine."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extractor import ingest
from extractor.data import Record
from extractor.errors import InputError, OutputError, UsageError
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload
from extractor.sinks import SinkOptions, open_sink
from extractor.storage import addresses
from tests.cli.conftest import ROOT, Run
from tests.cli.conftest import extractor as extractor  # the fixture
from tests.readers.conftest import texts
from tests.sinks.records import record, sha

SETTINGS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    line = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            _wait(address)
            yield address
        finally:
            child.terminate()


def _wait(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the S3 server did not start")


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file system of an empty bucket called `box`."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system, _ = addresses.file_system("s3://box")
    if system.exists("box"):
        system.rm("box", recursive=True)
    system.mkdir("box")
    return system


def test_a_run_from_s3_to_s3_and_again(bucket: Any, extractor: Run, tmp_path: Path) -> None:
    bucket.pipe("box/in/sub/一.txt", "手机号：13800000000".encode())
    bucket.pipe("box/in/contract.pdf", (ROOT / "data/documents/contract.pdf").read_bytes())
    bucket.pipe("box/in/.hidden", b"x")
    line = ("run", "s3://box/in", "-s", "contact", "--backend", "scripted", "-o", "s3://box/in/rows.jsonl")
    first = extractor(*line)
    assert first.returncode == 0, first.stderr
    rows = [json.loads(line) for line in bucket.cat("box/in/rows.jsonl").splitlines()]
    assert {row["id"]: row["source"]["path"] for row in rows} == {
        "in/contract.pdf": "s3://box/in/contract.pdf",
        "in/sub/一.txt": "s3://box/in/sub/一.txt",
    }
    assert json.loads(bucket.cat("box/in/rows.run.json"))["totals"]["documents"] == 2
    bucket.pipe("box/in/two.txt", b"two")
    again = extractor(*line)
    assert "1 document in" in again.stderr
    assert "2 done before" in again.stderr
    bucket.invalidate_cache()
    assert len(bucket.cat("box/in/rows.jsonl").splitlines()) == 3
    assert not list((tmp_path / "cache/extractor/outputs").iterdir())


def test_tables_patterns_and_what_is_not_there(bucket: Any) -> None:
    with bucket.open("box/t/rows.parquet", "wb") as stream:
        pq.write_table(pa.table({"body": ["a", "b"]}), stream)
    bucket.pipe("box/t/one.txt", b"one")
    found = list(ingest.read(["s3://box/t/*.parquet", "s3://box/t/one.txt"], ReadOptions(text_field="body")))
    assert texts(found) == {"rows.parquet#1": "a", "rows.parquet#2": "b", "one.txt": "one"}
    again = dict(reload({item.id: item.source for item in found}, "", ReadOptions(text_field="body")))
    assert again == texts(found)
    with pytest.raises(InputError, match="nothing at s3://box/none"):
        ingest.read(["s3://box/none"])
    with pytest.raises(UsageError, match="nonesuch"):
        ingest.read(["nonesuch://box/none"])


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".parquet", ".sqlite"])
def test_a_run_that_dies_is_resumed_and_uploaded_at_its_end(bucket: Any, suffix: str) -> None:
    address = f"s3://box/rows{suffix}"

    def write(*records: Record, then: type[Exception] | None = None) -> list[str | None]:
        with open_sink(address, SinkOptions("f1")) as sink:
            known = [sink.done(name, sha("文")) for name in "abc"]
            for item in records:
                sink.write(item)
            if then:
                raise then
        return known

    assert write(record("a")) == [None, None, None]
    with pytest.raises(ZeroDivisionError):
        write(record("b"), then=ZeroDivisionError)
    assert write() == ["ok", "ok", None]
    with pytest.raises(ZeroDivisionError):
        write(record("c"), then=ZeroDivisionError)
    bucket.rm(f"box/rows{suffix}")  # somebody has taken it away meanwhile: then that counts
    assert write() == [None, None, None]


def test_a_bucket_that_is_not_there_is_told_and_the_rows_are_kept(bucket: Any) -> None:
    with (
        pytest.raises(OutputError, match=r"s3://none/rows.jsonl.*rows are safe in"),
        open_sink("s3://none/rows.jsonl", SinkOptions("f1")) as sink,
    ):
        sink.write(record("a"))
