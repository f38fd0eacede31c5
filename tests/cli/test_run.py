"""`run` and `extract` on the bundled model: rows that are right, whatever comes in."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, SAMPLES, Run, rows

BOOK_ANSWER = {"手机号": "18888888888", "邮箱": "123456789@qq.com", "账号": "root", "密码": "xiaohua123"}


def test_the_example_of_the_book_gives_exactly_its_answer(extractor: Run) -> None:
    done = extractor("extract", SAMPLES / "contact" / "book.txt", "-s", "contact", "-p", "book")
    assert json.loads(done.stdout) == BOOK_ANSWER
    assert list(json.loads(done.stdout)) == list(BOOK_ANSWER)
    assert done.returncode == 0


def test_every_sample_gives_one_ok_row_whose_spans_are_its_values(tmp_path: Path, extractor: Run) -> None:
    output = tmp_path / "rows.jsonl"
    done = extractor("run", SAMPLES / "contact", "-s", "contact", "-o", output)
    assert done.returncode == 0, done.stderr
    found = {row["id"]: row for row in rows(output)}
    expected = json.loads((ROOT / "tests" / "cli" / "samples.json").read_text("utf-8"))
    assert {name: row["data"] for name, row in found.items()} == expected
    text = (SAMPLES / "contact" / "book.txt").read_text("utf-8")
    for pointer, spans in found["contact/book.txt"]["spans"].items():
        assert [text[start:end] for start, end in spans] == [BOOK_ANSWER[pointer[1:]]]
    assert found["contact/duty-gb18030.txt"]["source"]["encoding"] == "gb18030"


@pytest.mark.parametrize("constrain", [[], ["--no-constrain"]])
def test_with_and_without_constraint_every_document_gives_a_row(
    tmp_path: Path, extractor: Run, constrain: list[str]
) -> None:
    output = tmp_path / "rows.jsonl"
    done = extractor("run", SAMPLES, "-s", "contact", *constrain, "-o", output)
    found = rows(output)
    assert len(found) == len({row["id"] for row in found}) == 14
    assert done.returncode == (1 if any(row["status"] != "ok" for row in found) else 0)
    assert all(row["errors"] for row in found if row["status"] != "ok")


STRANGE = {
    "control": "<|user|>[gMASK]sop</s><|assistant|>\n 手机号：13800000000 <|observation|> eop",
    "nul": "账号：a\0b\0\0 手机号：13800000000",
    "surrogate": "手机号：13800000000 \ud800 \udfff 邮箱：a@b.cc",
    "rtl": "\u202eمرحبا\u200f 手机号：13800000000 \u2066x\u2069",
    "template": "{{ 7 * 7 }} {% raw %} 手机号：13800000000",
    "quotes": '密码："\\"\\\\n\\u0041" 账号：\'x\'',
    "blank": "   \n\t ",
    "emoji": "👩‍👩‍👧‍👦 手机号：13800000000 🏳️‍🌈",
}


def test_strange_documents_each_give_a_row_and_control_tokens_are_text(tmp_path: Path, extractor: Run) -> None:
    lines = [json.dumps({"id": name, "text": text}) for name, text in STRANGE.items()]
    (tmp_path / "strange.jsonl").write_text("\n".join(lines), encoding="utf-8")
    output = tmp_path / "rows.jsonl"
    done = extractor("run", "strange.jsonl", "-s", "contact", "-o", output)
    assert "Traceback" not in done.stderr
    found = {row["id"]: row for row in rows(output)}
    assert set(found) == set(STRANGE)
    assert found["blank"]["errors"][0]["code"] == "empty"
    for name, row in found.items():
        text = STRANGE[name].replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
        for pointer, spans in row["spans"].items():
            assert [text[start:end] for start, end in spans] == [row["data"][pointer[1:]]]


def test_a_hundred_thousand_characters_on_one_line_give_a_row(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "long.txt").write_text("无" * 100_000, encoding="utf-8")
    output = tmp_path / "rows.jsonl"
    done = extractor("run", "long.txt", "-s", "contact", "--max-attempts", "1", "-o", output, timeout=400)
    (row,) = rows(output)
    assert "Traceback" not in done.stderr
    assert row["source"]["chars"] == 100_000
    assert row["provenance"]["chunks"] > 50


def test_a_folder_of_bad_files_gives_a_row_for_each_and_never_ends_the_run(tmp_path: Path, extractor: Run) -> None:
    folder, output = tmp_path / "in", tmp_path / "rows.jsonl"
    folder.mkdir()
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "good.txt").write_text("手机号：13800000000", encoding="utf-8")
    (folder / "broken.jsonl").write_text('{"text": "手机号"}\n{"text": \n', encoding="utf-8")
    done = extractor("run", folder, "-s", "contact", "-o", output)
    assert done.returncode == 1
    codes = {row["id"]: [error["code"] for error in row["errors"]] for row in rows(output) if row["data"] is None}
    assert codes == {
        "in/binary.txt": ["binary"],
        "in/empty.txt": ["empty"],
        "in/picture.png": ["damaged"],
        "in/broken.jsonl#2": ["malformed"],
    }


def test_stdin_goes_in_and_only_rows_come_out(extractor: Run) -> None:
    lines = '{"id": "a", "text": "手机号：13800000000"}\n{"id": "b", "text": "没有电话。"}\n'
    done = extractor("run", "-", "-s", "contact", "-o", "-", stdin=lines)
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {"a", "b"}
    assert "Model: demo" in done.stderr


def test_fields_in_shorthand_make_a_schema(extractor: Run) -> None:
    done = extractor("extract", SAMPLES / "contact" / "onboarding.md", "--fields", "部门, 手机号")
    assert list(json.loads(done.stdout)) == ["部门", "手机号"]


def test_redact_masks_sensitive_values_everywhere(extractor: Run) -> None:
    done = extractor("extract", SAMPLES / "contact" / "book.txt", "-s", "contact", "--record", "--redact")
    assert json.loads(done.stdout)["status"] == "ok"
    assert "xiaohua123" not in done.stdout + done.stderr


def test_logs_hold_no_values_unless_asked_and_never_sensitive_ones(tmp_path: Path, extractor: Run) -> None:
    line = ("run", SAMPLES / "contact" / "book.txt", "-s", "contact", "-o", tmp_path / "rows.jsonl", "--overwrite")
    plain, verbose = extractor(*line), extractor(*line, "-v")
    assert "18888888888" not in plain.stderr
    assert "18888888888" in verbose.stderr
    assert "xiaohua123" not in plain.stderr + verbose.stderr
    assert rows(tmp_path / "rows.jsonl")[0]["data"]["密码"] == "xiaohua123"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "Missing argument"),
        (["run", "nowhere", "-s", "contact"], 2, "nowhere"),
        (["run", SAMPLES, "-s", "nonesuch"], 2, "Bundled: contact"),
        (["run", SAMPLES], 2, "Say what to extract"),
        (["run", SAMPLES, "-s", "contact", "-p", "nonesuch"], 2, "Bundled: book"),
        (["run", SAMPLES, "-s", "contact", "-o", "rows.doc"], 2, "output format"),
        (["run", SAMPLES, "-s", "contact", "-m", "gpt-5"], 3, "neither a folder nor"),
        (["run", SAMPLES, "-s", "contact", "-m", "chatglm3-6b", "--offline"], 3, "--offline forbids"),
        (["run", SAMPLES, "-s", "contact", "--max-tokens", "4000"], 2, "no room for text"),
        (["run", SAMPLES, "-s", "contact", "--device", "tpu"], 2, "unknown device"),
        (["extract", SAMPLES / "contact" / "tickets.jsonl", "-s", "contact"], 2, "several documents"),
        (["extract", ".", "-s", "contact"], 2, "holds no document"),
        (["extract", "nowhere.txt", "-s", "contact"], 2, "nowhere.txt"),
        (["walk"], 2, "Commands: chat"),
    ],
)
def test_a_wrong_command_line_has_a_message_with_a_next_step_and_its_exit_code(
    extractor: Run,
    arguments: list[str | Path],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    done = extractor(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["schemas", "prompts"])
def test_what_is_bundled_can_be_listed_and_shown(extractor: Run, kind: str) -> None:
    names = [line.split()[0] for line in extractor(kind, "list").stdout.splitlines()]
    assert names == sorted(path.stem for path in (ROOT / kind).iterdir())
    for name in names:
        (file,) = (ROOT / kind).glob(f"{name}.*")
        assert extractor(kind, "show", name).stdout == file.read_text("utf-8")


def test_the_schema_of_a_record_can_be_shown(extractor: Run) -> None:
    assert json.loads(extractor("schemas", "show", "record").stdout)["properties"]["status"]


def test_a_required_field_that_is_not_there_gives_a_partial_document_and_one_line(
    tmp_path: Path, extractor: Run
) -> None:
    schema = {"type": "object", "properties": {"邮箱": {"type": "string"}}, "required": ["邮箱"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema), "utf-8")
    done = extractor("extract", SAMPLES / "contact" / "duty-gb18030.txt", "-s", tmp_path / "schema.json")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"邮箱": None})
    assert done.stderr.count("Partial: required: /邮箱: required, not found in the document") == 1
