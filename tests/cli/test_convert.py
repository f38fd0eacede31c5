"""`convert`, and the other commands on what it converts, by the real command line."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from extractor.cli.convert import command as convert_command
from extractor.data import Record
from extractor.errors import UsageError
from extractor.sinks import SinkOptions, open_sink
from extractor.task.task import load_task
from tests.cli.conftest import Row, Run, command, environment, rows
from tests.sinks.records import record

GOLD: list[Row] = [
    {
        "id": "a",
        "text": "😀张三的手机号是13800000000。",
        "data": {"姓名": "张三", "手机号": "13800000000"},
        "spans": {"/姓名": [[1, 3]], "/手机号": [[8, 19]]},
    },
    {"id": "b", "text": "李四没有手机", "data": {"姓名": "李四", "手机号": None}, "spans": {"/姓名": [[0, 2]]}},
]
FIELDS = ("--fields", "姓名, 手机号")
FORMATS = {"label-studio": "t.json", "doccano": "t.jsonl", "brat": "t", "gold": "g.jsonl.gz"}
if find_spec("msgpack"):
    FORMATS["spacy"] = "t.spacy"
SFT = ("llama-factory", "llama-factory-sharegpt")


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in GOLD), encoding="utf-8")
    return path


def _done(extractor: Run, *arguments: str | Path) -> str:
    done = extractor(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Call the command in this process, in the folder of the test; return what it prints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> str:
        return CliRunner().invoke(convert_command, [*map(str, arguments)], catch_exceptions=False).stdout

    return call


@pytest.mark.parametrize("name", FORMATS)
def test_there_and_back_with_a_schema_is_the_same(convert: Callable[..., str], gold: Path, name: str) -> None:
    convert(gold, FORMATS[name], "--to", name)
    back = convert(FORMATS[name], "-", *FIELDS)
    found = [json.loads(line) for line in back.splitlines()]
    assert [{**row, "data": {"手机号": None, **row["data"]}} for row in found] == GOLD


@pytest.mark.parametrize("name", SFT)
def test_questions_are_those_of_the_run_and_lead_back_to_the_gold(
    convert: Callable[..., str], extractor: Run, tmp_path: Path, gold: Path, name: str
) -> None:
    convert(gold, "sft.json", "--to", name, *FIELDS)
    (tmp_path / "a.txt").write_text(GOLD[0]["text"], encoding="utf-8")
    shown = json.loads(_done(extractor, "prompts", "show", "zh", "--render", "a.txt", *FIELDS, "--json"))
    first = json.loads((tmp_path / "sft.json").read_text("utf-8"))[0]
    turns = first.get("conversations") or [{"value": first["instruction"]}, {"value": first["output"]}]
    asked = [("system", first["system"])] if first["system"] else []
    asked.append(("user", turns[0]["value"]))
    assert asked == [(each["role"], each["content"]) for each in shown["messages"]]
    assert turns[1]["value"] == '{"姓名": "张三", "手机号": "13800000000"}'
    found = [json.loads(line) for line in convert("sft.json").splitlines()]
    assert found == GOLD


def test_a_long_document_is_asked_about_in_parts_each_with_what_it_shows(
    convert: Callable[..., str], tmp_path: Path
) -> None:
    text = "手机号13800000000。" + "今天没有新的消息。" * 600 + "邮箱a@b.cc。"
    row = {"id": "long", "text": text, "data": {"手机号": "13800000000", "邮箱": "a@b.cc"}}
    (tmp_path / "gold.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    made = json.loads(convert("gold.jsonl", "--to", "llama-factory", "--fields", "手机号, 邮箱"))
    answers = [json.loads(each["output"]) for each in made]
    assert len(made) > 1
    assert answers[0] == {"手机号": "13800000000", "邮箱": None}
    assert answers[-1] == {"手机号": None, "邮箱": "a@b.cc"}
    assert all(each["instruction"][slice(*each["document"])] in text for each in made)


def _results(path: Path, *records: Record) -> None:
    with open_sink(str(path), SinkOptions(fingerprint="f", settings={}, task=load_task("contact"))) as sink:
        for each in records:
            sink.write(each)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_results_become_predictions_with_the_documents_read_again(extractor: Run, tmp_path: Path, suffix: str) -> None:
    texts = {f"{name}.txt": f"手机号1380000000{number}" for number, name in enumerate("abc")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {"data": {"手机号": "13800000000"}, "spans": {"/手机号": ((3, 14),)}, "locations": {}}
    _results(tmp_path / f"results{suffix}", *(record(name, text, **found) for name, text in texts.items()))
    (tmp_path / "b.txt").write_text("另一份", encoding="utf-8")
    (tmp_path / "c.txt").unlink()
    done = extractor("convert", f"results{suffix}", "--to", "label-studio")
    (task,) = json.loads(done.stdout)
    assert task["data"] == {"id": "a.txt", "text": "手机号13800000000"}
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("demo", 0.98)
    assert prediction["result"][0]["value"] == {"start": 3, "end": 14, "text": "13800000000", "labels": ["手机号"]}
    assert "documents without a text, left out: 2" in done.stderr
    assert "changed since" in done.stderr
    assert "--root names the folder" in done.stderr


def test_evaluate_takes_each_format_on_either_side(convert: Callable[..., str], extractor: Run, gold: Path) -> None:
    before = gold
    for name, output in FORMATS.items():
        convert(before, output, "--to", name)
        shown = json.loads(_done(extractor, "evaluate", before, output, "--json"))
        micro = shown["overall"]["exact"]["micro"]
        assert (micro["gold"], micro["found"], micro["right"]) == (3, 3, 3)
        assert shown["overall"]["strict"]["micro"]["f1"] == 1.0
        before = Path(output)


def test_evaluate_takes_results_in_tables(extractor: Run, tmp_path: Path, gold: Path) -> None:
    figures = []
    for name in ("r.jsonl", "r.csv.gz", "r.sqlite"):
        _results(tmp_path / name, record("a", data={"手机号": "13800000000"}), record("b", data={"手机号": "1"}))
        shown = json.loads(_done(extractor, "evaluate", name, gold, "-s", "contact", "--json"))
        figures.append({key: value for key, value in shown.items() if key != "results"})
    micro = figures[0]["overall"]["normalized"]["micro"]
    assert (micro["gold"], micro["found"], micro["right"]) == (1, 2, 1)
    assert figures[1:] == figures[:1] * 2


@pytest.mark.parametrize("name", ["label-studio"])
def test_examples_in_each_format_are_shown_to_the_model(
    convert: Callable[..., str], extractor: Run, tmp_path: Path, gold: Path, name: str
) -> None:
    output = FORMATS.get(name, "sft.json")
    convert(gold, output, "--to", name, *FIELDS)
    (tmp_path / "a.txt").write_text("王五", encoding="utf-8")
    line = ("prompts", "show", "zh", "--render", "a.txt", *FIELDS, "--examples", output, "--json")
    content = json.loads(_done(extractor, *line))["messages"][-1]["content"]
    assert '{"姓名": "张三", "手机号": "13800000000"}' in content
    assert '{"姓名": "李四", "手机号": null}' in content


def test_an_output_is_never_replaced_unasked(extractor: Run, tmp_path: Path, gold: Path) -> None:
    (tmp_path / "out.json").write_text("mine", encoding="utf-8")
    done = extractor("convert", gold, "out.json", "--to", "label-studio")
    assert (done.returncode, (tmp_path / "out.json").read_text("utf-8")) == (2, "mine")
    assert "--overwrite" in done.stderr
    assert extractor("convert", gold, "out.json", "--to", "label-studio", "--overwrite").returncode == 0
    assert extractor("convert", gold, "gold.jsonl", "--overwrite").returncode == 2
    assert rows(gold) == GOLD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gold.jsonl", "x.json"], "Say which: --to brat"),
        (["gold.jsonl", "--to", "xml"], "unknown format 'xml'"),
        (["gold.jsonl", "--to", "brat"], "is a folder of files"),
        (["gold.jsonl", "--to", "llama-factory"], "-s SCHEMA"),
        (["none.jsonl"], "does not exist"),
        (["gold.jsonl", "--from", "conll"], "line 1 has no token"),
        (["empty.jsonl"], "no document could be converted"),
    ],
)
def test_what_cannot_be_done_is_said(
    convert: Callable[..., str], tmp_path: Path, gold: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UsageError, match=message):
        convert(*arguments)


def test_a_broken_file_is_one_line_and_code_2(extractor: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('[{"data": {"text": "a"}, "annotations": [{}]}]', encoding="utf-8")
    done = extractor("convert", "x.json")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: x.json item 1 is not a task of Label Studio")


def test_standard_input_is_recognised_as_well(extractor: Run, tmp_path: Path) -> None:
    done = extractor("convert", "-", stdin="张 B-人\n三 I-人\n")
    assert json.loads(done.stdout) == {
        "id": "-#1",
        "text": "张三",
        "data": {"人": ["张三"]},
        "spans": {"/人/0": [[0, 2]]},
    }


def test_a_pipe_can_be_looked_at_and_read(tmp_path: Path, gold: Path) -> None:
    line = f"{shlex.join(command('evaluate'))} <(cat {gold}) <(cat {gold}) --json"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert json.loads(done.stdout)["overall"]["exact"]["micro"]["right"] == 3, done.stderr


def test_addresses_are_read_and_written(convert: Callable[..., str], tmp_path: Path, gold: Path) -> None:
    address = f"file://{tmp_path}"
    convert(f"{address}/gold.jsonl", f"{address}/out.jsonl.gz", "--to", "doccano")
    back = convert(f"{address}/out.jsonl.gz", *FIELDS)
    assert [json.loads(line)["id"] for line in back.splitlines()] == ["a", "b"]
