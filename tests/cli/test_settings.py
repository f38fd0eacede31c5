"""Options from `extractor.toml` and EXTRACTOR_* variables: which comes first, what is shown, what is refused."""

import os
import re
import shutil
from collections import defaultdict
from pathlib import Path

import click
import pytest

from extractor.cli import _settings, main
from extractor.cli._commands import cli
from extractor.cli._settings import SHARED
from extractor.cli.run import command as run
from tests.cli.conftest import SAMPLES, rows

OTHER_SWITCHES = {f"EXTRACTOR_{name}" for name in ("KERNELS", "ISA", "VLLM", "VLLM_ENV", "TEST_CLUSTER")}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home without settings; the folder of the user's file comes back."""
    for name in [name for name in os.environ if name.startswith("EXTRACTOR_")]:
        monkeypatch.delenv(name)
    home, here = tmp_path / "home" / "extractor", tmp_path / "here"
    home.mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent))
    monkeypatch.chdir(here)
    return home


def _settings_of(capsys: pytest.CaptureFixture[str], *line: str) -> dict[str, list[str]]:
    """Return what `--show-config` prints of each option: value and source, or the source alone."""
    assert main([*line, "--show-config"]) == 0
    printed = capsys.readouterr().out.splitlines()[2:]
    return {name: rest for name, *rest in (re.split(" {2,}", line) for line in printed)}


def test_the_line_comes_before_variables_these_before_the_file_here_and_that_before_the_users(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "extractor.toml").write_text('seed = 1\npasses = 1\nprompt = "en"\nmodel = "chatglm3-6b"\n', "utf-8")
    Path("extractor.toml").write_text('seed = 2\npasses = 2\nprompt = "book"\n[run]\nseed = 3\n', "utf-8")
    monkeypatch.setenv("EXTRACTOR_PASSES", "4")
    monkeypatch.setenv("EXTRACTOR_PROMPT", "zh")
    monkeypatch.setenv("EXTRACTOR_RUN_PROMPT", "en")
    found = _settings_of(capsys, "run", "in", "--passes", "5")
    assert found["passes"] == ["5", "command line"]
    assert found["prompt"] == ["en", "EXTRACTOR_RUN_PROMPT"]
    assert found["seed"] == ["3", "extractor.toml"]
    assert found["model"] == ["chatglm3-6b", str(home / "extractor.toml")]
    assert found["max-attempts"] == ["3", "default"]
    other = _settings_of(capsys, "plan", "in")
    assert (other["seed"], other["prompt"]) == (["2", "extractor.toml"], ["zh", "EXTRACTOR_PROMPT"])


def test_every_kind_of_value_has_its_effect(capsys: pytest.CaptureFixture[str]) -> None:
    Path("extractor.toml").write_text(
        'no_constrain = true\nkv-memory = "2K"\nmin-confidence = 0.5\nadapter = ["a", "b"]\n[run]\nordered = true\n'
        "batch_documents = 7\n",
        "utf-8",
    )
    found = _settings_of(capsys, "run", "in")
    shown = {name: found[name][0] for name in ("no-constrain", "kv-memory", "min-confidence", "ordered")}
    assert shown == {"no-constrain": "true", "kv-memory": "2048", "min-confidence": "0.5", "ordered": "true"}
    assert (found["adapter"][0], found["batch-documents"][0]) == ("a, b", "7")


def test_a_run_takes_what_a_file_and_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("extractor.toml").write_text('schema = "contact"\n[run]\noutput = "rows.jsonl"\n', "utf-8")
    monkeypatch.setenv("EXTRACTOR_BACKEND", "scripted")
    monkeypatch.setenv("EXTRACTOR_NO_CONSTRAIN", "1")
    shutil.copy(SAMPLES / "contact" / "book.txt", ".")
    assert main(["run", ".", "--quiet"]) == 0
    (row,) = rows(Path("rows.jsonl"))  # neither the settings nor the output are documents
    assert (row["run"]["schema"], row["run"]["model"]) == ("contact", "scripted")


def test_fields_on_the_line_take_the_place_of_a_schema_that_is_only_a_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("extractor.toml").write_text('schema = "contact"\n', "utf-8")
    found = _settings_of(capsys, "run", "in", "--fields", "姓名")
    assert (found["schema"], found["fields"]) == (["default"], ["姓名", "command line"])
    line = [str(SAMPLES / "contact" / "book.txt"), "--backend", "scripted", "--quiet"]
    assert main(["run", *line, "--fields", "姓名"]) == 0
    assert '"schema":"fields"' in capsys.readouterr().out
    assert main(["run", *line, "--fields", "姓名", "-s", "contact"]) == 2
    assert "in one way" in capsys.readouterr().err


def test_secrets_are_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACTOR_PASSWORD", "geheim")
    Path("extractor.toml").write_text('base-url = "http://me:geheim@h:1/v1?key=geheim"\n', "utf-8")
    found = _settings_of(capsys, "run", "in")
    assert found["password"] == ["***", "EXTRACTOR_PASSWORD"]
    assert found["base-url"] == ["http://h:1/v1", "extractor.toml"]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('precison = "int8"', "plan in", "extractor.toml: 'precison' is no option that all commands share."),
        ('precison = "int8"', "run in", "Did you mean 'precision'?"),
        ('output = "rows.jsonl"', "doctor", "Those of one command belong into a table, as [run]."),
        ('[run]\noutptu = "x"', "run in", "'outptu' is no option of `extractor run`. Did you mean 'output'?"),
        ("[rnu]\nseed = 1", "plan in", "'rnu' is no command. Did you mean 'run'?"),
        ("[schemas.chek]\njson = true", "schemas list", "Did you mean 'check'?"),
        ("seed = ", "run in", "extractor.toml is not TOML in UTF-8: "),
        ('[run]\nlimit = "many"', "run in", "Invalid value for '--limit': 'many' is not a valid integer range."),
        ('[run]\nlimit = "many"', "run in", " (extractor.toml sets [run] limit.)"),
        ("max_attempts = 0", "run in -s contact", "must be at least 1. (extractor.toml sets max_attempts.)"),
        ('[prompts.show]\nmodel = ""\n[run]\nschema = "contcat"', "run .", "(extractor.toml sets [run] schema.)"),
    ],
)
def test_what_a_file_says_wrong_is_an_error_that_names_it(
    capsys: pytest.CaptureFixture[str], content: str, line: str, message: str
) -> None:
    Path("extractor.toml").write_text(content, "utf-8")
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "line", "message"),
    [
        ("EXTRACTOR_SEED", "run in", "'x' is not a valid integer. (EXTRACTOR_SEED sets it.)"),
        ("EXTRACTOR_RUN_MODEL", "run in --seed y", "'y' is not a valid integer.\n"),
        (
            "EXTRACTOR_RUN_OUTPUT",
            "run . -s contact --backend scripted",
            "x does not have the suffix of an output format",
        ),
    ],
)
def test_a_wrong_value_of_a_variable_is_an_error_that_names_the_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, line: str, message: str
) -> None:
    monkeypatch.setenv(variable, "x")
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


def test_the_tables_of_commands_in_a_group_hold_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("extractor.toml").write_text('[schemas.list]\njson = true\n[prompts.show]\nmodel = "chatglm3-6b"\n', "utf-8")
    assert main(["schemas", "list"]) == 0
    assert capsys.readouterr().out.startswith("[")
    found = _settings_of(capsys, "prompts", "show", "zh")
    assert (found["model"], found["schema"]) == (["chatglm3-6b", "extractor.toml"], ["default"])


def test_what_commands_share_are_the_options_of_a_run_apart_from_its_output_and_its_machines() -> None:
    own = {"limit", "allow-empty", "show-config"}
    shared = [
        option.opts[0].lstrip("-") if option.opts[0].startswith("--") else option.opts[1].lstrip("-")
        for option in run.params
        if isinstance(option, click.Option) and getattr(option, "heading", "") not in ("Output", "Distributed run")
    ]
    assert sorted(name for name in shared if name not in own) == sorted(SHARED)


def test_no_variable_has_two_meanings_or_is_a_switch_of_something_else() -> None:
    context, meanings = click.Context(cli), defaultdict(set)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        _settings.prepare(context, name, command)
        for path, leaf in _settings._leaves((name,), command):
            for option in _settings._options(leaf):
                for number, variable in enumerate(option.envvar or ()):
                    meanings[variable].add(option.opts[-1] if number else (*path, option.opts[-1]))
    assert len(meanings) > 200
    assert {variable: found for variable, found in meanings.items() if len(found) > 1} == {}
    assert not meanings.keys() & OTHER_SWITCHES
