"""`extractor chat`, `models` and `doctor` as a user types them, with the tiny checkpoint as the model."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extractor import diagnostics
from extractor.chatglm3 import generation
from extractor.chatglm3.registry import KNOWN_MODELS
from extractor.cli import main
from extractor.cli.chat import command as chat
from extractor.cli.doctor import command as doctor_command
from extractor.cli.models import command as models
from extractor.diagnostics import Finding
from extractor.errors import DownloadError, UsageError

TINY = str(Path(__file__).resolve().parents[1] / "reference" / "chatglm3-tiny")
TINY_OPTIONS = ["-m", TINY, "--precision", "float32", "--device", "cpu", "--max-tokens", "40"]
HELLO = "调提mail公不�邮�ߒ{乙取str .公不日�内�3�do公不单件公不乙取�型人"


def talk(*arguments: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(chat, [*TINY_OPTIONS, *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_one_question_is_answered_on_stdout() -> None:
    assert talk("你好").stdout == HELLO + "\n"


def test_every_line_of_a_pipe_is_a_turn_and_clear_forgets() -> None:
    lines = talk(stdin="你好\n\n你好\n/clear\n你好\n").stdout.splitlines()
    assert lines[0] == lines[-1] == HELLO
    assert lines[1:-1]
    assert HELLO not in lines[1:-1]


def test_exit_ends_the_conversation_and_an_unknown_command_prints_help() -> None:
    result = talk(stdin="/what\n/exit\n你好\n")
    assert result.stdout == ""
    assert "/clear" in result.stderr


def test_a_system_text_changes_the_answer() -> None:
    assert talk("--system", "你是信息抽取助手", "你好").stdout != HELLO + "\n"


def test_invalid_utf8_in_a_pipe_does_not_end_the_conversation() -> None:
    assert len(talk(stdin=b"\xff\xfe\n").stdout.splitlines()) >= 1


def test_ctrl_c_stops_an_answer_and_the_next_question_is_answered_as_if_it_had_not_been_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = iter(["晚上睡不着应该怎么办", "你好", "/exit"])
    decoded: list[int] = []
    whole = generation.generate

    def interrupted(*arguments: Any) -> Iterator[int]:
        for token in whole(*arguments):
            decoded.append(token)
            if len(decoded) == 3:
                signal.raise_signal(signal.SIGINT)
            yield token

    monkeypatch.setattr("extractor.chatglm3.chat.generate", interrupted)
    monkeypatch.setattr("builtins.input", lambda *prompt: next(questions))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert main(["chat", *TINY_OPTIONS]) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith(HELLO + "\n")
    assert "(stopped)" in shown.err


def test_the_same_seed_on_the_command_line_samples_the_same_answer() -> None:
    first, second = (talk("--temperature", "1", "--seed", "7", "你好").stdout for _ in range(2))
    assert first == second


def test_a_question_too_long_for_the_model_is_an_error_with_advice() -> None:
    with pytest.raises(UsageError, match="shorten it"):
        talk("长" * 9000)


def test_offline_without_the_model_names_the_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="Three ways"):
        CliRunner().invoke(chat, ["-m", "chatglm3-6b", "--offline", "你好"], catch_exceptions=False)


def test_models_are_listed_shown_and_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path))
    listed = CliRunner().invoke(models, ["list"], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["demo", *KNOWN_MODELS]
    assert "chatglm3-6b" in KNOWN_MODELS
    shown = CliRunner().invoke(models, ["show", "chatglm3-6b"], catch_exceptions=False).stdout
    assert "ZhipuAI/chatglm3-6b" in shown
    assert "v1.0.0" in shown
    described = CliRunner().invoke(models, ["info", TINY], catch_exceptions=False).stdout
    assert "215,872" in described
    assert "8,192 tokens" in described


@pytest.mark.parametrize(("status", "code"), [("warn", 0), ("fail", 1)])
def test_the_exit_code_of_the_doctor_tells_success_from_failure(
    monkeypatch: pytest.MonkeyPatch, status: diagnostics.Status, code: int
) -> None:
    monkeypatch.setattr("extractor.cli.doctor.examine", lambda: [Finding("torch", status, "1.0", "upgrade")])
    table = CliRunner().invoke(doctor_command, [], catch_exceptions=False)
    assert table.exit_code == code
    assert f"{status.upper()}  torch  1.0" in table.stdout
    assert "-> upgrade" in table.stdout
    report = CliRunner().invoke(doctor_command, ["--json"], catch_exceptions=False)
    assert report.exit_code == code
    assert json.loads(report.stdout) == {
        "ok": code == 0,
        "findings": [{"topic": "torch", "status": status, "value": "1.0", "hint": "upgrade"}],
    }


@pytest.mark.parametrize("command", [chat, doctor_command, models])
def test_the_help_shows_examples(command: object) -> None:
    assert "Examples:" in CliRunner().invoke(command, ["--help"]).stdout  # type: ignore[arg-type]
