"""What a shell completes after `extractor`: names first, else paths."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from extractor.cli._commands import cli
from extractor.task.bundled import PROMPTS, SCHEMAS


def _completed(*line: str) -> list[tuple[str, str]]:
    *arguments, incomplete = line
    found = ShellComplete(cli, {}, "extractor", "_EXTRACTOR_COMPLETE").get_completions(list(arguments), incomplete)
    return [(item.type, item.value) for item in found]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (("run", "in", "-s", ""), SCHEMAS.names()),
        (("run", "in", "-s", "contac"), ["contact"]),
        (("extract", "a.txt", "--prompt", ""), PROMPTS.names()),
        (("run", "in", "-m", "chatglm3-6b-"), ["chatglm3-6b-base", "chatglm3-6b-32k"]),
        (("schemas", "show", "co"), ["contact", "contract"]),
        (("prompts", "show", "z"), ["zh"]),
        (("models", "pull", "glm-edge-1"), ["glm-edge-1.5b-chat"]),
        (("schemas", ""), ["check", "list", "show"]),
        (("run", "in", "--log-f"), ["--log-format"]),
        (("run", "in", "--log-format", ""), ["text", "json"]),
    ],
)
def test_names_are_completed_where_a_name_belongs(line: tuple[str, ...], names: list[str]) -> None:
    assert _completed(*line) == [("plain", name) for name in names]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (("run", "in", "-s", "./my"), "file"),
        (("run", "inb"), "file"),
        (("run", "in", "-o", "res"), "file"),
        (("run", "in", "-m", "./my"), "dir"),
        (("run", "in", "--adapter", "my"), "dir"),
        (("evaluate", "results.jsonl", "go"), "file"),
        (("convert", "in.jsonl", "ou"), "file"),
    ],
)
def test_elsewhere_the_shell_completes_paths(line: tuple[str, ...], kind: str) -> None:
    assert _completed(*line) == [(kind, line[-1])]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_takes_the_line_of_the_readme_and_completes(tmp_path: Path) -> None:
    program = tmp_path / "extractor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m extractor "$@"\n', "utf-8")
    program.chmod(0o755)
    script = """eval "$(_EXTRACTOR_COMPLETE=bash_source extractor)"
    COMP_WORDS=(extractor run -s contac); COMP_CWORD=3; _extractor_completion extractor; echo "${COMPREPLY[@]}"
    complete -p extractor"""
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.splitlines()[0] == "contact"
    assert "_extractor_completion" in done.stdout.splitlines()[1]
    assert done.stderr == ""
