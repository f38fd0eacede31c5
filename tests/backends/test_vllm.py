"""The demo model in vLLM, behind its server and in the process. `benchmarks/vllm_env.sh FOLDER` builds what it needs.

EXTRACTOR_VLLM=FOLDER pytest tests/backends/test_vllm.py
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import openai
import pytest

from extractor.backends.openai.request_mode import RequestMode
from extractor.data import Chunk, Document, Source
from extractor.task.answer_schema import answer_schema
from extractor.task.bundled import SCHEMAS
from extractor.task.task import load_task
from tests.builders import rendered
from tests.cli.conftest import ROOT, SAMPLES, by_id, command, environment, rows

VLLM = Path(os.environ.get("EXTRACTOR_VLLM", "nowhere"))
EXPECTED = json.loads((ROOT / "tests" / "cli" / "samples.json").read_text("utf-8"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (VLLM / "preload.txt").is_file(), reason="EXTRACTOR_VLLM names no environment with vLLM"),
]


def _vllm_environment() -> dict[str, str]:
    return {
        **environment(),
        "LD_PRELOAD": (VLLM / "preload.txt").read_text("ascii").strip(),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": str(min(os.sched_getaffinity(0))),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "default",
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in the layout of transformers."""
    folder = tmp_path_factory.mktemp("exported") / "demo"
    subprocess.run(command("models", "export", "demo", folder), env=environment(), check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def served(exported: Path) -> Iterator[str]:
    """A server of vLLM with the demo model; yields its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [VLLM / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server", "--model", exported]
    line += ["--served-model-name", "glm", "--host", "127.0.0.1", "--port", port, "--max-model-len", 1024]
    line += ["--enforce-eager", "--max-num-seqs", 16]
    log = (exported.parent / "server.log").open("wb")
    child = subprocess.Popen([*map(str, line)], env=_vllm_environment(), stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", child)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)
        log.close()


def _wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert child.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.25)
    raise TimeoutError(url)


def _extract(*arguments: str | Path, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    line = command(*arguments)
    around = environment() if python is None else _vllm_environment()
    line[0] = line[0] if python is None else str(python)
    return subprocess.run(line, env=around, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)


def test_a_server_of_vllm_gives_the_rows_of_the_local_engine(served: str, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    line = ("run", SAMPLES / "contact", "-s", "contact", "--backend", "openai", "--base-url", served)
    done = _extract(*line, "-o", output)
    assert done.returncode == 0, done.stderr
    assert {name: row["data"] for name, row in by_id(rows(output)).items()} == EXPECTED
    for row in rows(output):
        assert row["provenance"]["decoding"] == ["grammar"]
        assert row["provenance"]["parsed"] == ["strict"]
        assert row["run"]["model"] == "glm"
        assert len(row["confidence"]) == 4
        assert 0 < min(row["confidence"].values()) <= max(row["confidence"].values()) <= 1
        assert row["usage"]["prompt_tokens"] > row["usage"]["completion_tokens"] > 0


def test_a_document_beyond_the_context_is_cut_where_the_server_counts(served: str, tmp_path: Path) -> None:
    text = "无关的话说了一句又一句。" * 200 + "手机号：18888888888"
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    line = ("extract", tmp_path / "long.txt", "-s", "contact", "--backend", "openai", "--base-url", served, "--record")
    done = _extract(*line, "-v")
    assert "context 1024, tokens counted by the server" in done.stderr
    row = json.loads(done.stdout)
    assert (row["status"], row["provenance"]["chunks"] > 1) == ("ok", True), done.stderr
    for pointer, spans in row["spans"].items():
        assert {text[start:end] for start, end in spans} == {row["data"][pointer[1:]]}


@pytest.mark.parametrize("capability", ["grammar", "json_schema", "json_object"])
def test_a_server_of_vllm_takes_every_capability_for_every_bundled_schema(served: str, capability: str) -> None:
    whole = 0
    client = openai.OpenAI(base_url=served, api_key="none", max_retries=0)
    for name in SCHEMAS.names():
        task = load_task(name)
        text = "订单号SO-1，收货人李雷，电话13800000000。"
        prompt = rendered(task, Chunk(Document("d", text, Source("", "")), 0, 0, len(text)), 512)
        messages = [{"role": each.role, "content": each.content} for each in prompt.messages]
        fields = dict(RequestMode(capability).fields(prompt))
        reply = client.chat.completions.create(model="glm", messages=messages, extra_body=fields)  # type: ignore[arg-type]
        if reply.choices[0].finish_reason == "stop":
            whole += 1
            answer = json.loads(reply.choices[0].message.content)
            assert isinstance(answer, dict)
            if capability != "json_object":
                jsonschema.validate(answer, answer_schema(task))
    assert whole


def test_without_constraint_nothing_made_up_gets_through(served: str, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    line = ("run", SAMPLES, "-s", "order", "--backend", "openai", "--base-url", served, "--no-constrain")
    done = _extract(*line, "-o", output, "--max-attempts", "1")
    found = rows(output)
    assert len(found) == 14
    assert done.returncode == (1 if any(row["status"] == "failed" for row in found) else 0)
    for row in found:
        assert row["errors"] if row["status"] == "failed" else row["provenance"]["decoding"] == ["none"]
        values = {name for name, value in (row["data"] or {}).items() if value is not None}
        assert {pointer[1:] for pointer in row["spans"]} == values


def test_vllm_in_the_process_gives_the_rows_of_the_local_engine(exported: Path) -> None:
    line = ("run", SAMPLES / "contact", "-s", "contact", "--backend", "vllm", "-m", exported, "-o", "-")
    done = _extract(*line, python=VLLM / "bin" / "python")
    assert done.returncode == 0, done.stderr
    found = by_id([json.loads(row) for row in done.stdout.splitlines()])
    assert {name: row["data"] for name, row in found.items()} == EXPECTED
    assert all(len(row["confidence"]) == 4 for row in found.values())


def test_vllm_in_the_process_refuses_what_it_cannot_read_and_says_what_to_do() -> None:
    line = ("extract", SAMPLES / "contact" / "book.txt", "-s", "contact", "--backend", "vllm")
    done = _extract(*line, "-m", ROOT / "extractor" / "models" / "demo", python=VLLM / "bin" / "python")
    assert (done.returncode, done.stdout) == (3, "")
    assert "extractor models export" in done.stderr
    assert "Traceback" not in done.stderr
