"""The gold file: nothing of it is lost, whoever decides and however a review ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from extractor.annotation_formats import read_annotations
from extractor.errors import InputError, OutputLocked
from extractor.review.gold import GoldFile, GoldRow
from tests.cli.conftest import Run
from tests.report.records import found, write
from tests.review.running import gold, review

TEXTS = {f"{name}.txt": f"手机号：1380000000{number}，邮箱 {name}@b.cc" for number, name in enumerate("abc")}
RECORDS = [
    found(name, text, {"手机号": text[4:15]}, confidence={"/手机号": number / 10})
    for number, (name, text) in enumerate(TEXTS.items())
]
ROW = GoldRow("a", "text", "5c4e", "accepted", "li", {"x": "t"}, {"/x": ((0, 1),)}, "2024-05-04T12:00:00+00:00")
LINE = (
    '{"id":"a","text":"text","data":{"x":"t"},"spans":{"/x":[[0,1]]},"decision":"accepted","decided_by":"li",'
    '"decided_at":"2024-05-04T12:00:00+00:00","sha256":"5c4e"}\n'
)


def test_a_decision_is_a_line_and_the_last_one_of_an_id_counts(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    with GoldFile(str(path)) as file:
        file.append(ROW)
        assert path.read_text("utf-8") == LINE
        file.append(GoldRow("b", "t", "1", "skipped", "li"))
        file.append(GoldRow("a", "text", "5c4e", "corrected", "wu", {"x": "e"}, {"/x": ((1, 2),)}))
        assert (file.rows["a"]["decided_by"], "text" in file.rows["a"]) == ("wu", False)
    assert [(each.id, each.data) for each in read_annotations(str(path))] == [("a", {"x": "e"})]


@pytest.mark.parametrize("torn", ['{"id": "b", "te', '{"id"', "{"])
def test_a_torn_end_is_cut_and_the_rest_stays(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(LINE + torn, encoding="utf-8")
    with GoldFile(str(path)) as file:
        assert list(file.rows) == ["a"]
        file.append(GoldRow("b", "t", "1", "skipped", "li"))
    assert [row["id"] for row in gold(tmp_path, "gold.jsonl")] == ["a", "b"]


def test_a_last_line_without_its_end_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(LINE.rstrip(), encoding="utf-8")
    with GoldFile(str(path)) as file:
        file.append(GoldRow("b", "t", "1", "skipped", "li"))
    assert [row["id"] for row in gold(tmp_path, "gold.jsonl")] == ["a", "b"]


@pytest.mark.parametrize("content", ["no JSON\n", '{"x": 1}\n', "[1]\n", "一些文字\n第二行"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="is no row of gold"), GoldFile(str(path)):
        pass
    assert path.read_text("utf-8") == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("", encoding="utf-8")
    (tmp_path / "gold.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="cannot be used"), GoldFile(str(tmp_path / "gold.jsonl")):
        pass


def test_one_review_at_a_time_holds_a_file_and_an_empty_one_is_not_left_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "gold.jsonl")
    with GoldFile(path), pytest.raises(OutputLocked, match="another --gold"), GoldFile(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_review_has_lost_nothing_and_goes_on_with_the_next_person(tmp_path: Path, extractor: Run) -> None:
    write(tmp_path, TEXTS, RECORDS)
    with review(tmp_path, "-s", "contact") as first:
        assert [row["id"] for row in first.ask("session")["rows"]] == list(TEXTS)
        draft = first.ask("row", row=0)["draft"]
        assert first.ask("decide", row=0, draft=draft)["saved"]["decision"] == "accepted"
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
    with (tmp_path / "results.gold.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"id": "b.txt", "text": "手')
    with review(tmp_path, "-s", "contact", "--by", "wu") as second:
        assert "2 of 3 rows to review; 1 decided in results.gold.jsonl." in second.said
        assert [row["id"] for row in second.ask("session")["rows"]] == ["b.txt", "c.txt"]
        start = TEXTS["b.txt"].index("b@b.cc")
        answer = second.edit(second.ask("row", row=0)["draft"], "/邮箱", "select", span=[start, start + 6])
        assert second.ask("decide", row=0, draft=answer["draft"])["saved"]["decision"] == "corrected"
        second.ask("decide", row=1, skip=True)
        assert second.end() == 0
        assert "2 rows decided (1 corrected, 1 skipped), saved in results.gold.jsonl." in second.said
        assert "Next: extractor evaluate results.jsonl results.gold.jsonl -s contact" in second.said
    rows = gold(tmp_path)
    assert [(row["id"], row["decision"], row["decided_by"]) for row in rows] == [
        ("a.txt", "accepted", "li"),
        ("b.txt", "corrected", "wu"),
        ("c.txt", "skipped", "wu"),
    ]
    assert rows[1]["spans"] == {"/手机号": [[4, 15]], "/邮箱": [[start, start + 6]]}
    with review(tmp_path, "-s", "contact", "--all", "--by", "li") as third:
        session = third.ask("session")
        assert [row["decision"] for row in session["rows"]] == ["accepted", "corrected", "skipped"]
        row = third.ask("row", row=1)
        assert (row["earlier"]["decided_by"], row["draft"]["data"]["邮箱"]) == ("wu", "b@b.cc")
        third.ask("decide", row=0, skip=True)
    done = extractor("evaluate", "results.jsonl", "results.gold.jsonl", "-s", "contact", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["gold"], report["extra"]) == (1, ["a.txt", "c.txt"])
    micro = report["overall"]["exact"]["micro"]
    assert (micro["precision"], micro["recall"]) == (1.0, 0.5)


def test_a_document_that_has_changed_since_is_decided_anew(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, RECORDS)
    with review(tmp_path, "-s", "contact") as first:
        first.ask("decide", row=0, draft=first.ask("row", row=0)["draft"])
        first.end()
    other = {**TEXTS, "a.txt": "手机号：13911111111"}
    write(tmp_path, other, [found("a.txt", other["a.txt"], {"手机号": "13911111111"}), *RECORDS[1:]])
    with review(tmp_path, "-s", "contact") as second:
        rows = {row["id"]: number for number, row in enumerate(second.ask("session")["rows"])}
        assert set(rows) == set(TEXTS)
        assert second.ask("row", row=rows["a.txt"])["draft"]["data"]["手机号"] == "13911111111"
