"""A cluster of three nodes, processes of their own on this machine, gives the rows of one machine, whatever dies."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from extractor.storage.parts_folder import parts
from tests.cli.conftest import assert_same_rows, by_id, command, environment, rows
from tests.distributed import nodes
from tests.distributed.nodes import Cluster, Node

COUNT, BATCH = 300, 2

pytestmark = pytest.mark.skipif(
    "EXTRACTOR_TEST_CLUSTER" not in os.environ, reason="minutes of waiting for Ray: make test-cluster"
)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    lines = (json.dumps({"text": f"第{number}号登记，手机号1380000{number:04d}"}) for number in range(COUNT))
    (tmp_path / "documents.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "documents.jsonl"


def _line(documents: Path, output: Path) -> list[str]:
    return command("run", documents, "-s", "contact", "--backend", "scripted", "-o", output)


def _distributed(documents: Path, output: Path, cluster: Cluster) -> list[str]:
    options = ["--engine", "ray", "--address", cluster.address, "--batch-documents", str(BATCH)]
    return [*_line(documents, output), *options]


def _run_killing(line: Sequence[str], output: Path, cluster: Cluster, node: Node) -> "subprocess.CompletedProcess[str]":
    """Run a line, and kill a node once there are ten parts."""
    env = {**cluster.env, "RAY_timeout_ms_task_wait_for_death_info": "10000"}
    with subprocess.Popen(
        line, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            nodes.wait_until(lambda: child.poll() is not None or (output.exists() and len(parts(str(output))) >= 10))
            assert len(parts(str(output))) < COUNT / BATCH, "the run was over before the node was killed"
            node.kill()
            printed, errors = child.communicate(timeout=300)
        finally:
            child.kill()
    return subprocess.CompletedProcess(line, child.returncode, printed, errors)


def _rows(output: Path) -> list[dict[str, object]]:
    return [row for path in parts(str(output)) for row in rows(Path(path))]


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_and_then_its_head_gives_the_rows_of_one_machine(
    documents: Path, tmp_path: Path
) -> None:
    alone, first, second = tmp_path / "alone.jsonl", tmp_path / "first", tmp_path / "second"
    subprocess.run(_line(documents, alone), check=True, capture_output=True)

    with nodes.cluster(workers=2) as cluster:
        done = _run_killing(_distributed(documents, first, cluster), first, cluster, cluster.workers[0])
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert_same_rows(_rows(first), rows(alone))
        assert all(len(rows(Path(path))) == BATCH for path in parts(str(first))), "documents were worked on one by one"

        ended = _run_killing(_distributed(documents, second, cluster), second, cluster, cluster.head)
        assert ended.returncode == 3, ended.stderr
        assert "run the same line again" in ended.stderr
        assert "Traceback" not in ended.stderr
    kept = {path: Path(path).read_bytes() for path in parts(str(second))}
    assert 10 * BATCH <= len(by_id(_rows(second))) < COUNT

    with nodes.cluster(workers=0) as cluster:
        line = _distributed(documents, second, cluster)
        again = subprocess.run(line, env=cluster.env, capture_output=True, text=True, timeout=300, check=False)
        assert again.returncode == 0, again.stderr
    assert {path: Path(path).read_bytes() for path in kept} == kept
    assert_same_rows(_rows(second), rows(alone))
    nodes.wait_until(
        lambda: not any(_belongs_to(each, cluster) for each in psutil.process_iter(["environ"])), seconds=60
    )


def _belongs_to(process: psutil.Process, cluster: Cluster) -> bool:
    return (process.info["environ"] or {}).get("RAY_AUTH_TOKEN") == cluster.env["RAY_AUTH_TOKEN"]


WATCHING = """
import time
from extractor.distributed.head import watched
with watched("127.0.0.1:{port}"):
    time.sleep(60)
"""


def test_a_process_whose_head_is_gone_ends_with_a_message_and_not_without_a_word() -> None:
    code = WATCHING.format(port=nodes.free_port())
    env = {**environment(), "RAY_gcs_rpc_server_reconnect_timeout_s": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "run the same line again" in done.stderr
