"""The worked examples run, and print what is in the documents."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from extractor import Extractor, ingest
from extractor.sinks import SinkOptions, open_sink
from tests.cli.conftest import ROOT, SAMPLES, environment

EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs that the examples read, of the demo model."""
    folder = tmp_path_factory.mktemp("outputs")
    with Extractor("contact") as extractor:
        records = list(extractor.run(ingest.read([str(SAMPLES / "contact")])))
    for name, flatten in (("results.parquet", False), ("results.sqlite", False), ("values.csv", True)):
        options = SinkOptions(records[0].run.fingerprint, task=extractor.task, flatten=flatten)
        with open_sink(str(folder / name), options) as sink:
            for record in records:
                sink.write(record)
    return folder


def _run(*line: str | Path, code: int = 0, path: str = "", stdin: str = "") -> str:
    paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": f"{path or ROOT}:{ROOT}"}
    done = subprocess.run(
        list(map(str, line)),
        input=stdin,
        env=environment() | paths,
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def _python(example: str, output: Path) -> str:
    return _run(sys.executable, "-W", "ignore", EXAMPLES / example, output)


def test_every_example_is_named_and_run_here() -> None:
    page, here = (EXAMPLES / "README.md").read_text("utf-8"), Path(__file__).read_text("utf-8")
    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert f"({path.name})" in page
            assert f'"{path.name}"' in here


def test_duckdb_over_the_parquet_output(outputs: Path) -> None:
    found, summary = _python("duckdb_parquet.py", outputs / "results.parquet").split("status\tcode")
    assert "contact/book.txt\t18888888888\t0." in found
    assert "\t79\n" in found
    assert "ok\tNone\t9\t" in summary


def test_pandas_over_the_flattened_output(outputs: Path) -> None:
    printed = _python("pandas_values.py", outputs / "values.csv")
    assert {"手机号", "邮箱", "账号", "密码"} <= {line.split()[0] for line in printed.splitlines() if line}
    assert "0 failed documents" in printed


def test_sqlite_joined_with_a_table_of_ones_own(outputs: Path) -> None:
    printed = _python("sqlite_upsert.py", outputs / "results.sqlite")
    assert printed.splitlines()[0] == "小华\tcontact/book.txt\t18888888888\t79"
    assert printed.splitlines()[-1] == "9 documents"


@needs_jq
def test_a_stage_in_a_pipe() -> None:
    book = (SAMPLES / "contact" / "book.txt").read_text("utf-8")
    lines = "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in (("book", book), ("blank", " ")))
    printed = _run("bash", EXAMPLES / "pipe.sh", stdin=lines, code=1)
    assert [json.loads(line) for line in printed.splitlines()] == [
        {"id": "book", "phone": "18888888888", "at": [79, 90]}
    ]


@needs_jq
def test_a_nightly_task_acts_on_the_exit_codes(tmp_path: Path) -> None:
    inbox, results = tmp_path / "inbox", tmp_path / "results.jsonl"
    inbox.mkdir()
    (inbox / "good.txt").write_text("手机号：13800000000", encoding="utf-8")
    line = ("bash", EXAMPLES / "nightly.sh", inbox, results, "--backend", "scripted")
    assert _run(*line) == "complete\n"
    (inbox / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert _run(*line, code=1) == "complete, but for:\ninbox/bad.png\tdamaged\n"
    (inbox / "bad.png").unlink()
    assert _run(*line) == "complete\n"
    assert _run(*line, "--seed", "7", code=2) == ""


def test_another_package_adds_a_reader_a_sink_and_a_backend(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    shutil.copytree(EXAMPLES / "plugin", tmp_path / "plugin")
    site = tmp_path / "site"
    subprocess.run([*install, "--target", site, tmp_path / "plugin"], check=True, capture_output=True)
    talk = "1\n00:00:01,000 --> 00:00:02,000\n请打电话\n\n2\n00:01:07,500 --> 00:01:09,000\n13800000000\n"
    (tmp_path / "talk.srt").write_text(talk, encoding="utf-8")
    out = tmp_path / "out.md"
    line = (BIN / "extractor", "run", tmp_path / "talk.srt", "-s", "contact", "-q", "--backend", "patterns", "-o")
    _run(*line, out, path=str(site))
    header, _, row = out.read_text("utf-8").splitlines()
    assert header == "| document | status | 手机号 | 邮箱 | 账号 | 密码 |"
    assert row.startswith("| talk.srt | ok | 13800000000 |  |")
    (record,) = map(json.loads, _run(*line, "-", path=str(site)).splitlines())
    assert record["locations"]["/手机号"] == [{"time": "00:01:07"}]
    assert "patterns" in _run(BIN / "extractor", "run", "--help", path=str(site))
    _run(*line, out, code=2)
