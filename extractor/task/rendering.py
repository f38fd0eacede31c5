"""Templates become text, in a process of their own (`render_worker`) that has limits of time and memory.

The process is started when there is a first template to render, and serves every run of this one. One that a template
has ended is replaced. This module does not know what is in a prompt.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from extractor.data import Json
from extractor.errors import ExtractorError, PromptError

COMMAND = (sys.executable, "-P", "-S", "-W", "ignore", str(Path(__file__).with_name("render_worker.py")))
"""Without `site`, which takes longer than the rest: the path of imports is handed on as it is here."""

ATTEMPTS = 2
"""A process that ended for another reason than its limits may have been killed by somebody: it is replaced once."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The text of a template's system block, empty without one, and that of the rest."""

    system: str
    user: str


class RenderError(Exception):
    """Why a template gives no text: `does not render: ...`, without its name."""


def render(name: str, template: str, variables: Mapping[str, Json]) -> Turns:
    """Return what the template of this name makes of its variables. Raises PromptError."""
    # The others are not sent: a schema of megabytes, with each prompt, would take longer than all else.
    used = {each: value for each, value in variables.items() if each in variable_names(name, template)}
    reply = _ask_of_prompt(name, {"template": template, "variables": used})
    return Turns(reply["system"], reply["user"])


@lru_cache(maxsize=64)
def variable_names(name: str, template: str) -> frozenset[str]:
    """Return the variables that a template uses. Raises PromptError where it does not parse."""
    return frozenset(_ask_of_prompt(name, {"template": template})["names"])


def render_chat(template: str, variables: Mapping[str, Json]) -> str:
    """Return what a model's chat template makes of `messages` and other variables. Raises RenderError."""
    return str(_renderer.ask({"template": template, "chat": variables})["text"])


def _ask_of_prompt(name: str, request: Mapping[str, Json]) -> dict[str, Json]:
    try:
        return _renderer.ask(request)
    except RenderError as error:
        raise PromptError(f"The prompt {name!r} {error}.") from error


class Renderer:
    """The process, for all threads of this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started it: one that is forked may not use it

    def ask(self, request: Mapping[str, Json]) -> dict[str, Json]:
        """Return the reply to a request. Raises RenderError where it has no other."""
        line = json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        with self._lock:
            code = 0
            for _ in range(ATTEMPTS):
                if answered := self._exchange(line):
                    reply: dict[str, Json] = json.loads(answered.decode("utf-8", "surrogatepass"))
                    if "error" in reply:
                        raise RenderError(reply["error"])
                    return reply
                code = self.close()
                if code == -signal.SIGPROF:
                    raise RenderError("does not render: it takes more than a second; simplify it")
        raise RenderError(f"does not render: its process ended, exit code {code}; simplify it")

    def _exchange(self, line: bytes) -> bytes:
        """Return the line that answers; nothing where the process has ended."""
        process = self._running()
        try:
            requests = cast(BinaryIO, process.stdin)
            requests.write(line)
            requests.flush()
            answered = cast(BinaryIO, process.stdout).readline()
        except BrokenPipeError:
            return b""
        except BaseException:  # an interrupt: an answer that nobody waits for would be taken for the next one
            self.close()
            raise
        return answered if answered.endswith(b"\n") else b""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():
            self._process, self._owner = _start(), os.getpid()
            atexit.register(self.close)
        return self._process

    def close(self) -> int:
        """End the process, if there is one of ours; return its exit code."""
        process, self._process = self._process, None
        atexit.unregister(self.close)
        if process is None or self._owner != os.getpid():
            return 0
        process.kill()
        process.communicate()
        return process.returncode


def _start() -> subprocess.Popen[bytes]:
    """Start a process that no signal for the run reaches. Raises ExtractorError where the system has no room for it."""
    path = os.pathsep.join(filter(None, sys.path))
    try:
        return subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    except OSError as error:
        raise ExtractorError(f"No process can be started to render prompts ({error}). Free memory.") from error


_renderer = Renderer()
