"""Pages of the documentation as a reader follows them: the files that they show, the lines to type, what is printed.

A block is a file where its name stands before it (`name`:), a line to type where it is `bash`, a program where it is
`python`. Any other block is what the last line printed where it follows a `bash` or `python` block directly, else a
picture. A page runs from top to bottom in a folder that looks like a clone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chatglm3.adapters.building import lora_tensors, write_lora

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "extractor" / "models" / "demo"
BIN = Path(sys.executable).parent
SERVER = "http://localhost:8000/v1"
FIRST_QKV, QKV_OF_DEMO = "transformer.encoder.layers.0.self_attention.query_key_value", (512, 256)
"""A layer of the demo, and the shape of its weight."""
MEASURED = ("confidence", "usage")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w./-]+)`:\s*\Z")

NOT_RUN = {
    r"^make (check|test)$": "this is it",
    r"^make demo$": "tests/test_readme.py runs it",
    r"^pip install ": "wants a package index",
    r"^\.venv/bin/": "works on the source tree, not on a copy of its data",
    r"--address ": "wants a cluster",
    r"--engine ray -o|--workers 4": "wants several GPUs",
    r"--backend vllm ": "wants vLLM",
    r"^extractor (review|evaluate results.jsonl results.gold.jsonl)": "waits for a person",
}
"""Lines of the pages that no test runs, and why."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `name` of a file, empty for none; `after` the language that it follows directly."""

    name: str
    language: str
    content: str
    after: str

    @property
    def is_output(self) -> bool:
        return not self.name and self.after in ("bash", "python") and self.language not in ("bash", "python")


def blocks(page: str) -> list[Block]:
    """All blocks of a page in their order."""
    text, found, end, before = (ROOT / page).read_text("utf-8"), [], 0, ""
    for match in BLOCK.finditer(text):
        named = NAMED.search(text[: match.start()])
        follows = before if not text[end : match.start()].strip() else ""
        found.append(Block(named[1] if named else "", match[1], match[2], follows))
        end, before = match.end(), match[1]
    return found


def lines(page: str) -> list[str]:
    """All lines that a page has its reader type."""
    return [
        line
        for block in blocks(page)
        if block.language == "bash"
        for line in block.content.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def why_not_run(line: str) -> str | None:
    """Why no test runs a line here; None where one does."""
    for tool in ("jq", "duckdb"):
        if re.search(rf"(^|\| ){tool} ", line) and shutil.which(tool) is None:
            return f"{tool} is not installed"
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), None)


@dataclass(frozen=True)
class Clone:
    """A folder that looks like a clone with a model copied beside it; `hub` and `server` serve the demo model.

    `programs` is the folder where `extractor` is looked for first.
    """

    folder: Path
    hub: str
    server: str
    programs: Path = BIN

    @classmethod
    def make(cls, folder: Path, hub: str, server: str, programs: Path = BIN) -> Clone:
        shutil.copytree(ROOT / "data", folder / "data")
        shutil.copytree(DEMO, folder / "chatglm3-6b")
        shutil.copy(ROOT / "Makefile", folder)
        write_lora(folder / "my-lora", lora_tensors({FIRST_QKV: QKV_OF_DEMO}))
        return cls(folder, hub, server, programs)

    def write(self, name: str, content: str) -> None:
        """Write a file that a page shows."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in a shell, as a reader would type it."""
        if line == "make demo":  # its recipe, in this environment: installing is what `make test` has just done
            line = f"make demo BIN={BIN} -o .venv/.installed"
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line.replace(SERVER, self.server)}"],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{self.programs}:{BIN}:{os.environ['PATH']}",
                "MODELSCOPE_ENDPOINT": self.hub,
                "MODELSCOPE_CACHE": str(self.folder / "cache"),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )


def follow(page: str, clone: Clone, program: Callable[[str], str] | None = None) -> int:
    """Do what a page says, from top to bottom. Return how many outputs were compared with what it shows.

    `program` runs a program and returns what it prints, where that is not to be a process for each.
    """
    for block in blocks(page):
        if block.name:
            clone.write(block.name, block.content)
    printed: str | None = None
    compared = 0
    for block in blocks(page):
        if block.language == "bash" and not block.name:
            for line in block.content.splitlines():
                printed = _typed(line, clone)
        elif block.language == "python" and program:
            printed = program(block.content)
        elif block.language == "python":
            clone.write("example.py", block.content)
            printed = _typed("python example.py", clone)
        elif block.is_output and printed is not None:
            assert _without_measures(printed) == _without_measures(block.content)
            compared += 1
    return compared


def _typed(line: str, clone: Clone) -> str | None:
    """Return what a line prints, None where it is not run here."""
    if not line.strip() or line.startswith("#") or why_not_run(line):
        return None
    done = clone.run(line)
    allowed = (0, 1) if line == "extractor doctor" else (0,)
    assert done.returncode in allowed, f"{line}\n{done.stderr}"
    assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"
    assert done.stdout != "null\n", f"{line} asks for a key that there is not"
    return done.stdout


def _without_measures(text: str) -> Any:
    """Return a record without the numbers that vary from run to run, any other text as it is."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError:
        return text
    if not isinstance(row, dict) or "fingerprint" not in row.get("run", {}):
        return text
    return {key: sorted(value) if key in MEASURED else value for key, value in row.items()}
