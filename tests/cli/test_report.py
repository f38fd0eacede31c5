"""`report`: one file, small enough, honest about what it could not show."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from extractor.data import RecordError
from extractor.errors import Problem
from tests.cli.conftest import SAMPLES, Run
from tests.report.records import found, write

LOOKS_OUTSIDE = re.compile(r"""(?:src|href|action)\s*=|@import|url\(|https?://|fetch\(|XMLHttpRequest|WebSocket""")


def _data(page: str) -> dict[str, Any]:
    (embedded,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(embedded)
    return data


def test_the_report_of_a_real_run_is_one_file_that_refers_to_nothing(tmp_path: Path, extractor: Run) -> None:
    run = extractor("run", SAMPLES / "contact", "-s", "contact", "-o", "results.jsonl", "--quiet", timeout=400)
    assert run.returncode == 0, run.stderr
    done = extractor("report", "results.jsonl", "-s", "contact")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "9 documents" in done.stderr
    page = (tmp_path / "report.html").read_text("utf-8")
    data = _data(page)
    assert not LOOKS_OUTSIDE.search(page.replace(json.dumps(data), ""))
    assert data["summary"]["documents"] == data["summary"]["ok"] == 9
    assert data["summary"]["throughput"] > 0
    assert all(document["excerpts"] for document in data["documents"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results.jsonl", "results.run.json"]


def test_a_thousand_long_documents_take_less_than_five_megabytes(tmp_path: Path, extractor: Run) -> None:
    filler = "本合同由双方签订，未尽事宜由双方协商解决。" * 150
    texts, records = {}, []
    for number in range(1000):
        name, values = f"{number:04}.txt", [f"编号{number}-{item}" for item in range(20)]
        texts[name] = filler + "，".join(values) + filler
        records.append(found(name, texts[name], {"编号": values}))
    write(tmp_path, texts, records)
    done = extractor("report", "results.jsonl")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_bytes()
    assert len(page) < 5_000_000
    documents = _data(page.decode())["documents"]
    assert len(documents) == 1000
    for document in documents[:50]:
        shown = [
            excerpt["text"][start:end] for excerpt in document["excerpts"] for start, end, _ in excerpt["highlights"]
        ]
        assert shown == [value["text"] for value in document["values"]]
        assert len(shown) == 20


def test_a_text_that_is_missing_or_has_changed_is_reported(tmp_path: Path, extractor: Run) -> None:
    texts = {name: f"手机号：1380000000{number}" for number, name in enumerate(["a.txt", "b.txt", "c.txt"])}
    unread = found(
        "d.txt", "", None, status="failed", attempts=0, errors=(RecordError(Problem("encoding", "not text")),)
    )
    write(tmp_path, texts, [*(found(name, text, {"手机号": text[4:]}) for name, text in texts.items()), unread])
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c.txt").write_text("手机号：13900000000", encoding="utf-8")
    done = extractor("report", "results.jsonl")
    assert "1 without text: the document that a record came from is no longer there; --root names" in done.stderr
    assert "1 without text: the document has changed since its record was written" in done.stderr
    notes = {
        each["id"]: each.get("note", "") for each in _data((tmp_path / "report.html").read_text("utf-8"))["documents"]
    }
    assert notes["a.txt"] == ""
    assert "b.txt is not there" in notes["b.txt"]
    assert "c.txt has changed" in notes["c.txt"]
    assert "could not read" in notes["d.txt"]


def test_documents_that_moved_are_found_under_the_root(tmp_path: Path, extractor: Run) -> None:
    text = "手机号：13800000000"
    results = write(tmp_path, {}, [found("in/a.txt", text, {"手机号": text[4:]})])
    (tmp_path / "moved" / "in").mkdir(parents=True)
    (tmp_path / "moved" / "in" / "a.txt").write_text(text, encoding="utf-8")
    done = extractor("report", results, "--root", tmp_path / "moved", "-o", "-")
    assert _data(done.stdout)["documents"][0]["excerpts"][0]["text"] == text


def test_beyond_the_limit_the_page_holds_what_needs_looking_at_and_counts_all(tmp_path: Path, extractor: Run) -> None:
    texts = {f"{number}.txt": f"手机号：1380000000{number}" for number in range(6)}
    records = [
        found(name, text, {"手机号": text[4:]}, confidence={"/手机号": 1 - number / 10})
        for number, (name, text) in enumerate(texts.items())
    ]
    write(tmp_path, texts, records)
    done = extractor("report", "results.jsonl", "--limit", "2")
    assert "The page holds the 2 to look at first; --limit 6 shows all." in done.stderr
    data = _data((tmp_path / "report.html").read_text("utf-8"))
    assert [document["id"] for document in data["documents"]] == ["5.txt", "4.txt"]
    assert data["summary"]["documents"] == 6


def test_the_last_row_of_a_document_is_the_one_that_is_shown(tmp_path: Path, extractor: Run) -> None:
    text = "手机号：13800000000"
    write(
        tmp_path, {"a.txt": text}, [found("a.txt", text, {"手机号": None}), found("a.txt", text, {"手机号": text[4:]})]
    )
    done = extractor("report", "results.jsonl", "-o", "-")
    assert [each["values"][0]["text"] for each in _data(done.stdout)["documents"]] == ["13800000000"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", [], "holds no rows"),
        ('{"id": "a", "data": {}}\n', [], "results.jsonl line 1 is not a record"),
        ("", ["--redact"], "--redact needs the schema"),
    ],
)
def test_what_cannot_be_reported_on_is_a_usage_error(
    tmp_path: Path, extractor: Run, content: str, options: list[str], message: str
) -> None:
    (tmp_path / "results.jsonl").write_text(content, encoding="utf-8")
    done = extractor("report", "results.jsonl", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_results_may_come_from_standard_input(tmp_path: Path, extractor: Run) -> None:
    results = write(tmp_path, {}, [found("a", "手机号18888888888", {})])
    lines = results.read_text("utf-8")
    done = extractor("report", "-", "-o", "page.html", stdin=lines * 2)
    assert done.returncode == 0, done.stderr
    assert "1 documents" in done.stderr


def test_packed_results_that_are_damaged_are_named_and_the_message_is_about_reading(
    tmp_path: Path, extractor: Run
) -> None:
    (tmp_path / "results.jsonl.gz").write_bytes(b"no gzip at all")
    done = extractor("report", "results.jsonl.gz")
    assert done.returncode == 2
    assert "results.jsonl.gz is damaged" in done.stderr
    assert "--overwrite" not in done.stderr
