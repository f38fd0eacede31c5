"""`read` shows what the model will see; `run` and `extract` take all formats and say where in a file a value occurs."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, by_id, rows
from tests.readers.making import mail, pdf, word, workbook, zipped

PHONE = "手机号18888888888"
LOCATIONS = {
    "in/a.pdf": {"page": 2},
    "in/b.docx": {"paragraph": 1},
    "in/c.xlsx#表!2": {"sheet": "表", "cell": "B2"},
    "in/d.eml": {"part": "1", "type": "text/plain"},
    "in/d.eml/e.pdf": {"page": 1},
    "in/f.zip/g.docx": {"paragraph": 1},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents that all hold the same phone number, each at another location."""
    contents = {
        "a.pdf": pdf(["第一页"], [PHONE]),
        "b.docx": word(PHONE),
        "c.xlsx": workbook({"表": [["备注", "手机号"], ["x", "18888888888"]]}),
        "d.eml": bytes(mail("登记", PHONE, {"e.pdf": pdf([PHONE])})),
        "f.zip": zipped({"g.docx": word(PHONE)}),
        "h.txt": PHONE.encode(),
    }
    (tmp_path / "in").mkdir()
    for name, content in contents.items():
        (tmp_path / "in" / name).write_bytes(content)
    return tmp_path / "in"


def test_read_prints_the_text(folder: Path, extractor: Run) -> None:
    done = extractor("read", folder / "a.pdf")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"第一页\n{PHONE}\n", "")
    done = extractor("read", folder / "d.eml")
    assert done.stdout.endswith(f"\n\n{PHONE}\n\nAttachment: e.pdf\n\n{PHONE}\n")
    assert done.stderr == "d.eml/e.pdf:\n"


def test_read_prints_the_locations_of_the_text_as_json(folder: Path, extractor: Run) -> None:
    done = extractor("read", folder / "a.pdf", "--json")
    row = json.loads(done.stdout)
    assert row["text"] == f"第一页\n{PHONE}"
    assert row["segments"] == [
        {"start": 0, "end": 3, "location": {"page": 1}},
        {"start": 4, "end": 18, "location": {"page": 2}},
    ]
    assert row["source"]["chars"] == 18


def test_a_table_is_read_by_rows_or_as_a_whole(folder: Path, extractor: Run) -> None:
    assert extractor("read", folder / "c.xlsx").stdout == "备注: x\n手机号: 18888888888\n"
    assert extractor("read", folder / "c.xlsx", "--rows", "whole").stdout == "备注\t手机号\nx\t18888888888\n"


def test_a_file_that_cannot_be_read_is_reported_and_gives_exit_code_1(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "locked.pdf").write_bytes(pdf(["text"], password="secret"))
    done = extractor("read", "locked.pdf")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Failed: locked.pdf: locked: encrypted PDF, a password is needed")
    error = json.loads(extractor("read", "locked.pdf", "--json").stdout)["error"]
    assert error["code"] == "locked"
    assert extractor("read", "locked.pdf", "--password", "secret").stdout == "text\n"


def test_a_password_can_come_from_the_environment_and_is_not_in_the_output(
    tmp_path: Path, extractor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked.pdf").write_bytes(pdf([PHONE], password="topsecret"))
    monkeypatch.setenv("EXTRACTOR_PASSWORD", "topsecret")
    done = extractor("run", "locked.pdf", "-s", "contact", "-o", "rows.jsonl", "-v")
    assert done.returncode == 0, done.stderr
    written = "".join(path.read_text("utf-8") for path in tmp_path.glob("rows*"))
    assert "topsecret" not in done.stderr + done.stdout + written


def test_the_record_says_in_which_page_paragraph_cell_or_part_a_value_occurs(folder: Path, extractor: Run) -> None:
    done = extractor("run", folder, "-s", "contact", "-o", "rows.jsonl")
    assert done.returncode == 0, done.stderr
    found = by_id(rows(folder.parent / "rows.jsonl"))
    assert found.keys() == {*LOCATIONS, "in/h.txt"}
    for name, location in LOCATIONS.items():
        assert found[name]["data"]["手机号"] == "18888888888"
        assert found[name]["locations"]["/手机号"][0] == location
        assert len(found[name]["locations"]["/手机号"]) == len(found[name]["spans"]["/手机号"])
    assert found["in/h.txt"]["locations"] == {}


def test_the_same_line_again_does_nothing_and_adds_nothing(folder: Path, extractor: Run) -> None:
    line = ("run", folder, "-s", "contact", "-o", "rows.jsonl")
    extractor(*line)
    before = (folder.parent / "rows.jsonl").read_bytes()
    again = extractor(*line)
    assert "7 done before" in again.stderr
    assert (folder.parent / "rows.jsonl").read_bytes() == before
    (folder / "a.pdf").write_bytes(pdf(["第一页"], ["手机号13900000000"]))
    assert "6 done before" in extractor(*line).stderr
    assert by_id(rows(folder.parent / "rows.jsonl"))["in/a.pdf"]["data"]["手机号"] == "13900000000"


def test_a_limit_ends_the_run_though_files_were_read_ahead(folder: Path, extractor: Run) -> None:
    done = extractor("run", folder, "-s", "contact", "--limit", "1", "-o", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == "in/a.pdf"
    assert "Warning" not in done.stderr


def test_rows_are_the_same_whether_the_documents_are_packed_or_not(folder: Path, extractor: Run) -> None:
    packed = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder.parent / "in.zip").write_bytes(zipped(packed))
    for source, output in (("in", "a.jsonl"), ("in.zip", "b.jsonl")):
        assert extractor("run", source, "-s", "contact", "--ordered", "-o", output).returncode == 0
    plain, unpacked = by_id(rows(folder.parent / "a.jsonl")), by_id(rows(folder.parent / "b.jsonl"))
    assert {name.replace("in/", "in.zip/") for name in plain} == unpacked.keys()
    for name, row in plain.items():
        other = unpacked[name.replace("in/", "in.zip/")]
        assert all(row[key] == other[key] for key in ("status", "data", "spans", "locations"))
        assert row["source"]["sha256"] == other["source"]["sha256"]


def test_extract_takes_any_format_from_stdin_too(folder: Path, extractor: Run) -> None:
    done = extractor("extract", folder / "a.pdf", "-s", "contact")
    assert json.loads(done.stdout)["手机号"] == "18888888888"
    page = f"<html><body><script>x</script><p>{PHONE}</p></body></html>"
    assert json.loads(extractor("extract", "-", "-s", "contact", stdin=page).stdout)["手机号"] == "18888888888"


def test_extract_from_a_file_of_several_documents_is_refused(folder: Path, extractor: Run) -> None:
    done = extractor("extract", folder / "d.eml", "-s", "contact")
    assert done.returncode == 2
    assert "several documents" in done.stderr
