"""The READMEs are true: each command in them runs, each example gives what it shows, and the two say the same."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.chat_server import ChatServer, read
from tests.backends.chat_server import serving as serving_chat
from tests.chatglm3.hub_server import Hub, folder_as_files, serving

ROOT = Path(__file__).resolve().parent.parent
READMES = ["README.md", "README.zh.md"]
DEMO = ROOT / "extractor" / "models" / "demo"
BIN = Path(sys.executable).parent
CHAT = "http://localhost:8000/v1"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(readme: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall((ROOT / readme).read_text("utf-8")) if kind == language]


def _commands(readme: str) -> list[str]:
    return [line for block in _blocks(readme, "bash") for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub that serves the demo model under the name of the 6B model: the download is real, the model small."""
    with serving(Hub(folder_as_files(DEMO))) as address:
        yield address


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has in front of him: a clone, and a model copied beside it."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "data", folder / "data")
    shutil.copytree(DEMO, folder / "chatglm3-6b")
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def _run(command: str, clone: Path, hub: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "MODELSCOPE_ENDPOINT": hub,
        "MODELSCOPE_CACHE": str(clone / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    if command == "make demo":  # its recipe, in this environment: installing is what `make test` has just done
        command = f"make demo BIN={BIN} -o .venv/.installed"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def chat() -> Iterator[str]:
    """A server of a model, in place of the one that the READMEs name."""
    with serving_chat(ChatServer(read)) as address:
        yield address


@pytest.mark.parametrize("command", dict.fromkeys(line for readme in READMES for line in _commands(readme)))
def test_a_command_of_the_readme_runs(command: str, clone: Path, hub: str, chat: str) -> None:
    if command == "make test":
        assert re.search(r"^test:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
        return
    for tool in ("jq", "duckdb"):
        if re.search(rf"(^|\| ){tool} ", command) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    done = _run(command.replace(CHAT, chat), clone, hub)
    allowed = (0, 1) if command == "extractor doctor" else (0,)
    assert done.returncode in allowed, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("readme", READMES)
def test_the_python_example_runs_and_prints_what_it_found(readme: str, clone: Path, hub: str) -> None:
    (example,) = _blocks(readme, "python")
    (clone / "example.py").write_text(example, encoding="utf-8")
    done = _run("python example.py", clone, hub)
    assert done.returncode == 0, done.stderr
    assert "ok {'手机号': '18888888888'" in done.stdout


@pytest.mark.parametrize("readme", READMES)
def test_the_answer_that_is_shown_is_the_answer_that_comes(readme: str, clone: Path, hub: str) -> None:
    (command,) = [line for line in _commands(readme) if line.endswith("-p book")]
    shown, record = _blocks(readme, "json")
    assert _run(command, clone, hub).stdout.strip() == shown.strip()
    row = json.loads(_run(f"{command} --record", clone, hub).stdout)
    written = json.loads(record)
    for measured in ("confidence", "usage"):
        assert row.pop(measured).keys() == written.pop(measured).keys()
    assert row == written
    assert _blocks(readme, "text")[0] == (ROOT / "data/samples/contact/book.txt").read_text("utf-8")


def test_both_readmes_show_the_same_commands_and_numbers() -> None:
    english, chinese = (_commands(readme) for readme in READMES)
    assert english == chinese
    for language in ("json", "python", "text"):
        assert _blocks(READMES[0], language) == _blocks(READMES[1], language)
    headings = [len(re.findall(r"^## ", (ROOT / readme).read_text("utf-8"), re.MULTILINE)) for readme in READMES]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("readme", READMES)
def test_every_link_into_the_project_leads_somewhere(readme: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / readme).read_text("utf-8")):
        assert (ROOT / target).exists(), target


def test_make_demo_takes_its_rows_from_the_samples_and_shows_them(clone: Path, hub: str) -> None:
    done = _run("make demo", clone, hub)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (clone / "results.jsonl").read_text("utf-8").splitlines()]
    assert all(row["status"] == "ok" for row in rows)
    assert "document" in done.stderr
    assert "18888888888" in done.stderr
