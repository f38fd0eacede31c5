"""The real command with its server, and what a page would ask it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser import DIRECT
from tests.cli.conftest import command, environment


@dataclass
class Review:
    """A review that runs; `said` is what it has printed so far, all of it once it has `ended`."""

    process: subprocess.Popen[str]
    address: str
    said: str

    @property
    def origin(self) -> str:
        return self.address.rsplit("/", 2)[0]

    def request(self, question: str, body: bytes, **headers: str) -> urllib.request.Request:
        """A question as the page asks it, but for the headers that are given."""
        own = {"Content-Type": "application/json", "Origin": self.origin}
        return urllib.request.Request(self.address + question, body, own | headers)

    def ask(self, question: str, **body: Any) -> Any:
        with DIRECT.open(self.request(question, json.dumps(body).encode()), timeout=30) as answer:
            return json.load(answer)

    def edit(self, draft: Any, pointer: str, edit: str, row: int = 0, **more: Any) -> Any:
        return self.ask("edit", row=row, draft=draft, pointer=pointer, edit=edit, **more)

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=60)[1]
        return self.process.returncode


@contextmanager
def review(folder: Path, *options: str) -> Iterator[Review]:
    """`extractor review results.jsonl` in a folder, until the block ends; USER is `li`."""
    line = command("review", "results.jsonl", "--no-open", *options)
    with subprocess.Popen(
        line, cwd=folder, env={**environment(), "LOGNAME": "li"}, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield _started(process)
        finally:
            process.kill()


def _started(process: subprocess.Popen[str]) -> Review:
    assert process.stderr is not None
    said, address = "", ""
    for text in process.stderr:
        said += text
        address = found[1] if (found := re.match(r"Open (\S+)", text)) else address
        if text.startswith("Ctrl-C"):
            break
    assert address, said
    return Review(process, address, said)


def gold(folder: Path, name: str = "results.gold.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]
